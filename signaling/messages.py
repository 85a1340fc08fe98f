"""The control channel's messages (docs/channel.md). What does not fit these models is not understood.

A participant's messages carry no event sequence and nothing else that an officer's coming or going would move.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from signaling.calls import ActorKind, Phase
from signaling.capabilities import RecordingPolicy, Supervision
from signaling.errors import InvalidRequest
from signaling.media.leg import Kind, Side
from signaling.media.listener import Direction, LineState

MAX_MESSAGE_BYTES = 16_384


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# --- from the client -------------------------------------------------------------------------------------------


class Hello(_Message):
    """The first message. An officer adds `call_id`: his warrant may be good for several; or, for a wall, the `session`
    that his offer without a call was answered with."""

    type: Literal["hello"] = "hello"
    ticket: str = Field(max_length=8192)
    call_id: str | None = Field(default=None, max_length=64)
    session: str | None = Field(default=None, max_length=64)


class Ping(_Message):
    """Answered with the same `t`, so that the client can measure the round trip."""

    type: Literal["ping"] = "ping"
    t: float = Field(default=0.0, allow_inf_nan=False)


class Device(_Message):
    """The state of the participant's microphone and camera."""

    type: Literal["device"] = "device"
    microphone: Literal["on", "off", "missing"]
    camera: Literal["on", "off", "missing"]


class Quality(_Message):
    """What the client measured over the last seconds."""

    type: Literal["quality"] = "quality"
    rtt_ms: float | None = Field(default=None, ge=0, le=60_000)
    loss: float | None = Field(default=None, ge=0, le=1)  # of packets, both kinds together
    kbit_in: float | None = Field(default=None, ge=0, le=1_000_000)
    kbit_out: float | None = Field(default=None, ge=0, le=1_000_000)
    width: int | None = Field(default=None, ge=0, le=16_384)
    height: int | None = Field(default=None, ge=0, le=16_384)


class View(_Message):
    """How high the client shows its slots, by mid, in device pixels; 0 for one that it does not show."""

    type: Literal["view"] = "view"
    slots: dict[Annotated[str, Field(max_length=16)], Annotated[int, Field(ge=0, le=8192)]] = Field(max_length=40)


Report = Device | Quality | View
"""What a client says of itself, now and then."""


class Watch(_Message):
    """A wall: watch the calls that these MonitorWarrants name, from now on or, where it is watched, for longer."""

    type: Literal["watch"] = "watch"
    warrants: tuple[Annotated[str, Field(max_length=8192)], ...] = Field(min_length=1, max_length=32)


class Unwatch(_Message):
    """A wall: watch the call no more."""

    type: Literal["unwatch"] = "unwatch"
    call_id: str = Field(max_length=64)


class Show(_Message):
    """A wall: which calls come first in the slots, and which one is heard and shown large."""

    type: Literal["show"] = "show"
    tiles: tuple[Annotated[str, Field(max_length=64)], ...] = Field(max_length=64)
    focus: str | None = Field(default=None, max_length=64)


class Talk(_Message):
    """A wall: let me be heard as this TalkWarrant says, until `hush`."""

    type: Literal["talk"] = "talk"
    warrant: str = Field(max_length=8192)


class Hush(_Message):
    """A wall: nobody shall hear me any more."""

    type: Literal["hush"] = "hush"


WallRequest = Watch | Unwatch | Show | Talk | Hush
"""What an officer asks of a wall."""

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


class ParticipantInfo(_Message):
    """A participant as the others see him."""

    participant_id: str
    side: Side
    name: str
    connected: bool
    microphone: str | None = None
    camera: str | None = None
    present: bool = True  # on the control channel; neither this nor connected: gone, though they may come back
    held: bool = False  # an officer has paused this one participant


class SlotView(_Message):
    """Who is shown in one of this client's receive slots. `mid` is the m-line of its own offer (RFC 5888)."""

    mid: str
    kind: Kind
    index: int | Literal["talk"]  # talk: the slot for an officer's voice
    participant_id: str | None
    side: Side | None
    name: str | None


class MutedView(_Message):
    """A participant's audio or video that an officer has muted."""

    participant_id: str
    kind: Kind


class State(_Message):
    """The call's state. `by` says who changed it; `cause` is a code, `words` an officer's own words or empty."""

    type: Literal["state"] = "state"
    state: Phase
    by: ActorKind
    cause: str
    words: str = ""
    waiting_for: tuple[Side, ...] = ()
    connected_seconds: float
    ends_at: datetime


class Welcome(_Message):
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


class Slots(_Message):
    """Who is in which slot now."""

    type: Literal["slots"] = "slots"
    slots: tuple[SlotView, ...]


