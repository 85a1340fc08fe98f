"""What services need of the store about everything that one decision rests on, in as few questions as can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from visitserver.domain.allowance import LedgerEvent
from visitserver.domain.appointments import Appointment
from visitserver.domain.blocks import Block
from visitserver.domain.occupancy import Resource, ResourceKind, Span
from visitserver.domain.owed import OwedEvent
from visitserver.domain.people import Contact, Prison, Prisoner
from visitserver.domain.policies import Policies
from visitserver.domain.rights import (
    Alert,
    CountedVisit,
    NonAssociatedVisit,
    NonAssociation,
    Relationship,
    Restriction,
)
from visitserver.domain.scheduling import SessionTemplate, Station


@dataclass(frozen=True, slots=True)
class LinkRows:
    """Relationships in the order asked for, and what says whom they concern."""

    links: tuple[Relationship, ...]
    prison_id: str | None
    non_associations: Sequence[NonAssociation]


@dataclass(frozen=True, slots=True)
class PartyRows:
    """Who looks for times, and where. `prison` is where the prisoner is; the rest is that prison's, as of one moment.

    `templates` are those that have not ended before the day that was asked for.
    """

    prisoner: Prisoner
    prison: Prison | None
    contacts: Mapping[str, Contact]
    policies: Policies
    templates: Sequence[SessionTemplate]


@dataclass(frozen=True, slots=True)
class PlaceRows:
    """What a place is taken for, all of one moment. `prison` is where the prisoner is, `venue` the session's.

    `stations`: how many of the prison's are in use. `lapsed`: whether holds that are over stand around the time.
    `held`: the bookings that the holder keeps as lead.
    """

    links: tuple[Relationship, ...]
    prisoner: Prisoner
    prison: Prison | None
    contacts: Mapping[str, Contact]
    policies: Policies
    non_associations: Sequence[NonAssociation]
    template: SessionTemplate
    venue: Prison
    stations: int
    lapsed: bool
    held: Sequence[str]


@dataclass(frozen=True, slots=True)
class DaysQuery:
    """Whom and which days a decision is about. `whole` is the time of the days, in UTC.

    Visits count that start from `counted_from` to before `counted_before`. `but`: the booking that is looked at. `room`
    asks for what is taken, too.
    """

    prisoner_id: str
    prison_id: str
    contact_ids: tuple[str, ...]
    relationship_ids: tuple[str, ...]
    zone: ZoneInfo
    first: date
    last: date
    whole: Span
    counted_from: datetime
    counted_before: datetime
    but: str | None
    room: RoomQuery | None = None


@dataclass(frozen=True, slots=True)
class RoomQuery:
    """Which of the resources are taken within `span`, but by the booking `but`, and how many places of the sessions."""

    resources: Sequence[Resource]
    template_ids: Sequence[str]
    span: Span
    but: str | None


class RoomRows(Protocol):
    """What is taken. Each raises ValueError for rows that say what nobody knows."""

    def spans(self) -> Sequence[tuple[ResourceKind, Span, Sequence[str]]]:
        """When the resources are taken: of one kind, those (by id) that are taken for the same time."""
        ...

    def places(self) -> dict[str, int]:
        """How many bookings stand (held ones too) on each slot that starts within the span, by its key."""
        ...


class DaysRows(RoomRows, Protocol):
    """The answers, each of one source. Reading one raises ValueError for rows that say what nobody knows."""

    def restrictions(self) -> Sequence[Restriction]:
        """In force on some of the days, and touching one of the people or relationships."""
        ...

    def alerts(self) -> Sequence[Alert]:
        """In force on the prisoner on some of the days."""
        ...

    def non_associated(self) -> Sequence[NonAssociatedVisit]:
        """Open bookings at the prison, a day around, of anybody whom the prisoner must not meet."""
        ...

    def visits(self) -> Sequence[CountedVisit]:
        """The prisoner's others that count."""
        ...

    def appointments(self) -> Sequence[Appointment]: ...

    def blocks(self) -> Sequence[Block]: ...

    def ledger(self) -> Sequence[LedgerEvent]:
        """The prisoner's, in order."""
        ...

    def owed(self) -> Sequence[OwedEvent]:
        """The account of minutes owed to the first relationship, in order."""
        ...

    def stations(self) -> Sequence[Station]:
        """The prison's, by name, the inactive ones too."""
        ...

    def starts_at(self) -> datetime | None:
        """When the booking that is looked at begins."""
        ...


class Facts(Protocol):
    """One statement each."""

    async def links(self, relationship_ids: Sequence[str]) -> LinkRows:
        """NotFound when one of them is not there."""
        ...

    async def party(self, links: Sequence[Relationship], *, at: datetime, first: date) -> PartyRows:
        """What is so at `at`, and the sessions that take place on `first` or later. NotFound without the prisoner."""
        ...

    async def place(
        self,
        links: Sequence[Relationship],
        template_id: str,
        *,
        at: datetime,
        around: tuple[datetime, datetime],
        holder: str | None,
        but: str | None,
    ) -> PlaceRows:
        """What is so now, at `at`. `around`: where holds that are over are looked for, but for the booking `but`.

        `holder`: the contact whose own holds are looked for. NotFound when the session is not there.
        """
        ...

    async def days(self, wanted: DaysQuery) -> DaysRows: ...

    async def room(self, wanted: RoomQuery) -> RoomRows: ...
