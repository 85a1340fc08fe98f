"""An officer's watch of a call, and an officer's speaking in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeVar

from signaling.calls import Actor
from signaling.capabilities import CallCharter
from signaling.ids import OrdinaryCallId, parse_call_id
from signaling.media.leg import Side
from signaling.media.wall import MediaWall
from signaling.messages import Officer

_Key = TypeVar("_Key")


class WallPlace(Protocol):
    """An officer's wall, as a room sees it (signaling/wall.py)."""

    @property
    def session_id(self) -> str:
        """The wall's media session."""
        ...

    @property
    def media(self) -> MediaWall:
        """That session itself."""
        ...

    def watch_ended(self, call_id: OrdinaryCallId, cause: str) -> None:
        """The room has let the wall go."""
        ...

    def talk_ended(self, call_id: OrdinaryCallId, cause: str) -> None:
        """The officer is not heard in the room any more."""
        ...


@dataclass(frozen=True, slots=True)
class Watch:
    """An officer's watch of one call: under which ground, until when, on which wall if on one."""

    officer_id: str
    ground: str
    expires_at: datetime
    may_talk: bool
    wall: WallPlace | None = None


@dataclass(frozen=True, slots=True)
class Talk:
    """An officer's speaking in a call: from which wall, to which sides."""

    wall: WallPlace
    officer: Actor
    sides: tuple[Side, ...]


def spoken(talk: Talk, talking: bool) -> Officer:
    """What those who are spoken to are told."""
    return Officer(talking=talking, to="you" if len(talk.sides) == 1 else "all")


def ordinary(charter: CallCharter) -> OrdinaryCallId:
    """The call's identifier. TypeError if it is not an ordinary call's, whatever the room's type says."""
    call_id = parse_call_id(charter.call_id)
    if not isinstance(call_id, OrdinaryCallId):
        raise TypeError("an ordinary room is for an ordinary call")
    return call_id


def prolong(kept: dict[_Key, Watch], fresh: Watch) -> None:
    """Let all that the officer has in `kept` go on for as long as his `fresh` watch does."""
    for key, other in kept.items():
        if other.officer_id == fresh.officer_id and other.expires_at < fresh.expires_at:
            kept[key] = replace(other, expires_at=fresh.expires_at)
