"""What another value of a policy would change, counted by the rules themselves, before anybody sets it. Reads only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import structlog

from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.clock import Clock
from visitserver.domain.decisions import Decision, Outcome
from visitserver.domain.errors import DomainError, NotFound
from visitserver.domain.paging import MAX_LIMIT, PageRequest
from visitserver.domain.policies import KEYS, PolicyData
from visitserver.domain.rights import Relationship, RelationshipState
from visitserver.domain.rules.engine import Rule
from visitserver.domain.rules.order import RULES
from visitserver.domain.scheduling import Booking
from visitserver.services.access_checks import own_prison
from visitserver.services.booking_check import BookingCheck
from visitserver.services.facts import FactsReader
from visitserver.services.placing import Placing
from visitserver.services.policies import FLAGGING_POLICIES
from visitserver.services.ports.flags import BookingScope
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory
from visitserver.services.slots import SlotService
from visitserver.services.supposing import supposing

log = structlog.get_logger(__name__)

AHEAD: Final = timedelta(days=28)
"""So far ahead visits are looked at, from the day on which the value would begin to hold."""
VISITS_AT_ONCE: Final = 20
PAIRS: Final = 3
"""For so many families the times are asked that they are offered."""
PEOPLE_AT_MOST: Final = 50
"""Among so many prisoners families are looked for, where too few have a visit to come."""
PAYING: Final = "allowance"
"""The rule about paying; the account of credits that it reads has policies of the same name."""
ALL_RULES: Final = frozenset(rule.key for rule in RULES)


@dataclass(frozen=True, slots=True)
class VisitThen:
    """A visit that would be flagged: `why`, in words for staff."""

    booking: Booking
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VisitsThen:
    """One part of the visits that stand: how many were looked at, and what the value would do to them.

    `relieved`: one thing less would stand against so many. `failed`: so many could not be looked at. `all` is how many
    visits there are in the time from `begins` to `ends`, in all parts.
    """

    begins: datetime
    ends: datetime
    all: int
    looked: int
    flagged: tuple[VisitThen, ...]
    relieved: int
    failed: int
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class TimesThen:
    """The times of `pairs` families from `first` to `last`: how many they are offered now, and would be.

    Offered is what they can book or ask for. `gained` and `lost` name how many of the times are not the same ones.
    """

    pairs: int
    first: date | None
    last: date | None
    now: int
    then: int
    gained: int
    lost: int


def rules_that_read(key: str) -> tuple[Rule, ...]:
    """The rules of a visit that look at this policy, in their order."""
    return tuple(rule for rule in RULES if key in {each.name for each in rule.uses})


def flags_visits(key: str) -> bool:
    """Whether visits that stand may come to be flagged by it."""
    return key in FLAGGING_POLICIES


def changes_times(key: str) -> bool:
    """Whether the times that somebody is offered may hang on it."""
    return bool(rules_that_read(key)) or pays(key)


def pays(key: str) -> bool:
    """Whether it is about credits and what else a visit is paid with."""
    return key.startswith(f"{PAYING}.") or PAYING in {rule.key for rule in rules_that_read(key)}


class PolicyPreview:
    """Asks the rules twice, with what holds and with what might. Everything is of the actor's own prison."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        facts: FactsReader,
        placing: Placing,
        check: BookingCheck,
        at_once: int = VISITS_AT_ONCE,
    ) -> None:
        """`at_once`: so many visits are one part."""
        self._uow = uow
        self._clock = clock
        self._facts = facts
        self._placing = placing
        self._check = check
        self.at_once = at_once

    async def visits(
        self,
        actor: Actor,
        key: str,
        value: PolicyData,
        *,
        valid_from: datetime | None = None,
        cursor: str | None = None,
    ) -> VisitsThen:
        """Look at the next part of the visits that stand in the AHEAD from `valid_from` (default: now) on.

        Each is asked about as the nightly scan would, as of now. NotFound for an unknown key, Invalid for a value that
        it does not allow or a cursor that is none.
        """
        checked = _checked(key, value)
        own_prison(actor, actor.prison_id)
        begins = max(valid_from or self._clock(), self._clock())
        scope = BookingScope(after=begins, prison_id=actor.prison_id, starts_before=begins + AHEAD)
        async with self._uow(read_only=True) as u:
            total = await u.flags.count_bookings(scope)
            page = await u.flags.bookings(scope, PageRequest(self.at_once, cursor))
            then = supposing(u, key, checked)
            flagged, relieved, failed = [], 0, 0
            for booking in page.items:
                try:
                    found = {each.identity: each for each in (await self._check.check(u, booking)).found.reasons}
                    other = {each.identity: each for each in (await self._check.check(then, booking)).found.reasons}
                except DomainError:
                    log.warning("booking not looked at", booking_id=booking.id, exc_info=True)
                    failed += 1
                    continue
                if new := [reason for identity, reason in other.items() if identity not in found]:
                    flagged.append(VisitThen(booking, tuple(str(each.attributes.get("why", "")) for each in new)))
                relieved += bool(found.keys() - other.keys())
        return VisitsThen(
            begins, begins + AHEAD, total, len(page.items), tuple(flagged), relieved, failed, page.next_cursor
        )

    async def times(self, actor: Actor, key: str, value: PolicyData) -> TimesThen:
        """Ask for a few families which times they are offered in the coming AHEAD, as if the value held now.

        Whether their credits suffice is left out where the policy is not about that: one who has none left is offered
        nothing now, and would say nothing about the policy. Families with visits to come go first, those whose visit is
        next first of all. NotFound and Invalid as for `visits`.
        """
        checked = _checked(key, value)
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            pairs = await self._pairs(u, actor.prison_id or "")
            prison = await u.people.get_prison(actor.prison_id or "")
        first = self._clock().astimezone(prison.zone).date()
        refused = ALL_RULES if pays(key) else ALL_RULES - {PAYING}
        now = then = gained = lost = asked = 0

        @asynccontextmanager
        async def supposed(*, read_only: bool = False) -> AsyncIterator[UnitOfWork]:
            async with self._uow(read_only=True) as u:
                yield supposing(u, key, checked)

        for link in pairs:
            try:
                offered = await self._offered(self._uow, link, first, refused)
                other = await self._offered(supposed, link, first, refused)
            except DomainError:
                log.warning("times not looked at", relationship_id=link.id, exc_info=True)
                continue
            asked += 1
            now, then = now + len(offered), then + len(other)
            gained, lost = gained + len(other - offered), lost + len(offered - other)
        last = first + AHEAD - timedelta(days=1)
        return TimesThen(asked, first if asked else None, last if asked else None, now, then, gained, lost)

    async def _offered(
        self, uow: UnitOfWorkFactory, link: Relationship, first: date, refused: frozenset[str]
    ) -> set[str]:
        """The keys of the slots that none of the rules `refused` refuses to the family."""
        family = Actor(ActorKind.FAMILY, link.contact_id)
        slots = SlotService(uow, self._clock, self._facts, self._placing)
        found: set[str] = set()
        cursor: str | None = None
        while True:
            page = await slots.offers(
                family, link.id, PageRequest(MAX_LIMIT, cursor), first=first, days=AHEAD // timedelta(days=1)
            )
            found |= {each.slot.key for each in page.items if not refused.intersection(_refusing(each.decision))}
            cursor = page.next_cursor
            if cursor is None:
                return found

    async def _pairs(self, u: UnitOfWork, prison_id: str) -> Sequence[Relationship]:
        scope = BookingScope(after=self._clock(), prison_id=prison_id, starts_before=self._clock() + AHEAD)
        ids: dict[str, None] = {}
        visits = (await u.flags.bookings(scope, PageRequest(PEOPLE_AT_MOST))).items
        here = await u.people.prisoners(sorted({each.prisoner_id for each in visits}))
        for booking in visits:
            if here[booking.prisoner_id].prison_id == prison_id:
                ids.update({each.relationship_id: None for each in booking.participants if each.lead})
        found = [await u.rights.get_relationship(each) for each in list(ids)[:PAIRS]]
        if len(found) < PAIRS:
            for prisoner in (await u.people.search_prisoners(prison_id, "", PageRequest(PEOPLE_AT_MOST))).items:
                links = (await u.rights.relationships_of_prisoner(prisoner.id, PageRequest(MAX_LIMIT))).items
                usable = [each for each in links if each.state is RelationshipState.APPROVED and each.id not in ids]
                found += usable[:1]
                if len(found) >= PAIRS:
                    break
        return found[:PAIRS]


def _refusing(decision: Decision) -> Iterable[str]:
    return (result.key for result in decision.trace if result.outcome is Outcome.REFUSE)


def _checked(key: str, value: PolicyData) -> PolicyData:
    if key not in KEYS:
        raise NotFound("There is no such policy.")
    return KEYS[key].check(value)
