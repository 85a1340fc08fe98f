"""What the application asks of live calls, wherever they are: the port and its adapter over bus and directory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol

import structlog

from signaling.bus import Bus
from signaling.calls import Actor, CallEvent
from signaling.commands import (
    AttachRecorder,
    Bookmark,
    Cancel,
    Command,
    Events,
    Hold,
    Mute,
    Open,
    Question,
    Remove,
    Resume,
    Revoke,
    Say,
    Snapshot,
    Snapshots,
    Terminate,
    Withdraw,
    control_topic,
)
from signaling.directory import Directory
from signaling.errors import InvalidRequest, SignalingError, Unavailable, UnknownCall
from signaling.ids import CallId
from signaling.media.leg import Kind
from signaling.recorder_leg import RecorderFactory, RecorderLeg, SealSummary
from signaling.snapshot import RoomSnapshot
from signaling.tickets import peek_call_id

__all__ = ["BusRoomControl", "RecorderFactory", "RecorderLeg", "RoomControl", "SealSummary"]

log = structlog.get_logger(__name__)


class RoomControl(Protocol):
    """Commands to a call's room. Every intervention names its actor, a member of staff, and a reason.

    Errors are SignalingErrors: UnknownCall, WrongState, InvalidRequest, TicketError, PrivilegedCallError, Unavailable.
    """

    async def open(self, charter_token: str, history: Sequence[CallEvent] = ()) -> RoomSnapshot:
        """Open the call's room on the least loaded node; the same charter again changes nothing.

        `history` are the call's events so far when its node is gone: the room goes on from there.
        """
        ...

    async def attach_recorder(self, warrant_token: str) -> RoomSnapshot:
        """Let the recorder into an ordinary call. PrivilegedCallError for any other."""
        ...

    async def hold(
        self, call_id: CallId, actor: Actor, reason: str, words: str = "", *, participant_id: str | None = None
    ) -> RoomSnapshot:
        """Pause the call, or one participant. `words` are shown to whom it concerns, `reason` is not."""
        ...

    async def resume(
        self, call_id: CallId, actor: Actor, reason: str, *, participant_id: str | None = None
    ) -> RoomSnapshot:
        """Lift the pause of the call, or of one participant."""
        ...

    async def remove(
        self, call_id: CallId, participant_id: str, actor: Actor, reason: str, words: str = ""
    ) -> RoomSnapshot:
        """Take one participant out of the call for good. `words` are shown to them, `reason` is not."""
        ...

    async def mute(
        self, call_id: CallId, participant_id: str, kind: Kind, muted: bool, actor: Actor, reason: str
    ) -> RoomSnapshot:
        """Mute or unmute one participant's audio or video for everybody."""
        ...

    async def terminate(self, call_id: CallId, actor: Actor, reason: str, words: str) -> RoomSnapshot:
        """End the call. `words` are shown to the participants, `reason` is not."""
        ...

    async def cancel(self, call_id: CallId, cause: str) -> RoomSnapshot:
        """End a call that has not been live yet because its booking is gone. `cause` is a code."""
        ...

    async def withdraw(self, call_id: CallId, actor: Actor, words: str) -> RoomSnapshot:
        """End the call, whether it was live or not: `actor`, a person, took back a right on which it rests.

        Everybody is shown `words`, and nobody who it was or why. WrongState when it is over.
        """
        ...

    async def question(self, call_id: CallId, words: str) -> RoomSnapshot:
        """Pause the call until an officer has looked at it. WrongState unless it is in progress."""
        ...

    async def bookmark(self, call_id: CallId, actor: Actor, note: str) -> RoomSnapshot:
        """Mark this moment in the recording."""
        ...

    async def say(self, call_id: CallId, actor: Actor, text: str) -> RoomSnapshot:
        """Write to the participants."""
        ...

    async def snapshot(self, call_id: CallId) -> RoomSnapshot:
        """The room now."""
        ...

    async def revoke(self, subject: str, at: datetime) -> None:
        """What was issued to an officer (or a participant) up to `at` is good no more, on every node; an officer's
        sessions end. Unavailable when a node could not be told: to be said again, which does no harm.
        """
        ...

    async def snapshots(self) -> list[RoomSnapshot]:
        """Every room of every node that answers, by call."""
        ...

    async def events(self, call_id: CallId, after: int = 0) -> list[CallEvent]:
        """The call's events with a sequence above `after`; for some minutes after its end too."""
        ...

    async def media_url(self, call_id: CallId) -> str:
        """Where the call's clients go (scheme and host, or empty for the same origin). UnknownCall."""
        ...


