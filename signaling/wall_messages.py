"""The messages of an officer's wall (docs/channel.md, "The wall")."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from signaling.media.leg import Kind, Side
from signaling.message import Message


class Watch(Message):
    """A wall: watch the calls that these MonitorWarrants name, from now on or, where it is watched, for longer."""

    type: Literal["watch"] = "watch"
    warrants: tuple[Annotated[str, Field(max_length=8192)], ...] = Field(min_length=1, max_length=32)


class Unwatch(Message):
    """A wall: watch the call no more."""

    type: Literal["unwatch"] = "unwatch"
    call_id: str = Field(max_length=64)


class Show(Message):
    """A wall: which calls come first in the slots, and which one is heard and shown large."""

    type: Literal["show"] = "show"
    tiles: tuple[Annotated[str, Field(max_length=64)], ...] = Field(max_length=64)
    focus: str | None = Field(default=None, max_length=64)


class Talk(Message):
    """A wall: let me be heard as this TalkWarrant says, until `hush`."""

    type: Literal["talk"] = "talk"
    warrant: str = Field(max_length=8192)


class Hush(Message):
    """A wall: nobody shall hear me any more."""

    type: Literal["hush"] = "hush"


WallRequest = Watch | Unwatch | Show | Talk | Hush
"""What an officer asks of a wall."""


# --- to the officer ---------------------------------------------------------------------------------------------


class WallSlotView(Message):
    """Whose call and who of it is shown in one of the wall's slots."""

    mid: str
    kind: Kind
    index: int | Literal["talk"]
    call_id: str | None
    participant_id: str | None
    side: Side | None
    name: str | None


class WallWelcome(Message):
    """The answer to a wall's hello. What there is to know of each watched call follows as its own `call`."""

    type: Literal["welcome"] = "welcome"
    role: Literal["wall"] = "wall"
    session_id: str
    calls: tuple[str, ...]
    slots: tuple[WallSlotView, ...]
    most: int  # calls that the wall has slots for
    server_time: datetime


class WallSlots(Message):
    """Who is in which slot of the wall now."""

    type: Literal["slots"] = "slots"
    slots: tuple[WallSlotView, ...]


class OfCall(Message):
    """What an officer's channel of one call would have said."""

    type: Literal["call"] = "call"
    call_id: str
    message: dict[str, Any]


class Unwatched(Message):
    """A call is not watched any more, or cannot be: `code` says why."""

    type: Literal["unwatched"] = "unwatched"
    call_id: str
    code: str
    detail: str = ""


class Refused(Message):
    """A request was not granted; nothing has changed."""

    type: Literal["refused"] = "refused"
    request: str
    code: str
    detail: str = ""


class Speech(Message):
    """The officer's own voice: who hears it, and who of those spoken to cannot (no line for it in his connection)."""

    type: Literal["speech"] = "speech"
    call_id: str
    talking: bool
    sides: tuple[Side, ...]
    heard_by: tuple[str, ...] = ()
    unheard_by: tuple[str, ...] = ()
    cause: str = ""
