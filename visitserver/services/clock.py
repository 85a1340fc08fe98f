"""Days at a prison. The clock itself is handed to every service (bootstrap makes it)."""

from __future__ import annotations

from datetime import date, datetime

from visitserver.domain.people import Prison


def today_at(prison: Prison, now: datetime) -> date:
    """The day it is at the prison."""
    return now.astimezone(prison.zone).date()
