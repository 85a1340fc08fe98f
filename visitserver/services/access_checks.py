"""Whose is it? The object checks that several services share. A stranger's thing is "not found", never "forbidden"."""

from __future__ import annotations

from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.errors import Invalid, NotFound
from visitserver.domain.people import Prisoner
from visitserver.domain.rights import Relationship
from visitserver.domain.scheduling import Booking


def own_prison(actor: Actor, prison_id: str | None) -> None:
    """Staff and machine clients see their own prison; the system sees all. NotFound otherwise."""
    if actor.kind is ActorKind.SYSTEM:
        return
    if actor.kind not in (ActorKind.STAFF, ActorKind.CLIENT) or prison_id is None or actor.prison_id != prison_id:
        raise NotFound("There is no such thing here.")


def own_relationship(actor: Actor, relationship: Relationship, prisoner: Prisoner) -> None:
    """The contact, the prisoner, or staff where the prisoner is. NotFound otherwise."""
    match actor.kind:
        case ActorKind.FAMILY if relationship.contact_id == actor.id:
            return
        case ActorKind.PRISONER if relationship.prisoner_id == actor.id:
            return
        case ActorKind.STAFF | ActorKind.SYSTEM | ActorKind.CLIENT:
            own_prison(actor, prisoner.prison_id)
        case _:
            raise NotFound("There is no such relationship.")


def own_booking(actor: Actor, booking: Booking) -> None:
    """A caller of the booking, its prisoner, or staff of its prison. NotFound otherwise."""
    match actor.kind:
        case ActorKind.FAMILY if actor.id in booking.contact_ids:
            return
        case ActorKind.PRISONER if booking.prisoner_id == actor.id:
            return
        case ActorKind.STAFF | ActorKind.SYSTEM | ActorKind.CLIENT:
            own_prison(actor, booking.prison_id)
        case _:
            raise NotFound("There is no such booking.")


def need_reason(reason: str | None, *, longest: int = 2000) -> str:
    """`reason` without outer blanks; Invalid when there is none or it is longer than `longest` characters."""
    text = (reason or "").strip()
    if not text:
        raise Invalid("Give a reason.", code="reason_required", field="reason")
    if len(text) > longest:
        raise Invalid(f"A reason has at most {longest} characters.", code="too_long", field="reason")
    return text


def family_words(words: str | None, *, longest: int = 500) -> str | None:
    """Words that staff wrote for a family, without outer blanks, None for none; Invalid when they are too long."""
    text = (words or "").strip()
    if len(text) > longest:
        raise Invalid(f"Words for families have at most {longest} characters.", code="too_long", field="words")
    return text or None
