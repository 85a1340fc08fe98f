"""Call events into the store: each once, none missing; and what a call's end means for booking and recording."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

import structlog

from signaling.bus import Bus, Subscription
from signaling.calls import FINAL, IN_PROGRESS, CallEvent, CallState, EventType, replay
from signaling.commands import CALL_EVENT_TOPIC
from signaling.control import RoomControl
from signaling.errors import BusTimeout, SignalingError, Unavailable, UnknownCall
from signaling.ids import new_id
from signaling.recorder_leg import PASSING_FAILURES
from visitserver.domain.actors import Actor, system_actor
from visitserver.domain.call_outcomes import CallEnd, account_for
from visitserver.domain.call_telemetry import FAMILY, trace_of
from visitserver.domain.calls import Call, CallPhase
from visitserver.domain.errors import DomainError, NotFound
from visitserver.domain.identity import CheckState
from visitserver.domain.scheduling import BookingState
from visitserver.services.call_access import call_id_of
from visitserver.services.call_history import event_of, row_of
from visitserver.services.call_opening import Closing
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory
from visitserver.services.standing_right import was_turned_away

log = structlog.get_logger(__name__)

ACTOR = system_actor("call_events")
MOST_TOKENS = 10_000


class RecordingLife(Protocol):
    """What call events tell services/recordings.py."""

    async def started(self, recording_id: str) -> None: ...

    async def paused(self, recording_id: str, is_paused: bool) -> None: ...

    async def seal_known(self, actor: Actor, recording_id: str, request_id: str | None = None) -> bool: ...

    async def failed(self, actor: Actor, recording_id: str, cause: str, request_id: str | None = None) -> None: ...


class CallEventConsumer:
    """Follows the bus. What it misses (a slow moment, a restart, a database that was away) it asks the media node for.

    `run` until stopped; `catch_up` now and then, from a job.
    """

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        bus: Bus,
        control: RoomControl,
        recordings: RecordingLife,
        bookings: Closing,
    ) -> None:
        self._uow = uow
        self._bus = bus
        self._control = control
        self._recordings = recordings
        self._bookings = bookings
        self._end: str | None = None
        self._marks: dict[str, asyncio.Event] = {}
        self._tokens: dict[str, int] = {}  # by call: the newest placement that an event came from
        self._running = asyncio.Event()
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Store every event that is published from now on, until `stop`."""
        self._running.set()
        try:
            await self._follow()
        finally:
            self._running.clear()
            self._stopped.set()

    async def stop(self, timeout: float = 10.0) -> None:
        """End `run` once everything that has been published so far is stored; at the latest after `timeout` seconds.

        Called after the media nodes have stopped, so that their last events are not lost.
        """
        if not self._running.is_set():
            return
        self._end = new_id("end")
        await self._bus.publish(CALL_EVENT_TOPIC, {"end": self._end})
        try:
            async with asyncio.timeout(timeout):
                await self._stopped.wait()
        except TimeoutError:
            log.warning("call events still to be stored at the end")

    async def settle(self, timeout: float = 10.0) -> None:
        """Wait until everything that has been published so far is stored. Unavailable after `timeout` seconds, or when
        the bus is away; nothing happens while `run` does not.
        """
        if not self._running.is_set():
            return
        mark = new_id("mrk")
        reached = self._marks[mark] = asyncio.Event()
        try:
            await self._bus.publish(CALL_EVENT_TOPIC, {"mark": mark})
            async with asyncio.timeout(timeout):
                await reached.wait()
        except TimeoutError:
            raise BusTimeout("call events are still to be stored") from None
        finally:
            del self._marks[mark]

    async def _follow(self) -> None:
        async with await self._subscribe() as subscription:
            async for message in subscription:
                if "end" in message.payload:
                    if message.payload["end"] == self._end:
                        return
                    continue
                if "mark" in message.payload:
                    if (reached := self._marks.get(str(message.payload["mark"]))) is not None:
                        reached.set()
                    continue
                if message.lost:
                    log.warning("call events lost on the bus", count=message.lost)
                if self._is_stale(message.payload):
                    continue
                try:
                    await self.take([CallEvent.from_json(message.payload)])
                except (DomainError, SignalingError) as error:
                    # catch_up comes back to it: the media node still has it.
                    log.warning("call event not stored", code=error.code)
                except Exception:
                    log.exception("call event not stored")

    async def _subscribe(self) -> Subscription:
        while True:
            try:
                return await self._bus.subscribe(CALL_EVENT_TOPIC)
            except Unavailable:
                log.warning("bus not reached", topic=CALL_EVENT_TOPIC)
                await asyncio.sleep(1.0)

    def _is_stale(self, payload: Mapping[str, Any]) -> bool:
        """Whether an event comes from a node that had lost its call when another's event had been heard already."""
        call_id, token = str(payload.get("call_id")), int(payload.get("token", 0))
        newest = self._tokens.pop(call_id, 0)
        self._tokens[call_id] = max(newest, token)
        while len(self._tokens) > MOST_TOKENS:
            del self._tokens[next(iter(self._tokens))]
        if token < newest:
            log.warning("event of a node that had lost the call", call_id=call_id, sequence=payload.get("sequence"))
        return token < newest

    async def catch_up(self) -> None:
        """Ask for whatever the open calls' rows are missing."""
        async with self._uow(read_only=True) as u:
            unfinished = await u.calls.unfinished(2000)
        for call in unfinished:
            try:
                await self.take(await self._control.events(call_id_of(call.id), call.last_sequence))
            except UnknownCall:
                continue
            except (DomainError, SignalingError) as error:
                log.warning("call events not caught up", call_id=call.id, code=error.code)
            except Exception:
                # One call's broken history must not keep the others from their end.
                log.exception("call events not caught up", call_id=call.id)

    async def take(self, events: Sequence[CallEvent]) -> None:
        """Store events of one call. Those stored already change nothing; a hole before them is filled first."""
        if not events:
            return
        call_id = str(events[0].call_id)
        async with self._uow(read_only=True) as u:
            try:
                stored = (await u.calls.get(call_id)).last_sequence
            except NotFound:
                log.warning("event of a call that is not ours", call_id=call_id)
                return
        if events[0].sequence > stored + 1:
            events = await self._control.events(call_id_of(call_id), stored)
        for follow_up in await self._store(call_id, events):
            try:
                await follow_up()
            except DomainError as error:
                # The events are stored. What a recording missed here, services/recording_care.py finds later.
                log.error("recording not told", call_id=call_id, code=error.code)

    async def _store(self, call_id: str, events: Sequence[CallEvent]) -> list[Callable[[], Awaitable[object]]]:
        """One transaction: rows, the call, and at its end the booking. What is to be done after it."""
        async with self._uow() as u:
            call = await u.calls.get(call_id, for_update=True)
            new = [event for event in events if event.sequence > call.last_sequence]
            if not new:
                return []
            if new[0].sequence != call.last_sequence + 1:
                log.warning("hole in a call's events", call_id=call_id, expected=call.last_sequence + 1)
                return []
            before = [event_of(row) for row in await u.calls.events(call_id)]
            state = replay([*before, *new])
            for event in new:
                u.calls.add(row_of(event))
            call.last_sequence = state.sequence
            call.phase = CallPhase(state.phase.value)
            call.connected_seconds = int(state.connected_seconds(new[-1].at))
            if state.phase in FINAL:
                await self._close(u, call, state, [*before, *new])
            await u.commit()
        return self._recording_steps(before, new)

    async def _close(self, u: UnitOfWork, call: Call, state: CallState, events: Sequence[CallEvent]) -> None:
        final = events[-1]
        checks = await u.identity.checks_of_booking(call.booking_id)
        scheduled = (call.ends_at - call.starts_at) / timedelta(seconds=1)
        trace = trace_of([row_of(event) for event in events], until=call.ends_at)
        at_door = min((check.created_at for check in checks), default=None)
        call.lost_seconds = int(trace.lost(call.starts_at, call.ends_at, at_door_since=at_door).total_seconds())
        verdict = account_for(
            CallEnd(
                phase=call.phase,
                cause=state.cause,
                sides=frozenset(final.data.get("sides", ())),
                hung_up=_hung_up(events),
                share=call.connected_seconds / scheduled,
                check_pending=any(check.state is CheckState.REVIEW for check in checks),
                check_refused=any(check.state is CheckState.REFUSED for check in checks),
                right_lost=await was_turned_away(u, call),
                lost_share=call.lost_seconds / scheduled,
                line_shown=trace.line_was_there(call.starts_at, call.ends_at),
                caller_walked_out=bool(trace.walked_out & FAMILY),
            )
        )
        call.outcome, call.cause, call.ended_at = verdict.outcome, state.cause, final.at
        booking = await u.scheduling.get_booking(call.booking_id)
        if booking.state is BookingState.BOOKED:
            await self._bookings.close_within(
                u, ACTOR, booking.id, verdict.state, verdict.outcome, refund=verdict.refund, owed=call.owed_seconds
            )

    def _recording_steps(
        self, before: Sequence[CallEvent], new: Sequence[CallEvent]
    ) -> list[Callable[[], Awaitable[object]]]:
        """What events mean for recordings; each a transaction of its own, harmless when it comes twice.

        A call may have several recordings one after the other: an event is about the one that was attached then.
        """
        attached: str | None = None
        for event in before:
            attached = _attached_after(event, attached)
        steps: list[Callable[[], Awaitable[object]]] = []
        for event in new:
            attached = _attached_after(event, attached)
            steps += self._recording_step(attached, event)
        return steps

    def _recording_step(self, attached: str | None, event: CallEvent) -> list[Callable[[], Awaitable[object]]]:
        recordings = self._recordings
        if event.type is EventType.RECORDER_SEALED:
            return [lambda: recordings.seal_known(ACTOR, str(event.data["recording_id"]))]
        if attached is None:
            return []
        if event.type is EventType.RECORDER_ATTACHED:
            return [lambda: recordings.started(attached)]
        if event.type is EventType.RECORDER_FAILED and event.cause not in PASSING_FAILURES:
            return [lambda: recordings.failed(ACTOR, attached, event.cause)]
        if event.type.value in _PAUSING:
            return [lambda: recordings.paused(attached, event.type is not EventType.LIVE)]
        return []


def _attached_after(event: CallEvent, attached: str | None) -> str | None:
    """The recording that is being made once `event` has happened, or was made last."""
    return str(event.data["recording_id"]) if event.type is EventType.RECORDER_ATTACHED else attached


_PAUSING = frozenset(phase.value for phase in IN_PROGRESS)


def _hung_up(events: Sequence[CallEvent]) -> frozenset[str]:
    """The sides whose last word was to hang up."""
    last = {str(event.data["side"]): event.cause for event in events if event.type is EventType.DISCONNECTED}
    return frozenset(side for side, cause in last.items() if cause == "hung_up")
