"""What decisions rest on besides the slot: the party, what stands for and against it, and what the prison has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property

from visitserver.domain import policies as keys
from visitserver.domain.actors import ActorKind
from visitserver.domain.appointments import Appointment
from visitserver.domain.blocks import Block, open_stations
from visitserver.domain.ledger import Ledger
from visitserver.domain.occupancy import Span
from visitserver.domain.owed import OwedAccount
from visitserver.domain.people import Contact, Prison, Prisoner
from visitserver.domain.policies import Policies
from visitserver.domain.rights import Alert, CountedVisit, NonAssociatedVisit, Relationship, Restriction
from visitserver.domain.rules.facts import Caller, Facts, Known, Missing, Room
from visitserver.domain.scheduling import SessionTerms, Slot, Station, SupervisionLevel
from visitserver.services.clock import today_at


@dataclass(frozen=True, slots=True)
class Party:
    """Who wants to talk: one prisoner, the lead's relationship first, then the others'."""

    prison: Prison
    prisoner: Prisoner
    relationships: tuple[Relationship, ...]
    contacts: Mapping[str, Contact]

    @property
    def contact_ids(self) -> tuple[str, ...]:
        return tuple(each.contact_id for each in self.relationships)

    @property
    def locks(self) -> tuple[str, ...]:
        """The names that booking takes, and that whoever changes a right takes too: the two never cross."""
        return (f"prisoner:{self.prisoner.id}", *(f"contact:{each}" for each in self.contact_ids))


@dataclass(frozen=True)
class Background:
    """What is the same for every slot that one party looks at. What follows from it is found out once."""

    party: Party
    now: datetime
    policies: Policies
    callers: tuple[Caller, ...]
    restrictions: Known[Sequence[Restriction]] | Missing
    ledger: Known[Ledger] | Missing
    alerts: Known[Sequence[Alert]] | Missing
    non_associated: Known[Sequence[NonAssociatedVisit]] | Missing
    visits: Known[Sequence[CountedVisit]] | Missing
    appointments: Known[Sequence[Appointment]] | Missing
    blocks: Known[Sequence[Block]] | Missing
    next_credit: date | None
    all_stations: Sequence[Station]
    asked_by: ActorKind
    owed: Known[OwedAccount] | Missing
    standing: bool = False
    deciding: bool = False
    own_day: date | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def stations(self) -> frozenset[str]:
        """The stations in use, blocked or not."""
        return frozenset(station.id for station in self.all_stations if station.active)

    @cached_property
    def _stations_of(self) -> dict[SessionTerms, frozenset[str]]:
        return {}

    @cached_property
    def _station_wings(self) -> Mapping[str, str]:
        return {each.id: each.wing_id for each in self.all_stations if each.wing_id is not None}

    @cached_property
    def _owed_minutes(self) -> Known[int] | Missing:
        return Known(self.owed.value.minutes) if isinstance(self.owed, Known) else self.owed

    @cached_property
    def _today(self) -> date:
        return today_at(self.party.prison, self.now)

    @cached_property
    def media_count(self) -> int | None:
        """How many calls the servers carry at once; None where there are no more stations than that anyway."""
        most = self.policies.number(keys.MEDIA_CALLS)
        return most if len(self.stations) > most else None

    def open_stations(self, slot: Slot) -> frozenset[str]:
        """The slot's stations that are in use and not blocked then. Blocks that could not be read block nothing here:
        the rule about them asks for a review.
        """
        stations = self._stations_of.get(slot.terms)
        if stations is None:
            stations = self._stations_of[slot.terms] = self.stations.intersection(slot.station_ids)
        if isinstance(self.blocks, Missing):
            return stations
        return open_stations(self.blocks.value, slot.template_id, stations, slot.starts_at, slot.ends_at)

    def may_be_watched(self, slot: Slot) -> bool:
        """Whether a call in the slot needs an officer watching live, as far as can be said without its day."""
        if self.party.relationships[0].call_kind.privileged:
            return False
        return slot.supervision is SupervisionLevel.LIVE or self._officer_wanted

    @cached_property
    def _officer_wanted(self) -> bool:
        return isinstance(self.restrictions, Known) and any(each.needs_officer for each in self.restrictions.value)

    @cached_property
    def buffer(self) -> timedelta:
        return buffer_of(self.policies)

    @cached_property
    def seat_count(self) -> int:
        return seat_count(self.policies)

    def span(self, slot: Slot) -> Span:
        """What a booking of the slot occupies."""
        return Span.of_call(slot.starts_at, slot.ends_at, buffer=self.buffer)

    def facts(self, slot: Slot, room: Known[Room] | Missing, *, already_charged: bool = False) -> Facts:
        """The facts about one slot."""
        return Facts(
            now=self.now,
            today=self._today,
            prison=self.party.prison,
            prisoner=self.party.prisoner,
            slot=slot,
            kind=self.party.relationships[0].call_kind,
            asked_by=self.asked_by,
            callers=self.callers,
            policies=self.policies,
            restrictions=self.restrictions,
            ledger=self.ledger,
            room=room,
            alerts=self.alerts,
            non_associated=self.non_associated,
            visits=self.visits,
            appointments=self.appointments,
            blocks=self.blocks,
            owed_minutes=self._owed_minutes,
            station_wings=self._station_wings,
            next_credit=self.next_credit,
            already_charged=already_charged,
            standing=self.standing,
            deciding=self.deciding,
            own_day=self.own_day,
            overrides=self.overrides,
        )


def buffer_of(policies: Policies) -> timedelta:
    """The pause after each call."""
    return timedelta(minutes=policies.number(keys.BUFFER_MINUTES))


def seat_count(policies: Policies) -> int:
    """How many calls can be watched live at one time."""
    return policies.number(keys.OFFICERS) * policies.number(keys.CALLS_PER_OFFICER)
