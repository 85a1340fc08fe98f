"""How far the answer of a rule reaches: which visits that one party asks about must get the same one.

Each rule says in its `of=` what it is about, and its check takes that kind of facts. So the type checker proves that a
rule of the day looks at nothing but the day and the party, and the engine may ask it once for all times of a day.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Generic, Protocol, TypeVar

from visitserver.domain.actors import ActorKind
from visitserver.domain.appointments import Appointment
from visitserver.domain.blocks import Block
from visitserver.domain.calls import CallKind
from visitserver.domain.ledger import Ledger
from visitserver.domain.people import Prison, Prisoner
from visitserver.domain.policies import Policies
from visitserver.domain.rights import Alert, CountedVisit, NonAssociatedVisit, Restriction
from visitserver.domain.rules.facts import Caller, Facts, Known, Missing, Room
from visitserver.domain.scheduling import SessionTerms

F = TypeVar("F")


class OfParty(Protocol):
    """What is the same for every visit that one party asks about at one moment. See Facts for the fields."""

    @property
    def now(self) -> datetime: ...
    @property
    def today(self) -> date: ...
    @property
    def prison(self) -> Prison: ...
    @property
    def prisoner(self) -> Prisoner: ...
    @property
    def kind(self) -> CallKind: ...
    @property
    def asked_by(self) -> ActorKind: ...
    @property
    def callers(self) -> tuple[Caller, ...]: ...
    @property
    def lead(self) -> Caller: ...
    @property
    def policies(self) -> Policies: ...
    @property
    def restrictions(self) -> Known[Sequence[Restriction]] | Missing: ...
    @property
    def ledger(self) -> Known[Ledger] | Missing: ...
    @property
    def alerts(self) -> Known[Sequence[Alert]] | Missing: ...
    @property
    def non_associated(self) -> Known[Sequence[NonAssociatedVisit]] | Missing: ...
    @property
    def visits(self) -> Known[Sequence[CountedVisit]] | Missing: ...
    @property
    def appointments(self) -> Known[Sequence[Appointment]] | Missing: ...
    @property
    def blocks(self) -> Known[Sequence[Block]] | Missing: ...
    @property
    def owed_minutes(self) -> Known[int] | Missing: ...
    @property
    def station_wings(self) -> Mapping[str, str]: ...
    @property
    def next_credit(self) -> date | None: ...
    @property
    def already_charged(self) -> bool: ...
    @property
    def standing(self) -> bool: ...
    @property
    def deciding(self) -> bool: ...
    @property
    def own_day(self) -> date | None: ...
    @property
    def overrides(self) -> Mapping[str, str]: ...


class Dated(Protocol):
    """Of a slot its day."""

    @property
    def day(self) -> date: ...


class OfDay(OfParty, Protocol):
    """The same, and the prison's day of the visit."""

    @property
    def slot(self) -> Dated: ...


class InSession(Protocol):
    """Of a slot what it has in common with all slots of its session."""

    @property
    def terms(self) -> SessionTerms: ...


class OfSession(OfParty, Protocol):
    """The same, and the session."""

    @property
    def slot(self) -> InSession: ...


class OfRoom(OfParty, Protocol):
    """The same, and what is left at the time, whenever that is."""

    @property
    def room(self) -> Known[Room] | Missing: ...


@dataclass(frozen=True, slots=True)
class Scope(Generic[F]):
    """What a rule is about. Visits of one party for which `key` is the same get the same answer; None: each its own."""

    name: str
    key: Callable[[F], Hashable] | None


PARTY: Final[Scope[OfParty]] = Scope("party", lambda facts: ())
DAY: Final[Scope[OfDay]] = Scope("day", lambda facts: facts.slot.day)
SESSION: Final[Scope[OfSession]] = Scope("session", lambda facts: facts.slot.terms)
ROOM: Final[Scope[OfRoom]] = Scope("room", lambda facts: facts.room)
VISIT: Final[Scope[Facts]] = Scope("visit", None)

SCOPES: Final[tuple[Scope[Any], ...]] = (PARTY, DAY, SESSION, ROOM, VISIT)
