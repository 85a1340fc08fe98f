"""Opening calls: a room for every booking that is due, and a new one wherever a media node was lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from signaling.calls import BEFORE_LIVE, CallEvent, Phase, Recorder
from signaling.control import RoomControl
from signaling.errors import SignalingError, UnknownCall, WrongState
from signaling.ids import CallId, OrdinaryCallId
from signaling.media.leg import Kind, Side
from signaling.snapshot import RoomSnapshot
from signaling.tickets import CallCharter, RecordingPolicy, RecordingWarrant, Supervision, TicketIssuer
from visitserver.domain import policies as keys
from visitserver.domain.actors import Actor, system_actor
from visitserver.domain.calls import Call, OutcomeCode
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, DomainError
from visitserver.domain.recordings import Recording, RecordingState
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.services.call_access import call_id_of
from visitserver.services.call_history import event_of
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

log = structlog.get_logger(__name__)

ACTOR = system_actor("call_opener")
BATCH = 200
CHARTER_OUTLASTS = timedelta(hours=1)


class Expecting(Protocol):
    """What opening a call needs of services/recordings.py."""

    def expect(
        self,
        u: UnitOfWork,
        *,
        call_id: str,
        prison_id: str,
        prisoner_id: str,
        booking_id: str | None,
        policy_version: str,
        expected_end: datetime,
    ) -> Recording: ...

    async def started(self, recording_id: str) -> None: ...

    async def seal_known(self, actor: Actor, recording_id: str, request_id: str | None = None) -> bool: ...


class Closing(Protocol):
    """What it needs of services/booking.py."""

    async def close_within(
        self,
        u: UnitOfWork,
        actor: Actor,
        booking_id: str,
        state: BookingState,
        outcome: OutcomeCode,
        *,
        refund: bool,
        owed: int = 0,
        request_id: str | None = None,
    ) -> Booking: ...


class CallOpener:
    """`run_once` is called every few seconds by a job; it does whatever is due by the injected clock.

    Any number of them may run at once: a booking has one call (a unique key), a call one room (the directory).
    """

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        issuer: TicketIssuer,
        control: RoomControl,
        recordings: Expecting,
        bookings: Closing,
        new_call_id: Callable[..., CallId],
        *,
        continues: bool = False,
    ) -> None:
        """With `continues` a media node goes on with a recording that another has left open (docs/decisions/0132)."""
        self._uow = uow
        self._clock = clock
        self._issuer = issuer
        self._control = control
        self._recordings = recordings
        self._bookings = bookings
        self._new_call_id = new_call_id
        self._continues = continues
        self.settle: Callable[[], Awaitable[None]] | None = None
        """Waits until every event that was published so far is stored."""

    async def run_once(self) -> int:
        """Make the calls that are due; open or mend the rooms of those that are not over. How many there are."""
        # The next run tries again what went wrong. Whatever it was, the others must not wait for this one.
        for booking_id in await self._due():
            try:
                await self._make(booking_id)
            except DomainError as error:
                log.warning("call not made", booking_id=booking_id, code=error.code)
            except Exception:
                log.exception("call not made", booking_id=booking_id)
        async with self._uow(read_only=True) as u:
            unfinished = await u.calls.unfinished(BATCH * 10)
        for call in unfinished:
            try:
                await self._mend(call)
            except (SignalingError, DomainError) as error:
                log.warning("call not opened", call_id=call.id, code=error.code)
            except Exception:
                log.exception("call not opened", call_id=call.id)
        return len(unfinished)

    async def _due(self) -> list[str]:
        """The bookings whose waiting room opens now, or should have."""
        now = self._clock()
        lobby: dict[str, timedelta] = {}
        due: list[str] = []
        async with self._uow(read_only=True) as u:
            # The longest that any prison's waiting room opens ahead; then each one's own policy.
            horizon = now + timedelta(minutes=keys.LOBBY_MINUTES.highest)
            for booking in await u.calls.bookings_without_call(starts_before=horizon, limit=BATCH):
                if booking.prison_id not in lobby:
                    policies = await u.policies.at(booking.prison_id, now)
                    lobby[booking.prison_id] = timedelta(minutes=policies.number(keys.LOBBY_MINUTES))
                if now >= booking.starts_at - lobby[booking.prison_id]:
                    due.append(booking.id)
        return due

    # --- rows --------------------------------------------------------------------------------------------------

    async def _make(self, booking_id: str) -> None:
        """The call of a booking that is due, with its recording: one transaction."""
        try:
            async with self._uow() as u:
                booking = await u.scheduling.get_booking(booking_id)
                # The order of everybody who changes a booking: the prisoner's name first, then the row.
                await u.lock(f"prisoner:{booking.prisoner_id}")
                booking = await u.scheduling.get_booking(booking_id, for_update=True)
                now = self._clock()
                if booking.state is not BookingState.BOOKED or await u.calls.find_of_booking(booking.id):
                    return
                if now >= booking.ends_at:
                    await self._missed(u, booking)
                    return
                policies = await u.policies.at(booking.prison_id, now)
                lobby_opens_at = booking.starts_at - timedelta(minutes=policies.number(keys.LOBBY_MINUTES))
                recorded = policies.flag(keys.RECORDING_REQUIRED) and not booking.privileged
                call = Call(
                    id=self._new_call_id(privileged=booking.privileged),
                    booking_id=booking.id,
                    prison_id=booking.prison_id,
                    prisoner_id=booking.prisoner_id,
                    kind=booking.kind,
                    lobby_opens_at=lobby_opens_at,
                    starts_at=booking.starts_at,
                    ends_at=booking.ends_at,
                    recorded=recorded,
                    supervision=Supervision.NONE.value if booking.privileged else booking.supervision.value,
                    watch_banner=policies.flag(keys.WATCH_BANNER) and not booking.privileged,
                    policy_version=policies.used(keys.RECORDING_REQUIRED),
                    created_at=now,
                )
                if recorded:
                    call.recording_id = self._expect(u, call).id
                u.calls.add(call)
                u.audit.append("call.open", ACTOR, call.id, {"booking": booking.id}, prison_id=call.prison_id)
                await u.commit()
        except Conflict:
            log.info("booking was opened elsewhere", booking_id=booking_id)

    async def _missed(self, u: UnitOfWork, booking: Booking) -> None:
        """No call was opened in time: our fault, whatever it was."""
        whole = int((booking.ends_at - booking.starts_at).total_seconds())
        await self._bookings.close_within(
            u, ACTOR, booking.id, BookingState.FAILED, OutcomeCode.TECHNICAL_FAILURE, refund=True, owed=whole
        )
        await u.commit()
        log.error("booking passed without a call", booking_id=booking.id)

    def _expect(self, u: UnitOfWork, call: Call) -> Recording:
        return self._recordings.expect(
            u,
            call_id=call.id,
            prison_id=call.prison_id,
            prisoner_id=call.prisoner_id,
            booking_id=call.booking_id,
            policy_version=call.policy_version[:64],
            expected_end=call.ends_at,
        )

    # --- rooms -------------------------------------------------------------------------------------------------

    async def _mend(self, call: Call) -> None:
        """See that the call has its room, its room its recorder, and a cancelled one its end."""
        call_id = call_id_of(call.id)
        try:
            snapshot = await self._control.snapshot(call_id)
        except UnknownCall:
            opened = await self._open(call, call_id)
            if opened is None:
                return
            snapshot = opened
        if snapshot.phase in BEFORE_LIVE or snapshot.phase is Phase.SCHEDULED:
            async with self._uow(read_only=True) as u:
                booking = await u.scheduling.get_booking(call.booking_id)
            if booking.state is not BookingState.BOOKED:
                await self._control.cancel(call_id, "booking_cancelled")
                return
        missing = snapshot.recorder in (Recorder.ABSENT, Recorder.FAILED)
        if call.recorded and missing and snapshot.phase is not Phase.ENDING and isinstance(call_id, OrdinaryCallId):
            await self._record(call, call_id)

    async def _open(self, call: Call, call_id: CallId) -> RoomSnapshot | None:
        """A room with what is known of the call. None when the call proves to be over already."""
        charter = CallCharter(
            call_id=call_id,
            starts_at=call.starts_at,
            ends_at=call.ends_at,
            lobby_opens_at=call.lobby_opens_at,
            sides=(Side.FAMILY, Side.PRISONER),
            recording=RecordingPolicy.REQUIRED if call.recorded else RecordingPolicy.NONE,
            supervision=Supervision(call.supervision),
            watch_banner=call.watch_banner,
        )
        expires_at = max(call.ends_at, self._clock()) + CHARTER_OUTLASTS
        token = self._issuer.issue(charter, expires_at=expires_at)
        if call.last_sequence and self.settle is not None:
            # Its node is gone. What that published last belongs to the history with which the next one goes on.
            await self.settle()
        async with self._uow(read_only=True) as u:
            history: Sequence[CallEvent] = [event_of(row) for row in await u.calls.events(call.id)]
        try:
            return await self._control.open(token, history)
        except WrongState:
            log.warning("call is over, its outcome is to come", call_id=call.id)
            return None

    async def _record(self, call: Call, call_id: OrdinaryCallId) -> None:
        recording_id = await self._recording_id(call)
        warrant = RecordingWarrant(call_id, recording_id, (Kind.AUDIO, Kind.VIDEO), call.policy_version[:64])
        expires_at = max(call.ends_at, self._clock()) + CHARTER_OUTLASTS
        await self._control.attach_recorder(self._issuer.issue(warrant, expires_at=expires_at))
        await self._recordings.started(recording_id)

    @property
    def _going_on(self) -> frozenset[RecordingState]:
        begun = {RecordingState.RECORDING, RecordingState.PAUSED} if self._continues else set()
        return frozenset({RecordingState.PENDING, *begun})

    async def _recording_id(self, call: Call) -> str:
        """The recording that is expected, or was begun where it can be gone on with; else a new one.

        A part that is sealed is a recording of its own: nothing is ever added to it.
        """
        if self._continues and call.recording_id is not None:
            # Its node may have sealed it in good order, and nobody has heard of it yet.
            await self._recordings.seal_known(ACTOR, call.recording_id)
        async with self._uow() as u:
            current = await u.calls.get(call.id, for_update=True)
            if current.recording_id is not None:
                recording = await u.recordings.get(current.recording_id)
                if recording.state in self._going_on:
                    return recording.id
            current.recording_id = self._expect(u, current).id
            await u.commit()
            return current.recording_id
