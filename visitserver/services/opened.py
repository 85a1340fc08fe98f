"""News that times can be booked that could not be: written in the transaction that lets it be so."""

from __future__ import annotations

from datetime import datetime, timedelta

from visitserver.domain.people import Prison
from visitserver.services.ports.uow import UnitOfWork


def note_opened(u: UnitOfWork, prison: Prison, starts_at: datetime, ends_at: datetime, *, cause: str) -> None:
    """Tell the waiting list that there may be places from `starts_at` up to `ends_at` (UTC). `cause` is an id."""
    if ends_at <= starts_at:
        return
    first = starts_at.astimezone(prison.zone).date()
    last = (ends_at - timedelta(microseconds=1)).astimezone(prison.zone).date()
    u.outbox.add(
        "places.opened",
        {
            "prison_id": prison.id,
            "cause_id": cause,
            "first_day": first.isoformat(),
            "last_day": last.isoformat(),
        },
    )
