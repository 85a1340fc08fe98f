"""The media rooms: which session publishes what, and which legs get it."""

from __future__ import annotations

from collections.abc import Sequence

from signaling.ids import CallId, OrdinaryCallId, PrivilegedCallId
from signaling.media.leg import Kind, Leg, Side, TrackInfo
from signaling.media.listener import MediaRoomListener, SilentListener
from signaling.media.session import Answer, PatchAnswer, SlotInfo
from signaling.media.stats import RoomCounters


class MediaRoom:
    """One call's media. Made by `MediaNode.open_room` only."""

    listener: MediaRoomListener

    def __init__(self, call_id: CallId) -> None:
        self.call_id = call_id
        self.listener = SilentListener()

    async def publish(self, participant_id: str, side: Side, offer: str) -> Answer:
        """Answer a participant's offer. An older session of the same participant is replaced.

        Raises SdpError, RoomFull, RoomClosed; then nothing has changed.
        """
        raise NotImplementedError

    async def patch(self, session_id: str, etag: str | None, fragment: str) -> PatchAnswer:
        """Take trickled candidates, or restart ICE (RFC 9725 section 4.3); `etag` is the If-Match header's.

        Raises UnknownSession, SdpError, PreconditionRequired, PreconditionFailed.
        """
        raise NotImplementedError

    async def close_session(self, session_id: str) -> None:
        """End a session. Raises UnknownSession."""
        raise NotImplementedError

    def set_gate(self, open: bool) -> None:
        """Open or close the room's gate. It is closed at first; while it is, nothing is forwarded to any leg."""
        raise NotImplementedError

    def set_muted(self, participant_id: str, kind: Kind, muted: bool) -> None:
        """Mute a participant's audio or video in the relay, for every leg; it lasts through his rejoins."""
        raise NotImplementedError

    def slots(self, session_id: str) -> Sequence[SlotInfo]:
        """Who is in which slot of a session. Raises UnknownSession."""
        raise NotImplementedError

    def tracks(self) -> Sequence[TrackInfo]:
        """The tracks that are being published."""
        raise NotImplementedError

    def counters(self) -> RoomCounters:
        """A snapshot of the room's counters."""
        raise NotImplementedError


class OrdinaryMediaRoom(MediaRoom):
    """A room that officers may watch and other legs may listen to."""

    def __init__(self, call_id: OrdinaryCallId) -> None:
        super().__init__(call_id)

    async def subscribe(self, leg_owner: str, offer: str) -> Answer:
        """Answer a receive-only offer (an officer's wall). Participants can observe neither its coming nor its going.

        Raises SdpError, RoomFull, RoomClosed.
        """
        raise NotImplementedError

    def add_leg(self, leg: Leg) -> None:
        """Give every track to `leg`, from now on. Raises ValueError if its id is taken."""
        raise NotImplementedError

    def remove_leg(self, leg_id: str) -> None:
        """Take a leg away and close it; nothing happens if there is none."""
        raise NotImplementedError


class PrivilegedMediaRoom(MediaRoom):
    """A room of participants and nobody else. It has no method that could add a listener."""

    def __init__(self, call_id: PrivilegedCallId) -> None:
        super().__init__(call_id)
