"""What a ticket can say: a room's charter, a person's place in it, an officer's watch, a recording."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from signaling.errors import PrivilegedCallError
from signaling.ids import CallId, OrdinaryCallId, PrivilegedCallId, parse_call_id
from signaling.media.leg import Kind, Side


class RecordingPolicy(StrEnum):
    """Whether the call may go on without a recorder."""

    NONE = "none"
    REQUIRED = "required"


class Supervision(StrEnum):
    """Whether an officer watches: never asked for, sampled, or required for the call to be live."""

    NONE = "none"
    SAMPLE = "sample"
    LIVE = "live"


def _ordinary(call_id: CallId) -> OrdinaryCallId:
    """`call_id` if it is an ordinary call's; PrivilegedCallError otherwise, whatever type the caller claims."""
    parsed = parse_call_id(call_id)
    if not isinstance(parsed, OrdinaryCallId) or not isinstance(call_id, OrdinaryCallId):
        raise PrivilegedCallError()
    return parsed


def _require(condition: bool, why: str) -> None:
    if not condition:
        raise ValueError(why)


_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def _require_id(name: str, value: str) -> None:
    _require(_ID.fullmatch(value) is not None, f"{name} is not an identifier")


@dataclass(frozen=True, slots=True)
class CallCharter:
    """What a call is, fixed when its room opens. `sides` must all be connected for the call to be live.

    Times are UTC-aware; `lobby_opens_at` <= `starts_at` < `ends_at`, at most 12 hours from first to last; ValueError
    otherwise. PrivilegedCallError if a privileged call's charter asks for recording or supervision.
    """

    call_id: CallId
    starts_at: datetime
    ends_at: datetime
    lobby_opens_at: datetime
    sides: tuple[Side, ...]
    recording: RecordingPolicy
    supervision: Supervision
    watch_banner: bool

    def __post_init__(self) -> None:
        privileged = isinstance(parse_call_id(self.call_id), PrivilegedCallId)
        if privileged and (self.recording is not RecordingPolicy.NONE or self.supervision is not Supervision.NONE):
            raise PrivilegedCallError()
        for time in (self.starts_at, self.ends_at, self.lobby_opens_at):
            _require(time.tzinfo is not None, "a charter's times carry their zone")
        _require(self.lobby_opens_at <= self.starts_at < self.ends_at, "a charter's times are in order")
        _require(self.ends_at - self.lobby_opens_at <= timedelta(hours=12), "a charter spans at most 12 hours")
        _require(Side.OFFICER not in self.sides, "an officer is no side of a call")
        _require(len(self.sides) > 0 and len(set(self.sides)) == len(self.sides), "a charter names each side once")

    @property
    def privileged(self) -> bool:
        """Whether the call is privileged; decided by its identifier alone."""
        return isinstance(parse_call_id(self.call_id), PrivilegedCallId)


@dataclass(frozen=True, slots=True)
class JoinTicket:
    """One person may join one call. Issued only after that person's identity check `identity_check_id` has passed."""

    call_id: CallId
    participant_id: str
    side: Side
    name: str
    identity_check_id: str

    def __post_init__(self) -> None:
        parse_call_id(self.call_id)
        _require_id("participant_id", self.participant_id)
        _require_id("identity_check_id", self.identity_check_id)
        _require(0 < len(self.name) <= 200, "a name has 1 to 200 characters")
        _require(self.side is not Side.OFFICER, "an officer is no participant")


@dataclass(frozen=True, slots=True)
class MonitorWarrant:
    """One officer may watch these calls, on this ground. PrivilegedCallError if any of them is privileged."""

    call_ids: tuple[OrdinaryCallId, ...]
    officer_id: str
    ground: str
    may_talk: bool = False

    def __post_init__(self) -> None:
        _require(0 < len(self.call_ids) <= 64, "a warrant names 1 to 64 calls")
        for call_id in self.call_ids:
            _ordinary(call_id)
        _require_id("officer_id", self.officer_id)
        _require(0 < len(self.ground) <= 500, "a warrant states its ground")


@dataclass(frozen=True, slots=True)
class TalkWarrant:
    """One officer may be heard in one call, by these sides of it. PrivilegedCallError for a privileged call."""

    call_id: OrdinaryCallId
    officer_id: str
    sides: tuple[Side, ...]

    def __post_init__(self) -> None:
        _ordinary(self.call_id)
        _require_id("officer_id", self.officer_id)
        _require(len(self.sides) > 0 and len(set(self.sides)) == len(self.sides), "a warrant names each side once")
        _require(Side.OFFICER not in self.sides, "an officer is no side of a call")


@dataclass(frozen=True, slots=True)
class RecordingWarrant:
    """One call may be recorded: these kinds of track, under this policy. PrivilegedCallError for a privileged call."""

    call_id: OrdinaryCallId
    recording_id: str
    tracks: tuple[Kind, ...]
    policy_version: str

    def __post_init__(self) -> None:
        _ordinary(self.call_id)
        _require_id("recording_id", self.recording_id)
        _require(len(self.tracks) > 0, "a warrant names the kinds of track")
        _require(0 < len(self.policy_version) <= 64, "a warrant names its policy's version")


Ticket = CallCharter | JoinTicket | MonitorWarrant | TalkWarrant | RecordingWarrant
