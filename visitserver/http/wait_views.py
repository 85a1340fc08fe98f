"""What somebody waits or wishes for, as their page shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

from visitserver.domain.people import Prison
from visitserver.domain.slots import parse_slot_key
from visitserver.services.waitlist import WaitlistView


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitView:
    """An entry of the waiting list. `slot_at`: the one time it is for. `offered_*`: the place that is kept just now,
    until `offer_ends`. Moments are UTC, `zone` is the prison's."""

    id: str
    person: str
    zone: str
    first_day: date
    last_day: date
    from_time: time | None
    to_time: time | None
    slot_at: datetime | None = None
    offered_from: datetime | None = None
    offered_until: datetime | None = None
    offer_ends: datetime | None = None


@dataclass(frozen=True, slots=True)
class WishView:
    """The wishes for visits with one person, the dearest first: first and last day of each."""

    relationship_id: str
    person: str
    days: Sequence[tuple[date, date]]


def wait_view(view: WaitlistView, person: str, prisons: Mapping[str, Prison]) -> WaitView:
    """The view of an entry; `prisons` has its prison."""
    entry, offer, booking = view.entry, view.offer, view.booking
    return WaitView(
        id=entry.id,
        person=person,
        zone=prisons[entry.prison_id].timezone,
        first_day=entry.first_day,
        last_day=entry.last_day,
        from_time=entry.from_time,
        to_time=entry.to_time,
        slot_at=None if entry.slot_key is None else parse_slot_key(entry.slot_key)[1],
        offered_from=None if offer is None or booking is None else booking.starts_at,
        offered_until=None if offer is None or booking is None else booking.ends_at,
        offer_ends=None if offer is None else offer.expires_at,
    )
