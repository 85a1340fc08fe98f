"""What staff see of a person: a prisoner, or somebody outside, with their rights and visits. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.errors import NotFound
from visitserver.domain.paging import MAX_LIMIT, Page, PageRequest
from visitserver.domain.people import Contact, Prison, Prisoner, Wing
from visitserver.domain.rights import Alert, Relationship, Restriction
from visitserver.domain.scheduling import Booking
from visitserver.services.access_checks import own_prison
from visitserver.services.ports.scheduling import BookingFilter
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

VISITS_BACK = timedelta(days=28)


@dataclass(frozen=True, slots=True)
class LinkView:
    """A relationship with the other person. What the prisoner answered is not in it: it is private."""

    id: str
    prisoner: Prisoner
    contact: Contact
    call_kind: str
    relation: str
    state: str
    withdrawn: bool
    restrictions: tuple[Restriction, ...]


@dataclass(frozen=True, slots=True)
class PersonView:
    """One person at the actor's prison. `links`, `restrictions`, `alerts` and `bookings` are 200 at most, each."""

    prison: Prison
    person: Prisoner | Contact
    wing: Wing | None
    links: Sequence[LinkView]
    restrictions: Sequence[Restriction]
    alerts: Sequence[Alert]
    bookings: Sequence[Booking]


class PeopleService:
    """Everything is of the actor's own prison; what is not is NotFound."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    async def search(self, actor: Actor, text: str, page: PageRequest) -> tuple[Page[Prisoner], Page[Contact]]:
        """Prisoners by number or name, and contacts by name: those that begin with `text`."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            prison_id = actor.prison_id or ""
            return (
                await u.people.search_prisoners(prison_id, text, page),
                await u.people.search_contacts(prison_id, text, page),
            )

    async def prisoner(self, actor: Actor, prisoner_id: str) -> PersonView:
        """One prisoner of the actor's prison."""
        async with self._uow(read_only=True) as u:
            prisoner = await u.people.get_prisoner(prisoner_id)
            own_prison(actor, prisoner.prison_id)
            prison = await u.people.get_prison(prisoner.prison_id or "")
            wings = {wing.id: wing for wing in await u.people.wings(prison.id)}
            everything = PageRequest(MAX_LIMIT)
            links = (await u.rights.relationships_of_prisoner(prisoner_id, everything)).items
            return PersonView(
                prison=prison,
                person=prisoner,
                wing=wings.get(prisoner.wing_id or ""),
                links=await _links(u, links),
                restrictions=(await u.rights.restrictions_of(prisoner_id, everything)).items,
                alerts=(await u.rights.alerts(prisoner_id, everything)).items,
                bookings=await self._bookings(u, BookingFilter(prison_id=prison.id, prisoner_id=prisoner_id)),
            )

    async def contact(self, actor: Actor, contact_id: str) -> PersonView:
        """Somebody outside whom the actor's prison knows, and what they have to do with it."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            contact = await u.people.get_contact(contact_id)
            prison = await u.people.get_prison(actor.prison_id or "")
            if contact.merged_into is not None or not await u.records.contact_known_at(contact_id, prison.id):
                raise NotFound("There is no such person.")
            everything = PageRequest(MAX_LIMIT)
            links = (await u.rights.relationships_of_contact(contact_id, everything)).items
            here = [view for view in await _links(u, links) if view.prisoner.prison_id == prison.id]
            return PersonView(
                prison=prison,
                person=contact,
                wing=None,
                links=here,
                restrictions=(await u.rights.restrictions_of(contact_id, everything)).items,
                alerts=(),
                bookings=await self._bookings(u, BookingFilter(prison_id=prison.id, contact_id=contact_id)),
            )

    async def by_number(self, actor: Actor, number: str) -> Prisoner:
        """The prisoner of that number at the actor's prison."""
        async with self._uow(read_only=True) as u:
            found = await u.people.find_prisoner_by_number(number.strip())
            if found is None:
                raise NotFound("Nobody at this prison has this number.")
            own_prison(actor, found.prison_id)
            return found

    async def of_relationship(self, actor: Actor, relationship_id: str) -> Relationship:
        """One relationship with a prisoner of the actor's prison."""
        async with self._uow(read_only=True) as u:
            found = await u.rights.get_relationship(relationship_id)
            own_prison(actor, (await u.people.get_prisoner(found.prisoner_id)).prison_id)
            return found

    async def restriction(self, actor: Actor, restriction_id: str) -> tuple[Restriction, Relationship | None]:
        """One restriction that concerns the actor's prison, with the relationship it is on, if it is on one."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            found = await u.rights.get_restriction(restriction_id)
            link = None
            if found.contact_id is not None:
                if not await u.records.contact_known_at(found.contact_id, actor.prison_id or ""):
                    raise NotFound("There is no such restriction.")
                return found, None
            if found.relationship_id is not None:
                link = await u.rights.get_relationship(found.relationship_id)
            prisoner_id = found.prisoner_id if link is None else link.prisoner_id
            own_prison(actor, (await u.people.get_prisoner(prisoner_id or "")).prison_id)
            return found, link

    async def _bookings(self, u: UnitOfWork, wanted: BookingFilter) -> Sequence[Booking]:
        """From four weeks ago on."""
        since = BookingFilter(
            prison_id=wanted.prison_id,
            prisoner_id=wanted.prisoner_id,
            contact_id=wanted.contact_id,
            starts_from=self._clock() - VISITS_BACK,
        )
        return (await u.scheduling.bookings(since, PageRequest(MAX_LIMIT))).items


async def _links(u: UnitOfWork, links: Sequence[Relationship]) -> list[LinkView]:
    prisoners = await u.people.prisoners(sorted({link.prisoner_id for link in links}))
    contacts = await u.people.contacts(sorted({link.contact_id for link in links}))
    return [
        LinkView(
            id=link.id,
            prisoner=prisoners[link.prisoner_id],
            contact=contacts[link.contact_id],
            call_kind=link.call_kind,
            relation=link.relation,
            state=link.state,
            withdrawn=link.withdrawn_at is not None,
            restrictions=tuple((await u.rights.restrictions_of(link.id, PageRequest(MAX_LIMIT))).items),
        )
        for link in links
        if contacts[link.contact_id].merged_into is None and prisoners[link.prisoner_id].merged_into is None
    ]
