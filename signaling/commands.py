"""The commands that the application sends to a media node, as they go over the bus."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from signaling.calls import Actor
from signaling.errors import InvalidRequest
from signaling.media.leg import Kind

_Reason = Annotated[str, Field(min_length=1, max_length=500)]
_Words = Annotated[str, Field(max_length=1000)]


class _Command(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Open(_Command):
    """Open a room under a signed charter; `history` are the call's events so far, if it had a room before.

    `token` is that of the call's placement: a room of an older one is given up.
    """

    command: Literal["open"] = "open"
    charter: str
    history: tuple[dict[str, Any], ...] = ()
    token: int = Field(default=0, ge=0)


class AttachRecorder(_Command):
    """Let the recorder into the room that a signed warrant names."""

    command: Literal["attach_recorder"] = "attach_recorder"
    warrant: str


class Hold(_Command):
    """Pause the call, or with `participant_id` one participant."""

    command: Literal["hold"] = "hold"
    call_id: str
    actor: Actor
    reason: _Reason
    words: _Words = ""
    participant_id: str | None = None


class Resume(_Command):
    """Lift the pause of the call, or with `participant_id` of one participant."""

    command: Literal["resume"] = "resume"
    call_id: str
    actor: Actor
    reason: _Reason
    participant_id: str | None = None


class Remove(_Command):
    """Take one participant out of the call for good."""

    command: Literal["remove"] = "remove"
    call_id: str
    actor: Actor
    reason: _Reason
    words: _Words
    participant_id: str


class Mute(_Command):
    """Mute or unmute a participant."""

    command: Literal["mute"] = "mute"
    call_id: str
    actor: Actor
    reason: _Reason
    participant_id: str
    kind: Kind
    muted: bool


class Terminate(_Command):
    """End the call."""

    command: Literal["terminate"] = "terminate"
    call_id: str
    actor: Actor
    reason: _Reason
    words: _Words


class Cancel(_Command):
    """End a call that has not been live: its booking is gone. `cause` is a code."""

    command: Literal["cancel"] = "cancel"
    call_id: str
    cause: Annotated[str, Field(pattern=r"^[a-z_]{1,64}$")]


class Withdraw(_Command):
    """A person took back a right on which the call rests: it ends."""

    command: Literal["withdraw"] = "withdraw"
    call_id: str
    actor: Actor
    words: _Words


class Question(_Command):
    """Something has come up against the call: it pauses until an officer has looked at it."""

    command: Literal["question"] = "question"
    call_id: str
    words: _Words


class Bookmark(_Command):
    """Mark this moment."""

    command: Literal["bookmark"] = "bookmark"
    call_id: str
    actor: Actor
    note: _Words


class Say(_Command):
    """Write to the participants."""

    command: Literal["say"] = "say"
    call_id: str
    actor: Actor
    text: Annotated[str, Field(min_length=1, max_length=1000)]


class Revoke(_Command):
    """What was issued to somebody up to `at` is good no more; an officer's sessions end. For every node."""

    command: Literal["revoke"] = "revoke"
    subject: Annotated[str, Field(min_length=1, max_length=64)]
    at: AwareDatetime


class Snapshot(_Command):
    """One room at this moment."""

    command: Literal["snapshot"] = "snapshot"
    call_id: str


class Snapshots(_Command):
    """Every room of the node at this moment."""

    command: Literal["snapshots"] = "snapshots"


class Events(_Command):
    """A call's events after a sequence number, also for a while after its end."""

    command: Literal["events"] = "events"
    call_id: str
    after: int = Field(default=0, ge=0)


Command = (
    Open
    | AttachRecorder
    | Hold
    | Resume
    | Remove
    | Mute
    | Terminate
    | Cancel
    | Withdraw
    | Question
    | Bookmark
    | Say
    | Revoke
    | Snapshot
    | Snapshots
    | Events
)
_COMMAND: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="command")])


def parse_command(payload: dict[str, Any]) -> Command:
    """The command in a bus payload. InvalidRequest otherwise."""
    try:
        return _COMMAND.validate_python(payload)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise InvalidRequest(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from None


def control_topic(node_id: str) -> str:
    """The bus topic on which a node answers commands."""
    return f"control.{node_id}"


CALL_EVENT_TOPIC = "call.event"
"""The bus topic on which every CallEvent is published as its JSON."""
