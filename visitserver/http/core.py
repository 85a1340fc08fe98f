"""What every request needs of the application, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from visitserver.config import Settings
from visitserver.domain.access import Grant
from visitserver.domain.clock import Clock
from visitserver.http.metrics import Metrics
from visitserver.http.ratelimit import RateLimiter
from visitserver.http.services import Services
from visitserver.http.templating import Templates


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """Built once by `create_app`."""

    services: Services
    settings: Settings
    templates: Templates
    clock: Clock
    limiter: RateLimiter
    metrics: Metrics
    policy: Mapping[str, Grant]
