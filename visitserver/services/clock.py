"""The system's clock, for bootstrap; everything else is handed a clock."""

from __future__ import annotations

from datetime import UTC, date, datetime

from visitserver.domain.clock import Clock
from visitserver.domain.people import Prison

__all__ = ["Clock", "system_clock", "today_at"]


def system_clock() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - this is the clock that is injected


def today_at(prison: Prison, now: datetime) -> date:
    """The day it is at the prison."""
    return now.astimezone(prison.zone).date()
