"""The control channel's messages (docs/channel.md). What does not fit these models is not understood.

A participant's messages carry no event sequence and nothing else that an officer's coming or going would move.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from signaling.calls import ActorKind, Phase
from signaling.capabilities import RecordingPolicy, Supervision
from signaling.errors import InvalidRequest
from signaling.media.leg import Kind, Side
from signaling.media.listener import Direction, LineState
from signaling.message import Message
from signaling.wall_messages import OfCall, Refused, Speech, Unwatched, WallRequest, WallSlots, WallWelcome

MAX_MESSAGE_BYTES = 16_384


# --- from the client -------------------------------------------------------------------------------------------


class Hello(Message):
    """The first message. An officer adds `call_id`: his warrant may be good for several; or, for a wall, the `session`
    that his offer without a call was answered with."""

    type: Literal["hello"] = "hello"
    ticket: str = Field(max_length=8192)
    call_id: str | None = Field(default=None, max_length=64)
    session: str | None = Field(default=None, max_length=64)


class Ping(Message):
    """Answered with the same `t`, so that the client can measure the round trip."""

    type: Literal["ping"] = "ping"
    t: float = Field(default=0.0, allow_inf_nan=False)


class Device(Message):
    """The state of the participant's microphone and camera."""

    type: Literal["device"] = "device"
    microphone: Literal["on", "off", "missing"]
    camera: Literal["on", "off", "missing"]


class Quality(Message):
    """What the client measured over the last seconds."""

    type: Literal["quality"] = "quality"
    rtt_ms: float | None = Field(default=None, ge=0, le=60_000)
    loss: float | None = Field(default=None, ge=0, le=1)  # of packets, both kinds together
    kbit_in: float | None = Field(default=None, ge=0, le=1_000_000)
    kbit_out: float | None = Field(default=None, ge=0, le=1_000_000)
    width: int | None = Field(default=None, ge=0, le=16_384)
    height: int | None = Field(default=None, ge=0, le=16_384)


class View(Message):
    """How high the client shows its slots, by mid, in device pixels; 0 for one that it does not show."""

    type: Literal["view"] = "view"
    slots: dict[Annotated[str, Field(max_length=16)], Annotated[int, Field(ge=0, le=8192)]] = Field(max_length=40)


Report = Device | Quality | View
"""What a client says of itself, now and then."""

ClientMessage = Annotated[Hello | Ping | Report | WallRequest, Field(discriminator="type")]
_CLIENT: TypeAdapter[Hello | Ping | Report | WallRequest] = TypeAdapter(ClientMessage)


def parse_client_message(text: str | bytes) -> Hello | Ping | Report | WallRequest:
    """The client's message. InvalidRequest, with where it is wrong but not with what was sent, otherwise."""
    try:
        return _CLIENT.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "message"
        raise InvalidRequest(f"{where[:80]}: {first['msg'][:200]}") from None


# --- to the client ---------------------------------------------------------------------------------------------


class ParticipantInfo(Message):
    """A participant as the others see him."""

    participant_id: str
    side: Side
    name: str
    connected: bool
    microphone: str | None = None
    camera: str | None = None
    present: bool = True  # on the control channel; neither this nor connected: gone, though they may come back
    held: bool = False  # an officer has paused this one participant


class SlotView(Message):
    """Who is shown in one of this client's receive slots. `mid` is the m-line of its own offer (RFC 5888)."""

    mid: str
    kind: Kind
    index: int | Literal["talk"]  # talk: the slot for an officer's voice
    participant_id: str | None
    side: Side | None
    name: str | None


class MutedView(Message):
    """A participant's audio or video that an officer has muted."""

    participant_id: str
    kind: Kind


class State(Message):
    """The call's state. `by` says who changed it; `cause` is a code, `words` an officer's own words or empty."""

    type: Literal["state"] = "state"
    state: Phase
    by: ActorKind
    cause: str
    words: str = ""
    waiting_for: tuple[Side, ...] = ()
    connected_seconds: float
    ends_at: datetime