class BusRoomControl:
    """`RoomControl` over a bus and a directory. `timeout` seconds for each command."""

    def __init__(self, bus: Bus, directory: Directory, *, timeout: float = 5.0) -> None:
        self._bus = bus
        self._directory = directory
        self._timeout = timeout

    async def open(self, charter_token: str, history: Sequence[CallEvent] = ()) -> RoomSnapshot:
        """See `RoomControl.open`."""
        placed = await self._directory.place(peek_call_id(charter_token))
        earlier = tuple(event.to_json() for event in history)
        command = Open(charter=charter_token, history=earlier, token=placed.token)
        return _snapshot(await self._send(placed.node_id, command))

    async def attach_recorder(self, warrant_token: str) -> RoomSnapshot:
        """See `RoomControl.attach_recorder`."""
        return await self._to_room(peek_call_id(warrant_token), AttachRecorder(warrant=warrant_token))

    async def hold(
        self, call_id: CallId, actor: Actor, reason: str, words: str = "", *, participant_id: str | None = None
    ) -> RoomSnapshot:
        """See `RoomControl.hold`."""
        command = _checked(
            Hold, call_id=call_id, actor=actor, reason=reason, words=words, participant_id=participant_id
        )
        return await self._to_room(call_id, command)

    async def resume(
        self, call_id: CallId, actor: Actor, reason: str, *, participant_id: str | None = None
    ) -> RoomSnapshot:
        """See `RoomControl.resume`."""
        command = _checked(Resume, call_id=call_id, actor=actor, reason=reason, participant_id=participant_id)
        return await self._to_room(call_id, command)

    async def remove(
        self, call_id: CallId, participant_id: str, actor: Actor, reason: str, words: str = ""
    ) -> RoomSnapshot:
        """See `RoomControl.remove`."""
        command = _checked(
            Remove, call_id=call_id, actor=actor, reason=reason, words=words, participant_id=participant_id
        )
        return await self._to_room(call_id, command)

    async def mute(
        self, call_id: CallId, participant_id: str, kind: Kind, muted: bool, actor: Actor, reason: str
    ) -> RoomSnapshot:
        """See `RoomControl.mute`."""
        command = _checked(
            Mute, call_id=call_id, participant_id=participant_id, kind=kind, muted=muted, actor=actor, reason=reason
        )
        return await self._to_room(call_id, command)

    async def terminate(self, call_id: CallId, actor: Actor, reason: str, words: str) -> RoomSnapshot:
        """See `RoomControl.terminate`."""
        command = _checked(Terminate, call_id=call_id, actor=actor, reason=reason, words=words)
        return await self._to_room(call_id, command)

    async def cancel(self, call_id: CallId, cause: str) -> RoomSnapshot:
        """See `RoomControl.cancel`."""
        return await self._to_room(call_id, _checked(Cancel, call_id=call_id, cause=cause))

    async def withdraw(self, call_id: CallId, actor: Actor, words: str) -> RoomSnapshot:
        """See `RoomControl.withdraw`."""
        return await self._to_room(call_id, _checked(Withdraw, call_id=call_id, actor=actor, words=words))

    async def question(self, call_id: CallId, words: str) -> RoomSnapshot:
        """See `RoomControl.question`."""
        return await self._to_room(call_id, _checked(Question, call_id=call_id, words=words))

    async def bookmark(self, call_id: CallId, actor: Actor, note: str) -> RoomSnapshot:
        """See `RoomControl.bookmark`."""
        return await self._to_room(call_id, _checked(Bookmark, call_id=call_id, actor=actor, note=note))

    async def say(self, call_id: CallId, actor: Actor, text: str) -> RoomSnapshot:
        """See `RoomControl.say`."""
        return await self._to_room(call_id, _checked(Say, call_id=call_id, actor=actor, text=text))

    async def snapshot(self, call_id: CallId) -> RoomSnapshot:
        """See `RoomControl.snapshot`."""
        return await self._to_room(call_id, Snapshot(call_id=call_id))

    async def revoke(self, subject: str, at: datetime) -> None:
        """See `RoomControl.revoke`."""
        command = _checked(Revoke, subject=subject, at=at)
        failed = 0
        for node in await self._directory.nodes():
            try:
                await self._send(node.node_id, command)
            except SignalingError as error:
                log.warning("node not told of a revocation", node_id=node.node_id, code=error.code)
                failed += 1
        if failed:
            raise Unavailable(f"{failed} nodes could not be told")

    async def snapshots(self) -> list[RoomSnapshot]:
        """See `RoomControl.snapshots`. A node that does not answer is logged and left out."""
        found: list[RoomSnapshot] = []
        for node in await self._directory.nodes():
            try:
                answer = await self._send(node.node_id, Snapshots())
            except SignalingError as error:
                log.warning("node does not answer", node_id=node.node_id, code=error.code)
                continue
            found.extend(RoomSnapshot.model_validate(item) for item in answer["snapshots"])
        return sorted(found, key=lambda snapshot: snapshot.call_id)

    async def events(self, call_id: CallId, after: int = 0) -> list[CallEvent]:
        """See `RoomControl.events`."""
        answer = await self._send(await self._node_of(call_id), Events(call_id=call_id, after=after))
        return [CallEvent.from_json(item) for item in answer["events"]]

    async def media_url(self, call_id: CallId) -> str:
        """See `RoomControl.media_url`."""
        node = await self._directory.find(call_id)
        if node is None:
            raise UnknownCall("no room is open for this call")
        return node.url

    async def _to_room(self, call_id: CallId, command: Command) -> RoomSnapshot:
        return _snapshot(await self._send(await self._node_of(call_id), command))

    async def _node_of(self, call_id: CallId) -> str:
        node = await self._directory.find(call_id)
        if node is None:
            raise UnknownCall("no room is open for this call")
        return node.node_id

    async def _send(self, node_id: str, command: Command) -> dict[str, Any]:
        return await self._bus.request(control_topic(node_id), command.model_dump(mode="json"), timeout=self._timeout)


def _checked(model: type[Command], /, **fields: object) -> Command:
    try:
        return model.model_validate(fields)
    except ValueError as error:
        raise InvalidRequest(_first(error)) from None


def _first(error: ValueError) -> str:
    return str(error).splitlines()[1] if "\n" in str(error) else str(error)


def _snapshot(answer: dict[str, Any]) -> RoomSnapshot:
    return RoomSnapshot.model_validate(answer["snapshot"])
