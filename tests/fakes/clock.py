"""A clock that stands until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Call it for the time. `advance` moves it; `monotonic` follows in seconds."""

    def __init__(self, now: datetime = datetime(2026, 3, 2, 9, 50, tzinfo=UTC)) -> None:
        self.now = now
        self._began = now

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return (self.now - self._began).total_seconds()

    def advance(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now
