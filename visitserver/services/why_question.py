"""From words to a question: who is meant by a name or a number, and which slot by a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.errors import Invalid, NotFound
from visitserver.domain.occupancy import CELL
from visitserver.domain.paging import MAX_LIMIT, PageRequest
from visitserver.domain.people import Contact, Prison, Prisoner
from visitserver.domain.policies import BUFFER_MINUTES
from visitserver.domain.rights import Relationship, RelationshipState
from visitserver.domain.rules.slot_fit import misfits
from visitserver.domain.scheduling import SessionTemplate, Slot
from visitserver.domain.slots import parse_slot_key, slot_at, slots_of, to_utc
from visitserver.services.ports.uow import UnitOfWork

T = TypeVar("T")

MOST_NAMED = 8
"""How many candidates an error names."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: these relationships, the lead's first, and this slot of this prison."""

    prison_id: str
    links: tuple[Relationship, ...]
    slot_key: str


async def resolve(
    u: UnitOfWork,
    actor: Actor,
    prisoner: str,
    contact: str,
    at: str,
    *,
    also: Sequence[str] = (),
    session: str | None = None,
) -> Question:
    """Find who and what is meant.

    `prisoner` is a number, an id or a name; `contact` and each of `also` an id, an e-mail address or a name among the
    prisoner's contacts; `at` a slot's key or a time YYYY-MM-DD HH:MM, the prison's unless it has an offset. `session`
    (a template's id or name) says which of several sessions at that time is meant.
    """
    who = await _prisoner(u, actor, prisoner)
    if who.prison_id is None:
        raise NotFound(f"{who.number} is at no prison now.", code="prisoner_moved")
    prison = await u.people.get_prison(who.prison_id)
    known = await _relationships(u, who)
    links = tuple([_link(known, who, each) for each in (contact, *also)])
    if "@" in at and ":" not in at:
        template_id, _ = parse_slot_key(at)
        await u.scheduling.get_template(template_id)
        return Question(prison.id, links, at)
    slot = await _slot(u, prison, who, links[0], moment(at, prison.zone), session)
    return Question(prison.id, links, slot.key)


def moment(text: str, zone: ZoneInfo) -> datetime:
    """A time as it was typed, in UTC. Without an offset it is the wall clock's of `zone`. Invalid otherwise."""
    try:
        typed = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Invalid(f"Not a time: {text!r}. Write it as 2026-03-06 09:00.", code="time", field="at") from None
    if typed.tzinfo is not None:
        return typed
    found = to_utc(typed, zone)
    if found is None:
        raise Invalid(f"There is no {typed:%H:%M} on that day: the clocks skip it.", code="time", field="at")
    return found


async def _prisoner(u: UnitOfWork, actor: Actor, text: str) -> Prisoner:
    text = text.strip()
    found = await u.people.find_prisoner_by_number(text)
    if found is not None and _sees(actor, found):
        return found
    if text.startswith("prs_"):
        found = await u.people.get_prisoner(text)
        if _sees(actor, found):
            return found
    prisons = [actor.prison_id] if actor.prison_id else [each.id for each in await _prisons(u)]
    names = (
        [
            each
            for prison_id in prisons
            for each in (await u.people.search_prisoners(prison_id, text.split()[-1], PageRequest(MAX_LIMIT))).items
            if _named(text, each.given_name, each.family_name)
        ]
        if text
        else []
    )
    return _one(names, f"prisoner {text!r}", lambda each: f"{each.number} {each.name}")


async def _prisons(u: UnitOfWork) -> Sequence[Prison]:
    found: list[Prison] = []
    page = PageRequest(MAX_LIMIT)
    while True:
        part = await u.people.prisons(page)
        found += part.items
        if part.next_cursor is None:
            return found
        page = PageRequest(MAX_LIMIT, part.next_cursor)


async def _relationships(u: UnitOfWork, prisoner: Prisoner) -> list[tuple[Relationship, Contact]]:
    links: list[Relationship] = []
    page = PageRequest(MAX_LIMIT)
    while True:
        part = await u.rights.relationships_of_prisoner(prisoner.id, page)
        links += part.items
        if part.next_cursor is None:
            break
        page = PageRequest(MAX_LIMIT, part.next_cursor)
    contacts = await u.people.contacts([each.contact_id for each in links])
    return [(each, contacts[each.contact_id]) for each in links if each.contact_id in contacts]


def _link(known: list[tuple[Relationship, Contact]], prisoner: Prisoner, text: str) -> Relationship:
    """The relationship that is meant; of one contact's two kinds the one that is approved."""
    text = text.strip()
    found = [
        (link, contact)
        for link, contact in known
        if text in (contact.id, link.id)
        or (contact.email or "").casefold() == text.casefold() != ""
        or _named(text, contact.given_name, contact.family_name)
    ]
    approved = [each for each in found if each[0].state is RelationshipState.APPROVED]
    if len({contact.id for _, contact in found}) == 1 and len(approved) == 1:
        found = approved
    label = f"contact {text!r} of {prisoner.number}"
    return _one(found, label, lambda each: f"{each[0].id} ({each[1].name}, {each[0].kind}, {each[0].state})")[0]


async def _slot(
    u: UnitOfWork, prison: Prison, prisoner: Prisoner, lead: Relationship, at: datetime, session: str | None
) -> Slot:
    day = at.astimezone(prison.zone).date()
    policies = await u.policies.at(prison.id, at)
    buffer = -(-policies.number(BUFFER_MINUTES) * 60 // int(CELL.total_seconds())) * CELL
    templates = [
        each
        for each in await u.scheduling.templates(prison.id, first=day, last=day)
        if session is None or session in (each.id, each.name)
    ]
    if session is not None and not templates:
        raise NotFound(f"There is no session {session!r} on {day}.", code="session")
    pairs = [(each, slot) for each in templates if (slot := slot_at(each, prison.zone, at, buffer=buffer)) is not None]
    if not pairs:
        times = sorted(
            {
                f"{slot.starts_at.astimezone(prison.zone):%H:%M}"
                for each in templates
                for slot in slots_of(each, prison.zone, day, day, buffer=buffer)
            }
        )
        there = f"Times on {day}: {', '.join(times)}." if times else f"There are no sessions on {day}."
        raise NotFound(f"No session has a time at {at.astimezone(prison.zone):%H:%M}. {there}", code="slot")
    fitting = [pair for pair in pairs if not any(misfits(pair[1].terms, lead.call_kind, prisoner, ActorKind.STAFF))]
    what = f"time at {at.astimezone(prison.zone):%H:%M} on {day}; name the session"
    return _one(fitting or pairs, what, lambda pair: _label(pair[0]))[1]


def _label(template: SessionTemplate) -> str:
    return f"{template.id} ({template.name})"


def _named(text: str, given_name: str, family_name: str) -> bool:
    wanted = " ".join(text.casefold().split())
    given, family = given_name.casefold(), family_name.casefold()
    return wanted != "" and wanted in (given, family, f"{given} {family}", f"{family} {given}", f"{family}, {given}")


def _sees(actor: Actor, prisoner: Prisoner) -> bool:
    return actor.is_system or prisoner.prison_id == actor.prison_id


def _one(found: Sequence[T], what: str, label: Callable[[T], str]) -> T:
    """The only one there is; NotFound for none, Invalid that names them for several."""
    if not found:
        raise NotFound(f"There is no {what}.")
    if len(found) > 1:
        named = "; ".join(label(each) for each in found[:MOST_NAMED])
        more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        raise Invalid(f"There are {len(found)} for the {what}: {named}{more}.", code="ambiguous")
    return found[0]
