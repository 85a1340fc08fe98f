"""Calls as people use them: who may join, who may watch, what is going on. Interventions are inherited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from signaling.control import RoomControl
from signaling.ids import OrdinaryCallId, new_id
from signaling.media.leg import Side
from signaling.snapshot import RoomSnapshot
from signaling.tickets import JoinTicket, MonitorWarrant, TalkWarrant, TicketIssuer
from visitserver.domain.actors import Actor
from visitserver.domain.calls import Call, StoredCallEvent, WatchGround
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Forbidden, Invalid, NotFound
from visitserver.domain.identity import CheckState
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.services.access_checks import own_booking, own_prison
from visitserver.services.booking_check import BookingCheck
from visitserver.services.call_access import call_id_of, ordinary_call_id, own_call
from visitserver.services.call_history import removed_from
from visitserver.services.facts import FactsReader
from visitserver.services.ice_servers import IceServer, IceServerSource, no_ice_servers
from visitserver.services.identity_standing import identity_standings
from visitserver.services.interventions import Interventions
from visitserver.services.ports.calls import CallFilter
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory
from visitserver.services.signaling_errors import signaling_errors
from visitserver.services.standing_right import note_turned_away, require_standing_right

TICKET_OUTLASTS = timedelta(minutes=10)
"""A ticket is good a little longer than its call: the call's end decides, not two clocks."""

WARRANT_LASTS = timedelta(hours=1)
"""A warrant is renewed by whoever goes on watching, and each renewal is logged."""

TALK_BEGINS_WITHIN = timedelta(minutes=1)

WALL_CALLS = 16


@dataclass(frozen=True, slots=True)
class JoinPass:
    """What a participant's page needs. `media_url` is the media node's origin, empty for this one's own."""

    call_id: str
    participant_id: str
    ticket: str
    media_url: str
    expires_at: datetime
    ice_servers: tuple[IceServer, ...] = ()


@dataclass(frozen=True, slots=True)
class WatchPass:
    """What an officer's page needs, for one call or for several of one wall."""

    call_ids: tuple[str, ...]
    warrant: str
    media_urls: dict[str, str]
    expires_at: datetime
    ice_servers: tuple[IceServer, ...] = ()


@dataclass(frozen=True, slots=True)
class TalkPass:
    """What an officer's page shows to be heard."""

    warrant: str
    expires_at: datetime


