"""Further callers of a visit: the booker names them, each joins from their own account, and each may decline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from visitserver.domain import policies as keys
from visitserver.domain.accounts import AccountKind
from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Invalid, NotFound
from visitserver.domain.rights import Relationship
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.services.access_checks import own_booking
from visitserver.services.accounts import normalise_login
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

MOST_GUESTS: Final = 3


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody who is to take part besides the booker, by their own relationship with the prisoner."""

    relationship_id: str
    name: str


class GuestLookup:
    """Finds further callers. Whom else a prisoner may talk to is never listed: one must know the person's address."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    async def guest(self, actor: Actor, relationship_id: str, email: str) -> Guest:
        """The adult with this sign-in address whose relationship with the same prisoner is active and of the same kind.

        Invalid (code `guest_unknown`), the same whatever is wrong with them; NotFound for a stranger's relationship.
        """
        async with self._uow(read_only=True) as u:
            own = await _own_link(u, actor, relationship_id)
            account = await u.accounts.account_by_login(AccountKind.FAMILY, normalise_login(AccountKind.FAMILY, email))
            if account is None or account.contact_id is None or account.contact_id == actor.id:
                raise _unknown()
            link = await u.rights.find_relationship(own.prisoner_id, account.contact_id, own.kind)
            if link is None or link.call_kind is not own.call_kind or not await self._active(u, link):
                raise _unknown()
            contact = await u.people.get_contact(account.contact_id)
            if not contact.is_adult_on(self._clock().date()):
                raise _unknown()
            return Guest(link.id, contact.name)

    async def guests(self, actor: Actor, relationship_id: str, guest_ids: Sequence[str]) -> list[Guest]:
        """Those chosen already. NotFound for a relationship with another prisoner, Invalid for too many."""
        if len(guest_ids) > MOST_GUESTS:
            raise Invalid("No more people fit into one call.", code="callers", field="guests")
        async with self._uow(read_only=True) as u:
            own = await _own_link(u, actor, relationship_id)
            links = [await u.rights.get_relationship(each) for each in guest_ids]
            if any(link.prisoner_id != own.prisoner_id for link in links):
                raise NotFound("There is no such relationship.")
            return [Guest(link.id, (await u.people.get_contact(link.contact_id)).name) for link in links]

    async def _active(self, u: UnitOfWork, link: Relationship) -> bool:
        prisoner = await u.people.get_prisoner(link.prisoner_id)
        if prisoner.prison_id is None:
            return False
        policies = await u.policies.at(prisoner.prison_id, self._clock())
        return link.is_active(acceptance_required=policies.flag(keys.ACCEPTANCE_REQUIRED))


class Declining:
    """A guest does not want to come after all; the visit takes place without them."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    async def decline(self, actor: Actor, booking_id: str, *, request_id: str | None = None) -> Booking:
        """Take the actor, a guest, out of the booking and give their time back.

        NotFound for whoever is none of its callers, Conflict for the booker (`lead`: they cancel instead), after the
        start, and when it is not booked.
        """
        async with self._uow() as u:
            booking = await u.scheduling.get_booking(booking_id)
            if not actor.is_family:
                raise NotFound("There is no such booking.")
            own_booking(actor, booking)
            await u.lock(f"prisoner:{booking.prisoner_id}", f"contact:{actor.id}")
            booking = await u.scheduling.get_booking(booking_id, for_update=True)
            own_booking(actor, booking)
            if booking.lead.contact_id == actor.id:
                raise Conflict("You have booked this visit. Cancel it instead.", code="lead")
            if booking.state not in (BookingState.REQUESTED, BookingState.BOOKED):
                raise Conflict("This visit is not booked.", code="booking_state")
            if self._clock() >= booking.starts_at:
                raise Conflict("This visit has begun.", code="visit_begun")
            booking.participants = [each for each in booking.participants if each.contact_id != actor.id]
            booking.revision += 1
            await u.flush()
            await u.scheduling.release_contact(booking.id, actor.id)
            u.audit.append("booking.decline", actor, booking.id, None, request_id, prison_id=booking.prison_id)
            u.outbox.add(
                "booking.guest_declined",
                {"booking_id": booking.id, "prison_id": booking.prison_id, "revision": booking.revision},
                dedupe_key=f"booking.guest_declined:{booking.id}:{booking.revision}",
                request_id=request_id,
            )
            await u.commit()
            return booking


async def _own_link(u: UnitOfWork, actor: Actor, relationship_id: str) -> Relationship:
    link = await u.rights.get_relationship(relationship_id)
    if not actor.is_family or link.contact_id != actor.id:
        raise NotFound("There is no such relationship.")
    return link


def _unknown() -> Invalid:
    return Invalid(
        "This person cannot take part. They need an account here, and the prison's approval for this visit.",
        code="guest_unknown",
        field="email",
    )
