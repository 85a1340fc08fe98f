"""A media node's answer to the application's commands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, assert_never

from signaling.calls import CallEvent
from signaling.commands import (
    AttachRecorder,
    Bookmark,
    Cancel,
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
    parse_command,
)
from signaling.errors import InvalidRequest
from signaling.ids import CallId, parse_call_id
from signaling.room import Room
from signaling.rooms import Rooms


class CommandServer:
    """Carries out commands on the rooms of one node."""

    def __init__(self, rooms: Rooms, node_id: str, revoke: Callable[[str, datetime], None]) -> None:
        self._rooms = rooms
        self._node_id = node_id
        self._revoke = revoke

    async def handle(self, payload: dict[str, Any]) -> dict[str, Any]:
        """The answer to one command: `snapshot`, `snapshots`, `events` or nothing. SignalingError otherwise."""
        command = parse_command(payload)
        match command:
            case Open():
                room: Room = self._rooms.open(command.charter, _history(command.history), command.token)
            case AttachRecorder():
                room = await self._rooms.attach_recorder(command.warrant)
            case Snapshots():
                return {"snapshots": [self._snapshot(room) for room in self._rooms]}
            case Events():
                events = self._rooms.events(_call_id(command.call_id))
                return {"events": [event.to_json() for event in events if event.sequence > command.after]}
            case Revoke():
                self._revoke(command.subject, command.at)
                return {}
            case (
                Snapshot()
                | Hold()
                | Resume()
                | Remove()
                | Mute()
                | Terminate()
                | Cancel()
                | Withdraw()
                | Question()
                | Bookmark()
                | Say()
            ):
                room = self._rooms.get(_call_id(command.call_id))
                _intervene(room, command)
            case _:
                assert_never(command)
        return {"snapshot": self._snapshot(room)}

    def _snapshot(self, room: Room) -> dict[str, Any]:
        return room.snapshot(self._node_id).model_dump(mode="json")


def _intervene(
    room: Room,
    command: (Snapshot | Hold | Resume | Remove | Mute | Terminate | Cancel | Withdraw | Question | Bookmark | Say),
) -> None:
    match command:
        case Hold():
            if command.participant_id is None:
                room.hold(command.actor, command.reason, command.words)
            else:
                room.hold_participant(command.participant_id, command.actor, command.reason, command.words)
        case Resume():
            if command.participant_id is None:
                room.resume(command.actor, command.reason)
            else:
                room.resume_participant(command.participant_id, command.actor, command.reason)
        case Remove():
            room.remove_participant(command.participant_id, command.actor, command.reason, command.words)
        case Mute():
            room.mute(command.participant_id, command.kind, command.muted, command.actor, command.reason)
        case Terminate():
            room.terminate(command.actor, command.reason, command.words)
        case Cancel():
            room.cancel(command.cause)
        case Withdraw():
            room.withdraw(command.actor, command.words)
        case Question():
            room.question(command.words)
        case Bookmark():
            room.bookmark(command.actor, command.note)
        case Say():
            room.say(command.actor, command.text)
        case Snapshot():
            pass
        case _:
            assert_never(command)


def _history(payloads: tuple[dict[str, Any], ...]) -> list[CallEvent]:
    try:
        return [CallEvent.from_json(payload) for payload in payloads]
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidRequest("the history is not a call's events") from error


def _call_id(text: str) -> CallId:
    try:
        return parse_call_id(text)
    except ValueError:
        raise InvalidRequest("not a call identifier") from None