class CallService(Interventions):
    """The use cases of calls."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        issuer: TicketIssuer,
        control: RoomControl,
        ice_servers: IceServerSource = no_ice_servers,
        check: BookingCheck | None = None,
    ) -> None:
        super().__init__(uow, control)
        self._check = check or BookingCheck(clock, FactsReader(identity_standings, new_id=new_id))
        self._ice_servers = ice_servers
        self._clock = clock
        self._issuer = issuer

    # --- joining -----------------------------------------------------------------------------------------------

    async def join_ticket(
        self, actor: Actor, booking_id: str, *, station_id: str | None = None, request_id: str | None = None
    ) -> JoinPass:
        """A ticket for the actor's own visit.

        A caller needs an identity check of this booking that has passed (Forbidden, code `identity_required`: this is
        how no picture is sent before identity); a prisoner is signed in at `station_id`, a terminal of the prison
        (Forbidden, code `terminal_required`). NotFound for anybody else's booking; Conflict `call_not_open` before the
        waiting room opens, `call_over`, `booking_state`, `right_lost` (services/standing_right.py), `removed` for whom
        an officer has taken out of this call; Unavailable.
        """
        async with self._uow() as u:
            booking = await u.scheduling.get_booking(booking_id)
            own_booking(actor, booking)
            call = await self._open_call(u, booking)
            if actor.id in removed_from(await u.calls.events(call.id)):
                raise Conflict("An officer has taken you out of this visit.", code="removed")
            try:
                await require_standing_right(u, booking, call, self._check)
            except Conflict:
                # Noted although nothing else is done: nobody pays for a visit they were turned away from.
                await note_turned_away(u, actor, call, request_id)
                await u.commit()
                raise
            if actor.is_family:
                ticket = await self._caller_ticket(u, actor, booking, call)
            elif actor.is_prisoner:
                ticket = await self._prisoner_ticket(u, actor, booking, call, station_id)
            else:
                raise Forbidden("Only the people of a visit join it.")
            data = {"participant": ticket.participant_id, "check": ticket.identity_check_id}
            u.audit.append("call.ticket", actor, call.id, data, request_id, prison_id=call.prison_id)
            await u.commit()
        expires_at = call.ends_at + TICKET_OUTLASTS
        with signaling_errors():
            media_url = await self._control.media_url(ticket.call_id)
        signed = self._issuer.issue(ticket, expires_at=expires_at)
        servers = tuple(self._ice_servers())
        return JoinPass(call.id, ticket.participant_id, signed, media_url, expires_at, servers)

    async def _open_call(self, u: UnitOfWork, booking: Booking) -> Call:
        call = await u.calls.find_of_booking(booking.id)
        if call is not None and call.over:
            raise Conflict("This visit is over.", code="call_over")
        if booking.state is not BookingState.BOOKED:
            raise Conflict("This visit does not take place.", code="booking_state")
        if call is None or self._clock() < call.lobby_opens_at:
            raise Conflict("The waiting room is not open yet.", code="call_not_open")
        if self._clock() >= call.ends_at:
            raise Conflict("This visit is over.", code="call_over")
        return call

    async def _caller_ticket(self, u: UnitOfWork, actor: Actor, booking: Booking, call: Call) -> JoinTicket:
        checks = [check for check in await u.identity.checks_of_booking(booking.id) if check.contact_id == actor.id]
        if not checks or checks[-1].state is not CheckState.PASSED:
            raise Forbidden("Your identity has not been checked for this visit yet.", code="identity_required")
        contact = await u.people.get_contact(actor.id)
        return JoinTicket(call_id_of(call.id), contact.id, Side.FAMILY, contact.name, checks[-1].id)

    async def _prisoner_ticket(
        self, u: UnitOfWork, actor: Actor, booking: Booking, call: Call, station_id: str | None
    ) -> JoinTicket:
        if station_id is None or (await u.scheduling.get_station(station_id)).prison_id != booking.prison_id:
            raise Forbidden("Join from a terminal of the prison.", code="terminal_required")
        prisoner = await u.people.get_prisoner(actor.id)
        if prisoner.prison_id != booking.prison_id:
            raise Conflict("This visit does not take place.", code="prisoner_moved")
        return JoinTicket(call_id_of(call.id), prisoner.id, Side.PRISONER, prisoner.name, f"terminal:{station_id}")

    # --- watching ----------------------------------------------------------------------------------------------

    async def monitor_warrant(
        self,
        actor: Actor,
        call_id: OrdinaryCallId,
        ground: WatchGround,
        *,
        detail: str = "",
        may_talk: bool = False,
        request_id: str | None = None,
    ) -> WatchPass:
        """A warrant to watch one call; see `wall_warrant`."""
        return await self.wall_warrant(
            actor, (call_id,), ground, detail=detail, may_talk=may_talk, request_id=request_id
        )

    async def wall_warrant(
        self,
        actor: Actor,
        call_ids: Sequence[OrdinaryCallId],
        ground: WatchGround,
        *,
        detail: str = "",
        may_talk: bool = False,
        request_id: str | None = None,
    ) -> WatchPass:
        """A warrant to watch up to 16 ordinary calls of the actor's prison for an hour, with one audit row for each.

        `detail` (up to 400 characters: who authorised it, a number) goes with the ground into the call's events, as
        reasons do, and not into the audit log. `may_talk`: the actor's role may speak in calls; each time needs a
        `talk_warrant` besides.

        `ordinary_call_id` (services/call_access.py) makes the identifiers; whatever the type says, a privileged call is
        Forbidden (code `privileged_call`). NotFound for another prison's call, Conflict when one is over, Unavailable.
        """
        if not actor.is_staff:
            raise Forbidden("Only staff watch a call.")
        if not 1 <= len(call_ids) <= WALL_CALLS:
            raise Invalid(f"Watch 1 to {WALL_CALLS} calls.", field="call_ids")
        if len(detail) > 400:
            raise Invalid("Write at most 400 characters.", code="too_long", field="detail")
        wanted = tuple(ordinary_call_id(call_id) for call_id in call_ids)
        async with self._uow() as u:
            for call_id in wanted:
                call = await own_call(u, actor, call_id)
                if call.over:
                    raise Conflict("The call is over.", code="call_over")
                data = {"ground": ground.value}
                u.audit.append("call.watch", actor, call.id, data, request_id, prison_id=call.prison_id)
            await u.commit()
        with signaling_errors():
            media_urls = {str(call_id): await self._control.media_url(call_id) for call_id in wanted}
        expires_at = self._clock() + WARRANT_LASTS
        stated = f"{ground.value}: {detail}" if detail else ground.value
        warrant = self._issuer.issue(MonitorWarrant(wanted, actor.id, stated, may_talk), expires_at=expires_at)
        servers = tuple(self._ice_servers())
        return WatchPass(tuple(str(call_id) for call_id in wanted), warrant, media_urls, expires_at, servers)

    async def talk_warrant(
        self, actor: Actor, call_id: OrdinaryCallId, sides: Sequence[Side], *, request_id: str | None = None
    ) -> TalkPass:
        """A warrant to be heard by `sides` of one call, to be used within a minute, with its audit row.

        Forbidden (code `privileged_call`) for a privileged call, whatever the type says; NotFound for another prison's;
        Conflict when it is over.
        """
        if not actor.is_staff:
            raise Forbidden("Only staff speak in a call.")
        wanted = ordinary_call_id(call_id)
        async with self._uow() as u:
            call = await own_call(u, actor, wanted)
            if call.over:
                raise Conflict("The call is over.", code="call_over")
            data = {"sides": [side.value for side in sides]}
            u.audit.append("call.talk", actor, call.id, data, request_id, prison_id=call.prison_id)
            await u.commit()
        expires_at = self._clock() + TALK_BEGINS_WITHIN
        warrant = self._issuer.issue(TalkWarrant(wanted, actor.id, tuple(sides)), expires_at=expires_at)
        return TalkPass(warrant, expires_at)

    # --- looking -----------------------------------------------------------------------------------------------

    async def get(self, actor: Actor, call_id: str) -> Call:
        """One call, for staff of its prison. NotFound."""
        async with self._uow(read_only=True) as u:
            return await own_call(u, actor, call_id)

    async def of_booking(self, actor: Actor, booking_id: str) -> Call | None:
        """The call of a booking, for its people and staff of its prison; None before its waiting room opens."""
        async with self._uow(read_only=True) as u:
            own_booking(actor, await u.scheduling.get_booking(booking_id))
            return await u.calls.find_of_booking(booking_id)

    async def list(self, actor: Actor, wanted: CallFilter, page: PageRequest) -> Page[Call]:
        """Calls of the actor's prison in order of start. NotFound for another prison's."""
        own_prison(actor, wanted.prison_id)
        async with self._uow(read_only=True) as u:
            return await u.calls.calls(wanted, page)

    async def events(self, actor: Actor, call_id: str, after: int = 0) -> Sequence[StoredCallEvent]:
        """What happened in a call, as stored. NotFound."""
        async with self._uow(read_only=True) as u:
            await own_call(u, actor, call_id)
            return await u.calls.events(call_id, after)

    async def snapshot(self, actor: Actor, call_id: str) -> RoomSnapshot:
        """The call's room now, for staff of its prison. NotFound, also when no room is open; Unavailable."""
        async with self._uow(read_only=True) as u:
            await own_call(u, actor, call_id)
        with signaling_errors():
            return await self._control.snapshot(call_id_of(call_id))

    async def wall(self, actor: Actor) -> Sequence[RoomSnapshot]:
        """Every open room of the actor's prison now, soonest start first: the wall's tiles.

        Privileged calls are among them, as times without a picture. NotFound for whoever is not staff.
        """
        if not actor.is_staff or actor.prison_id is None:
            raise NotFound("There is no such thing here.")
        with signaling_errors():
            snapshots = {snapshot.call_id: snapshot for snapshot in await self._control.snapshots()}
        async with self._uow(read_only=True) as u:
            open_calls = [call for call in await u.calls.unfinished(1000) if call.prison_id == actor.prison_id]
        return [snapshots[call.id] for call in open_calls if call.id in snapshots]
