"""Rules 15, 18 and 24: is there a place, and is everybody free?

The database has the last word (occupancy); these rules say beforehand, in words, what it would say.
"""

from __future__ import annotations

from collections.abc import Iterator

from visitserver.domain.decisions import Words
from visitserver.domain.policies import BUFFER_MINUTES
from visitserver.domain.rules.engine import NOT_AT_THIS_TIME, OTHER_TIME, Finding, refuse, remark, rule
from visitserver.domain.rules.scope import ROOM, OfRoom

GONE = Words("This time is taken.")


@rule("one_at_a_time", "18", BUFFER_MINUTES, of=ROOM)
def one_at_a_time(facts: OfRoom) -> Iterator[Finding]:
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


@rule("free_place", "15, 24", of=ROOM, overridable=True)
def free_place(facts: OfRoom) -> Iterator[Finding]:
    """The session has a place left. Whoever may overbook can set it aside with a reason; that is reported every day."""
    room = facts.room.need()
    if room.free_places <= 0:
        yield refuse("The session's capacity is used up.", GONE, OTHER_TIME, places=room.free_places)
    else:
        yield remark(f"{room.free_places} free.", places=room.free_places)
