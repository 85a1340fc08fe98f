"""Capabilities as JSON claims and back. What is not named here is neither signed nor believed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, assert_never

from signaling.capabilities import (
    CallCharter,
    JoinTicket,
    MonitorWarrant,
    RecordingPolicy,
    RecordingWarrant,
    Supervision,
    TalkWarrant,
    Ticket,
)
from signaling.errors import PrivilegedCallError
from signaling.ids import OrdinaryCallId, parse_call_id
from signaling.media.leg import Kind, Side

Claims = dict[str, Any]


def claims_of(ticket: Ticket) -> Claims:
    """The ticket's own claims, JSON types only; times as ISO 8601 in UTC."""
    match ticket:
        case CallCharter():
            return {
                "call": ticket.call_id,
                "starts_at": _iso(ticket.starts_at),
                "ends_at": _iso(ticket.ends_at),
                "lobby_opens_at": _iso(ticket.lobby_opens_at),
                "sides": list(ticket.sides),
                "recording": ticket.recording.value,
                "supervision": ticket.supervision.value,
                "watch_banner": ticket.watch_banner,
            }
        case JoinTicket():
            return {
                "call": ticket.call_id,
                "sub": ticket.participant_id,
                "side": ticket.side.value,
                "name": ticket.name,
                "identity_check": ticket.identity_check_id,
            }
        case MonitorWarrant():
            return {
                "calls": list(ticket.call_ids),
                "sub": ticket.officer_id,
                "ground": ticket.ground,
                "may_talk": ticket.may_talk,
            }
        case TalkWarrant():
            return {
                "call": ticket.call_id,
                "sub": ticket.officer_id,
                "sides": [side.value for side in ticket.sides],
            }
        case RecordingWarrant():
            return {
                "call": ticket.call_id,
                "recording": ticket.recording_id,
                "tracks": [kind.value for kind in ticket.tracks],
                "policy": ticket.policy_version,
            }
        case _:
            assert_never(ticket)


def charter_from(claims: Claims) -> CallCharter:
    """The charter; ValueError, TypeError or KeyError for claims that are not one."""
    return CallCharter(
        call_id=parse_call_id(_text(claims, "call")),
        starts_at=_time(claims, "starts_at"),
        ends_at=_time(claims, "ends_at"),
        lobby_opens_at=_time(claims, "lobby_opens_at"),
        sides=tuple(Side(side) for side in _list(claims, "sides")),
        recording=RecordingPolicy(claims["recording"]),
        supervision=Supervision(claims["supervision"]),
        watch_banner=_flag(claims, "watch_banner"),
    )


def join_from(claims: Claims) -> JoinTicket:
    """The join ticket; errors as for `charter_from`."""
    return JoinTicket(
        call_id=parse_call_id(_text(claims, "call")),
        participant_id=_text(claims, "sub"),
        side=Side(claims["side"]),
        name=_text(claims, "name"),
        identity_check_id=_text(claims, "identity_check"),
    )


def monitor_from(claims: Claims) -> MonitorWarrant:
    """The monitor warrant; PrivilegedCallError if it names a privileged call, other errors as for `charter_from`."""
    return MonitorWarrant(
        call_ids=tuple(_ordinary(call) for call in _list(claims, "calls")),
        officer_id=_text(claims, "sub"),
        ground=_text(claims, "ground"),
        may_talk=_flag(claims, "may_talk"),
    )


def talk_from(claims: Claims) -> TalkWarrant:
    """The warrant to talk; errors as for `monitor_from`."""
    return TalkWarrant(
        call_id=_ordinary(claims["call"]),
        officer_id=_text(claims, "sub"),
        sides=tuple(Side(side) for side in _list(claims, "sides")),
    )


def recording_from(claims: Claims) -> RecordingWarrant:
    """The recording warrant; errors as for `monitor_from`."""
    return RecordingWarrant(
        call_id=_ordinary(claims["call"]),
        recording_id=_text(claims, "recording"),
        tracks=tuple(Kind(kind) for kind in _list(claims, "tracks")),
        policy_version=_text(claims, "policy"),
    )


def _ordinary(value: Any) -> OrdinaryCallId:
    if not isinstance(value, str):
        raise TypeError("not a call identifier")
    call_id = parse_call_id(value)
    if not isinstance(call_id, OrdinaryCallId):
        raise PrivilegedCallError()
    return call_id


def _text(claims: Claims, name: str) -> str:
    value = claims[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is not text")
    return value


def _list(claims: Claims, name: str) -> list[Any]:
    value = claims[name]
    if not isinstance(value, list):
        raise TypeError(f"{name} is not a list")
    return value


def _flag(claims: Claims, name: str) -> bool:
    value = claims[name]
    if not isinstance(value, bool):
        raise TypeError(f"{name} is not true or false")
    return value


def _time(claims: Claims, name: str) -> datetime:
    value = datetime.fromisoformat(_text(claims, name))
    if value.tzinfo is None:
        raise ValueError(f"{name} has no zone")
    return value.astimezone(UTC)


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()
