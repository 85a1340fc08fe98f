"""The one interface behind which every listener of a track stands: participant, officer, recorder, face watch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from signaling.calls import CallEvent
    from signaling.ids import CallId


class Kind(StrEnum):
    """A track's kind, as in SDP (RFC 8866 section 5.14)."""

    AUDIO = "audio"
    VIDEO = "video"


class Side(StrEnum):
    """On which side of the wall a participant is."""

    FAMILY = "family"
    PRISONER = "prisoner"
    GUEST = "guest"
    OFFICER = "officer"  # an officer's voice; never a participant


@dataclass(frozen=True, slots=True)
class TrackInfo:
    """What is known of a published track. `clock_rate` is in Hz, `ssrc` is the publisher's own (RFC 3550)."""

    track_id: str
    call_id: CallId
    participant_id: str
    side: Side
    kind: Kind
    codec: str
    clock_rate: int
    payload_type: int
    ssrc: int


class Leg(Protocol):
    """A listener of a call's tracks.

    Every method is called on the event loop's thread, from the packet path: it must return at once and must not raise.
    """

    @property
    def leg_id(self) -> str:
        """Unique in its room."""
        ...

    def track_added(self, track: TrackInfo) -> None:
        """`track` is being published, from now on (also called for every track that is there when the leg joins)."""
        ...

    def track_removed(self, track_id: str) -> None:
        """The track is over."""
        ...

    def on_rtp(self, track: TrackInfo, packet: bytes, arrival: float) -> None:
        """One decrypted RTP packet (RFC 3550), whole; `arrival` in seconds of time.monotonic()."""
        ...

    def on_rtcp(self, track: TrackInfo, packet: bytes, arrival: float) -> None:
        """One decrypted RTCP sender report of the publisher (RFC 3550 section 6.4.1)."""
        ...

    def on_event(self, event: CallEvent) -> None:
        """Something happened to the call: joined, held, resumed, intervention, bookmark ..."""
        ...

    def close(self, reason: str) -> None:
        """The leg was taken from the room; nothing more will come."""
        ...
