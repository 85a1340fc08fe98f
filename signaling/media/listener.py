"""Who is told what happens in a media room."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Literal, Protocol

from signaling.media.leg import TrackInfo
from signaling.media.session import SlotInfo

Direction = Literal["up", "down"]
LineState = Literal["good", "poor", "voice_only"]


class PeerLost(StrEnum):
    """Why a session is over. A session ends once, whatever happens to it later."""

    CONSENT_EXPIRED = "consent_expired"
    NEVER_CONNECTED = "never_connected"
    DTLS_FAILED = "dtls_failed"
    DTLS_CLOSED = "dtls_closed"
    CLOSED = "closed"
    REPLACED = "replaced"
    ROOM_CLOSED = "room_closed"


class MediaRoomListener(Protocol):
    """What a media room says, on the event loop's thread and from the packet path: return at once.

    An exception is logged and counted and changes nothing for the media. `participant_id` of an officer's session is
    the `leg_owner` that `subscribe` was given.
    """

    def peer_connected(self, participant_id: str, session_id: str) -> None:
        """The DTLS handshake is done and the fingerprint was right: media can flow both ways."""
        ...

    def peer_lost(self, participant_id: str, session_id: str, why: PeerLost) -> None:
        """The session is over. Said for every session that an answer was given for, exactly once."""
        ...

    def track_started(self, track: TrackInfo) -> None:
        """The first authenticated packet of a track has come. It says nothing about the gate."""
        ...

    def track_ended(self, track: TrackInfo) -> None:
        """The track is over: its session is lost, or its source was replaced by another."""
        ...

    def talking(self, participant_id: str, level: int) -> None:
        """The participant speaks (level in -dBov, 0 loudest to 126) or has stopped (127), RFC 6464.

        Said on each change, and every second while speech goes on. Never while the gate is closed or audio is muted.
        """
        ...

    def speaker(self, participant_id: str | None) -> None:
        """This participant speaks now, and stays the speaker until somebody else takes over; None: he has left."""
        ...

    def line_changed(self, participant_id: str, direction: Direction, state: LineState) -> None:
        """A participant's line to (`up`) or from (`down`) the relay carries no good picture any more, or one again."""
        ...

    def slots_changed(self, session_id: str, slots: Sequence[SlotInfo]) -> None:
        """Another participant or track is in one of the session's slots now; `slots` lists them all."""
        ...


class SilentListener:
    """A listener that ignores everything: what a room has until somebody sets another."""

    def peer_connected(self, participant_id: str, session_id: str) -> None: ...

    def peer_lost(self, participant_id: str, session_id: str, why: PeerLost) -> None: ...

    def track_started(self, track: TrackInfo) -> None: ...

    def track_ended(self, track: TrackInfo) -> None: ...

    def talking(self, participant_id: str, level: int) -> None: ...

    def speaker(self, participant_id: str | None) -> None: ...

    def line_changed(self, participant_id: str, direction: Direction, state: LineState) -> None: ...

    def slots_changed(self, session_id: str, slots: Sequence[SlotInfo]) -> None: ...
