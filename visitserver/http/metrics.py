"""What Prometheus reads. Labels are route patterns and codes, never anything that a person typed."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """The metrics of one application, on a registry of its own, to which other rooms may add theirs."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self.requests = Counter(
            "visit_http_requests", "Requests answered", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "visit_http_request_seconds", "Time to answer", ("route",), buckets=_BUCKETS, registry=self.registry
        )
        self.in_progress = Gauge("visit_http_requests_in_progress", "Requests being answered", registry=self.registry)
        self.problems = Counter("visit_http_problems", "Failures by code", ("code",), registry=self.registry)

    def text(self) -> bytes:
        """The exposition format, version 0.0.4."""
        return generate_latest(self.registry)
