"""Rules 15 and 18: is there a place, and is everybody free?

The database has the last word (occupancy); these rules say beforehand, in words, what it would say.
"""

from __future__ import annotations

from collections.abc import Iterator

from visitserver.domain.decisions import Words
from visitserver.domain.policies import BUFFER_MINUTES, CALLS_PER_OFFICER, OFFICERS
from visitserver.domain.rules.engine import Finding, refuse, rule
from visitserver.domain.rules.facts import Facts
from visitserver.domain.rules.restrictions import needs_officer
from visitserver.domain.scheduling import SupervisionLevel

GONE = Words("This time is taken.")
OTHER_TIME = Words("Choose another time.")
# Says nothing about what else the prisoner does then.
NOT_AT_THIS_TIME = Words("This visit is not possible at this time.")


@rule("one_at_a_time", "18", BUFFER_MINUTES)
def one_at_a_time(facts: Facts) -> Iterator[Finding]:
    """A prisoner and a contact are never in two bookings at once, the pause after a call included."""
    room = facts.room.need()
    if room.prisoner_busy:
        yield refuse("The prisoner has another booking then.", NOT_AT_THIS_TIME, OTHER_TIME, prisoner=facts.prisoner.id)
    busy = sorted(caller.contact.id for caller in facts.callers if caller.contact.id in room.busy_contacts)
    if busy:
        yield refuse(
            "A caller has another booking then.",
            Words("Somebody on this booking has another visit at this time."),
            OTHER_TIME,
            contacts=busy,
        )


@rule("free_place", "15", OFFICERS, CALLS_PER_OFFICER)
def free_place(facts: Facts) -> Iterator[Finding]:
    """The template's capacity, a free station, and for a live-watched call a free seat of an officer."""
    room = facts.room.need()
    inputs = {"places": room.free_places, "stations": room.free_stations, "seats": room.free_seats}
    if room.free_places <= 0:
        yield refuse("The session's capacity is used up.", GONE, OTHER_TIME, **inputs)
    elif room.free_stations <= 0:
        yield refuse("No station is free.", GONE, OTHER_TIME, **inputs)
    elif room.free_seats <= 0 and needs_seat(facts):
        yield refuse("No officer is free to watch.", GONE, OTHER_TIME, **inputs)


def needs_seat(facts: Facts) -> bool:
    """Whether an officer must watch this call live, by its session or by a restriction."""
    if facts.kind.privileged:
        return False
    return facts.slot.supervision is SupervisionLevel.LIVE or needs_officer(facts)
