"""What the rules may know about one wished-for visit. Every source is either known or missing, never guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Generic, NoReturn, TypeVar

from visitserver.domain.actors import ActorKind
from visitserver.domain.appointments import Appointment
from visitserver.domain.blocks import Block
from visitserver.domain.calls import CallKind
from visitserver.domain.ledger import Ledger
from visitserver.domain.people import Contact, Prison, Prisoner
from visitserver.domain.policies import Policies
from visitserver.domain.rights import Alert, CountedVisit, NonAssociatedVisit, Relationship, Restriction
from visitserver.domain.scheduling import Slot

T = TypeVar("T")


class SourceMissing(Exception):
    """A rule asked for something whose source failed. The engine turns this into REVIEW."""

    def __init__(self, source: str, why: str) -> None:
        super().__init__(source)
        self.source = source
        self.why = why


@dataclass(frozen=True, slots=True)
class Known(Generic[T]):
    """A source that answered."""

    value: T

    def need(self) -> T:
        return self.value


@dataclass(frozen=True, slots=True)
class Missing:
    """A source that did not answer: its name, and why in a code."""

    source: str
    why: str

    def need(self) -> NoReturn:
        """Raises SourceMissing."""
        raise SourceMissing(self.source, self.why)


@dataclass(frozen=True, slots=True)
class IdentityStanding:
    """Whether a person decided that this contact is who they say, until when, and in which record."""

    approved: bool
    expires_at: datetime | None = None
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """A person outside who wants to be on the call, with the relationship that the booking rests on."""

    contact: Contact
    relationship: Relationship
    lead: bool = False
    identity: Known[IdentityStanding] | Missing = field(default=Known(IdentityStanding(approved=False)))


@dataclass(frozen=True, slots=True)
class Room:
    """What is left around the slot's time. The booking's own hold is not counted against it.

    `prisoner_busy` and `busy_contacts` are about this very time, buffer included. `free_stations` are those that are
    in use, neither taken nor blocked. `free_supervised` is what is left of the template's live-watched calls; None
    where it has no such limit.
    """

    prisoner_busy: bool
    busy_contacts: frozenset[str]
    free_places: int
    free_stations: int
    free_seats: int
    free_media: int = 1
    free_supervised: int | None = None

    def free(self, *, watched: bool) -> int:
        """How many more such visits there is room for, 0 or more: the least of everything that one needs (rule 15)."""
        least = min(self.free_places, self.free_stations, self.free_media)
        if watched:
            least = min(least, self.free_seats, least if self.free_supervised is None else self.free_supervised)
        return max(0, least)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the rules may look at. `today` is the prison's day; `next_credit` is when one comes, if one will.

    `alerts` are the prisoner's, `non_associated` other prisoners' bookings that may stand in the way, `visits` the
    prisoner's own others of the weeks and the month around (this booking is not among them), `owed_minutes` what lost
    visits owe to the lead caller's relationship, `station_wings` the wings of the prison's stations as far as they are
    known. `standing`: it has been asked for or booked already, and is looked at again. `deciding`: it is a request, and
    a person decides it now; what was asked of the moment of asking has been answered then. `own_day`: the day that the
    booking which is looked at has now. `overrides` are rule keys that staff set aside, each with the reason.

    All but `slot` and `room` is the same for every visit that one party asks about at one moment: see rules/scope.py.
    """

    now: datetime
    today: date
    prison: Prison
    prisoner: Prisoner
    slot: Slot
    kind: CallKind
    asked_by: ActorKind
    callers: tuple[Caller, ...]
    policies: Policies
    restrictions: Known[Sequence[Restriction]] | Missing
    ledger: Known[Ledger] | Missing
    room: Known[Room] | Missing
    alerts: Known[Sequence[Alert]] | Missing
    non_associated: Known[Sequence[NonAssociatedVisit]] | Missing
    visits: Known[Sequence[CountedVisit]] | Missing
    appointments: Known[Sequence[Appointment]] | Missing
    blocks: Known[Sequence[Block]] | Missing
    owed_minutes: Known[int] | Missing = Known(0)
    station_wings: Mapping[str, str] = field(default_factory=dict)
    next_credit: date | None = None
    already_charged: bool = False
    standing: bool = False
    deciding: bool = False
    own_day: date | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def lead(self) -> Caller:
        return next(caller for caller in self.callers if caller.lead)
