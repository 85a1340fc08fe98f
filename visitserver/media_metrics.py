"""The relay's counters for Prometheus, read when they are asked for: nothing is counted twice on the packet path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from signaling.media import native
from signaling.media.stats import NodeStats


class MediaCollector(Collector):
    """Gives `visit_media_rooms`, `_sessions`, `_native`, `_packets_total` and `_datagrams_total`.

    The label `what` is the name of a counter in signaling/media/stats.py, which says what each counts.
    """

    def __init__(self, stats: Callable[[], NodeStats], registry: CollectorRegistry) -> None:
        self._stats = stats
        registry.register(self)

    def describe(self) -> Iterator[Metric]:
        """Names only: at registration the node is not running yet."""
        yield from _families()

    def collect(self) -> Iterator[Metric]:
        """The numbers as they are now."""
        stats = self._stats()
        rooms, sessions, path, packets, datagrams = _families()
        path.add_metric([], native.module is not None)
        rooms.add_metric([], stats.rooms)
        sessions.add_metric([], stats.sessions)
        for name, value in asdict(stats.total).items():
            packets.add_metric([name], value)
        for name, value in asdict(stats.endpoint).items():
            datagrams.add_metric([name], value)
        yield from (rooms, sessions, path, packets, datagrams)


def _families() -> tuple[
    GaugeMetricFamily, GaugeMetricFamily, GaugeMetricFamily, CounterMetricFamily, CounterMetricFamily
]:
    what = ["what"]
    return (
        GaugeMetricFamily("visit_media_rooms", "Calls with a room on this node", labels=[]),
        GaugeMetricFamily("visit_media_sessions", "Media sessions on this node", labels=[]),
        GaugeMetricFamily("visit_media_native", "1 if packets are forwarded in C, 0 if in Python", labels=[]),
        CounterMetricFamily("visit_media_packets", "Packets of all rooms, by what became of them", labels=what),
        CounterMetricFamily("visit_media_datagrams", "Datagrams of the socket, by kind", labels=what),
    )