class Participants(_Message):
    """Who is in the call now."""

    type: Literal["participants"] = "participants"
    participants: tuple[ParticipantInfo, ...]


class Notice(_Message):
    """Minutes left until the scheduled end."""

    type: Literal["notice"] = "notice"
    minutes: int


class Draining(_Message):
    """The media node is about to stop. A call that goes on after `seconds` pauses then and comes back by itself."""

    type: Literal["draining"] = "draining"
    seconds: float


class OfficerMessage(_Message):
    """An officer's text to the participants."""

    type: Literal["message"] = "message"
    text: str


class Muted(_Message):
    """An officer muted or unmuted a participant."""

    type: Literal["muted"] = "muted"
    participant_id: str
    kind: Kind
    muted: bool


class Talking(_Message):
    """A participant speaks (`level` in -dBov, 0 loudest) or has stopped (127), RFC 6464."""

    type: Literal["talking"] = "talking"
    participant_id: str
    level: int


class Speaker(_Message):
    """Who speaks now, one at a time and steadily; it stays while all are silent. None: the speaker has left."""

    type: Literal["speaker"] = "speaker"
    participant_id: str | None


class Held(_Message):
    """To the one concerned: an officer has paused, or goes on with, their own part. `words` are the officer's."""

    type: Literal["held"] = "held"
    participant_id: str
    held: bool
    words: str = ""


class Removed(_Message):
    """To the one concerned: an officer has taken them out of the call. There is no way back into it."""

    type: Literal["removed"] = "removed"
    words: str = ""


class Line(_Message):
    """A participant's line to (`up`) or from (`down`) the prison has become too poor for pictures, or is good again."""

    type: Literal["line"] = "line"
    participant_id: str
    direction: Direction
    line: LineState


class Watching(_Message):
    """Whether an officer is watching; only where the charter has the banner."""

    type: Literal["watching"] = "watching"
    watching: bool


class Officer(_Message):
    """To those who are spoken to: an officer's voice is heard, by `all` or by `you` (one side) alone."""

    type: Literal["officer"] = "officer"
    talking: bool
    to: Literal["all", "you"]


class Ended(_Message):
    """The call is over. `cause` is a code, `words` an officer's own words or empty."""

    type: Literal["ended"] = "ended"
    outcome: Phase
    cause: str
    words: str = ""
    connected_seconds: float


class Replaced(_Message):
    """Another connection of the same participant took this one's place; this one is closed."""

    type: Literal["replaced"] = "replaced"


class Error(_Message):
    """Something the client sent was refused. The codes are those of the HTTP interface."""

    type: Literal["error"] = "error"
    code: str
    detail: str


class Pong(_Message):
    """The answer to ping."""

    type: Literal["pong"] = "pong"
    t: float


class Event(_Message):
    """Officers only: an event of the call, as it is recorded."""

    type: Literal["event"] = "event"
    event: dict[str, Any]


# --- to an officer's wall ---------------------------------------------------------------------------------------


class WallSlotView(_Message):
    """Whose call and who of it is shown in one of the wall's slots."""

    mid: str
    kind: Kind
    index: int | Literal["talk"]
    call_id: str | None
    participant_id: str | None
    side: Side | None
    name: str | None


class WallWelcome(_Message):
    """The answer to a wall's hello. What there is to know of each watched call follows as its own `call`."""

    type: Literal["welcome"] = "welcome"
    role: Literal["wall"] = "wall"
    session_id: str
    calls: tuple[str, ...]
    slots: tuple[WallSlotView, ...]
    most: int  # calls that the wall has slots for
    server_time: datetime


class WallSlots(_Message):
    """Who is in which slot of the wall now."""

    type: Literal["slots"] = "slots"
    slots: tuple[WallSlotView, ...]


class OfCall(_Message):
    """What an officer's channel of one call would have said."""

    type: Literal["call"] = "call"
    call_id: str
    message: dict[str, Any]


class Unwatched(_Message):
    """A call is not watched any more, or cannot be: `code` says why."""

    type: Literal["unwatched"] = "unwatched"
    call_id: str
    code: str
    detail: str = ""


class Refused(_Message):
    """A request was not granted; nothing has changed."""

    type: Literal["refused"] = "refused"
    request: str
    code: str
    detail: str = ""


class Speech(_Message):
    """The officer's own voice: who hears it, and who of those spoken to cannot (no line for it in his connection)."""

    type: Literal["speech"] = "speech"
    call_id: str
    talking: bool
    sides: tuple[Side, ...]
    heard_by: tuple[str, ...] = ()
    unheard_by: tuple[str, ...] = ()
    cause: str = ""


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