class Welcome(Message):
    """The answer to hello: everything there is to know at this moment."""

    type: Literal["welcome"] = "welcome"
    call_id: str
    role: Literal["participant", "officer"]
    participant_id: str | None
    state: State
    slots: tuple[SlotView, ...]
    participants: tuple[ParticipantInfo, ...]
    muted: tuple[MutedView, ...]
    speaker: str | None = None  # the participant who speaks, or spoke last
    starts_at: datetime
    ends_at: datetime
    server_time: datetime
    notices: tuple[int, ...]  # minutes before the end at which there will be a notice
    recording: RecordingPolicy
    supervision: Supervision
    watching: bool | None  # None: policy does not say who is watching


class Slots(Message):
    """Who is in which slot now."""

    type: Literal["slots"] = "slots"
    slots: tuple[SlotView, ...]


class Participants(Message):
    """Who is in the call now."""

    type: Literal["participants"] = "participants"
    participants: tuple[ParticipantInfo, ...]


class Notice(Message):
    """Minutes left until the scheduled end."""

    type: Literal["notice"] = "notice"
    minutes: int


class Draining(Message):
    """The media node is about to stop. A call that goes on after `seconds` pauses then and comes back by itself."""

    type: Literal["draining"] = "draining"
    seconds: float


class OfficerMessage(Message):
    """An officer's text to the participants."""

    type: Literal["message"] = "message"
    text: str


class Muted(Message):
    """An officer muted or unmuted a participant."""

    type: Literal["muted"] = "muted"
    participant_id: str
    kind: Kind
    muted: bool


class Talking(Message):
    """A participant speaks (`level` in -dBov, 0 loudest) or has stopped (127), RFC 6464."""

    type: Literal["talking"] = "talking"
    participant_id: str
    level: int


class Speaker(Message):
    """Who speaks now, one at a time and steadily; it stays while all are silent. None: the speaker has left."""

    type: Literal["speaker"] = "speaker"
    participant_id: str | None


class Held(Message):
    """To the one concerned: an officer has paused, or goes on with, their own part. `words` are the officer's."""

    type: Literal["held"] = "held"
    participant_id: str
    held: bool
    words: str = ""


class Removed(Message):
    """To the one concerned: an officer has taken them out of the call. There is no way back into it."""

    type: Literal["removed"] = "removed"
    words: str = ""


class Line(Message):
    """A participant's line to (`up`) or from (`down`) the prison has become too poor for pictures, or is good again."""

    type: Literal["line"] = "line"
    participant_id: str
    direction: Direction
    line: LineState


class Watching(Message):
    """Whether an officer is watching; only where the charter has the banner."""

    type: Literal["watching"] = "watching"
    watching: bool


class Officer(Message):
    """To those who are spoken to: an officer's voice is heard, by `all` or by `you` (one side) alone."""

    type: Literal["officer"] = "officer"
    talking: bool
    to: Literal["all", "you"]


class Ended(Message):
    """The call is over. `cause` is a code, `words` an officer's own words or empty."""

    type: Literal["ended"] = "ended"
    outcome: Phase
    cause: str
    words: str = ""
    connected_seconds: float


class Replaced(Message):
    """Another connection of the same participant took this one's place; this one is closed."""

    type: Literal["replaced"] = "replaced"


class Error(Message):
    """Something the client sent was refused. The codes are those of the HTTP interface."""

    type: Literal["error"] = "error"
    code: str
    detail: str


class Pong(Message):
    """The answer to ping."""

    type: Literal["pong"] = "pong"
    t: float


class Event(Message):
    """Officers only: an event of the call, as it is recorded."""

    type: Literal["event"] = "event"
    event: dict[str, Any]


ServerMessage = (
    Welcome
    | State
    | Slots
    | Participants
    | Notice
    | Draining
    | OfficerMessage
    | Muted
    | Talking
    | Speaker
    | Held
    | Removed
    | Line
    | Watching
    | Ended
    | Replaced
    | Error
    | Pong
    | Event
    | Officer
    | WallWelcome
    | WallSlots
    | OfCall
    | Unwatched
    | Refused
    | Speech
)
