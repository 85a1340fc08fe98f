"""Rule 15: what a call needs besides a place in its session. No reason makes more of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from visitserver.domain.blocks import open_stations
from visitserver.domain.policies import CALLS_PER_OFFICER, MEDIA_CALLS, OFFICERS
from visitserver.domain.rules.engine import OTHER_TIME, Finding, refuse, remark, rule
from visitserver.domain.rules.facts import Facts, Known
from visitserver.domain.rules.restrictions import needs_officer
from visitserver.domain.rules.room import GONE
from visitserver.domain.rules.scope import ROOM, VISIT, OfRoom
from visitserver.domain.scheduling import SupervisionLevel


@rule("station", "15", of=VISIT)
def station(facts: Facts) -> Iterator[Finding]:
    """A station of the session that is in use, not blocked and not taken."""
    room = facts.room.need()
    slot = facts.slot
    if isinstance(facts.blocks, Known) and not open_stations(
        facts.blocks.value, slot.template_id, slot.station_ids, slot.starts_at, slot.ends_at
    ):
        yield remark("Every station is blocked: the rule about blocks says so.")
    elif room.free_stations <= 0:
        yield refuse("No station is free.", GONE, OTHER_TIME, stations=room.free_stations)


@rule("officer_seat", "15", OFFICERS, CALLS_PER_OFFICER, of=VISIT)
def officer_seat(facts: Facts) -> Iterator[Finding]:
    """For a call that is watched live: a free seat of an officer, and one of the session's watched calls."""
    if not needs_seat(facts):
        return
    room = facts.room.need()
    inputs: dict[str, Any] = {"seats": room.free_seats, "watched": room.free_supervised}
    if room.free_supervised is not None and room.free_supervised <= 0:
        yield refuse("The session has no watched call left.", GONE, OTHER_TIME, **inputs)
    elif room.free_seats <= 0:
        yield refuse("No officer is free to watch.", GONE, OTHER_TIME, **inputs)


@rule("media_capacity", "15", MEDIA_CALLS, of=ROOM)
def media_capacity(facts: OfRoom) -> Iterator[Finding]:
    """As many calls at a time as the servers carry for this prison."""
    room = facts.room.need()
    if room.free_media <= 0:
        yield refuse("The servers carry no further call then.", GONE, OTHER_TIME, media=room.free_media)


def needs_seat(facts: Facts) -> bool:
    """Whether an officer must watch this call live, by its session or by a restriction."""
    if facts.kind.privileged:
        return False
    return facts.slot.supervision is SupervisionLevel.LIVE or needs_officer(facts)
