"""Wall time that does not jump."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta


def steady_clock(monotonic: Callable[[], float], wall: Callable[[], datetime]) -> Callable[[], datetime]:
    """A clock that starts at `wall` time (UTC-aware) and then follows the monotonic one (seconds).

    A call's waits and connected seconds must not change when NTP or a person sets the system's clock. The price is the
    monotonic clock's drift, some milliseconds an hour.
    """
    began, at = monotonic(), wall()
    return lambda: at + timedelta(seconds=monotonic() - began)
