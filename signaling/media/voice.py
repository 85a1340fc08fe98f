"""An officer's voice in a call: barge-in to everybody, or a whisper to some sides.

It is the one source whose media does not stand under its call's gate: an officer may speak while the call is held,
which is what a hold is for (docs/decisions/0142). It has a gate of its own, open only while the officer speaks.
"""

from __future__ import annotations

from signaling.ids import OrdinaryCallId, new_id
from signaling.media.errors import VoiceTaken
from signaling.media.forwarder import Forwarder
from signaling.media.gate import Gate
from signaling.media.leg import Kind, Side, TrackInfo
from signaling.media.peer import Peer, Publication
from signaling.media.rooms import OrdinaryMediaRoom
from signaling.media.stats import RoomCounters
from signaling.media.track import LegOutput, Track


class OfficerVoice:
    """What one officer's session sends. It is heard in at most one call at a time, and in none unless started."""

    def __init__(self, officer_id: str, peer: Peer) -> None:
        self._officer_id = officer_id
        self._peer = peer
        self._gate = Gate()
        self._counters = RoomCounters()
        self._track: Track | None = None
        self._room: OrdinaryMediaRoom | None = None
        self._sides: frozenset[Side] = frozenset()
        self._slots: list[Forwarder] = []
        self.info: TrackInfo | None = None
        """The track as the call's legs know it, while the officer speaks and something has come."""

    @property
    def call_id(self) -> OrdinaryCallId | None:
        """The call in which the officer speaks now; None: in none."""
        room = self._room
        return room.call_id if room is not None and isinstance(room.call_id, OrdinaryCallId) else None

    def start(self, room: OrdinaryMediaRoom, sides: frozenset[Side]) -> tuple[str, ...]:
        """Be heard in `room` by `sides`; gives the participants who hear it. VoiceTaken if somebody else speaks there.

        Every time is a track of its own for the legs: between two of them no time need have passed on the officer's
        clock.
        """
        self.stop()
        if room.voice is not None:
            raise VoiceTaken("another officer is speaking in this call")
        room.voice = self
        self._room, self._sides = room, sides
        self._announce()
        self._gate.open = True
        self.spread()
        return tuple(participant_id for participant_id, _ in room.talk_slots(self._sides))

    def shut(self) -> None:
        """Pass nothing on from this very moment, until the next `start`; see `MediaNode.shut`."""
        self._gate.open = False

    def stop(self) -> None:
        """Be heard no more; nothing happens if one is not."""
        room = self._room
        if room is None:
            return
        self._gate.open = False
        room.voice = None
        self._room, self._sides = None, frozenset()
        self.spread()
        if self.info is not None:
            room.voice_ended(self.info)
            self.info = None

    def spread(self) -> None:
        """Be heard by exactly those who are to hear: called whenever the room's people or legs have changed."""
        track = self._track
        if track is None:
            return
        room = self._room
        wanted = {id(slot): slot for _, slot in room.talk_slots(self._sides)} if room is not None else {}
        for slot in self._slots:
            if id(slot) not in wanted and slot.track is track:
                slot.attach(None)
        self._slots = list(wanted.values())
        for slot in self._slots:
            slot.attach(track)
        track.set_outputs(room.leg_outputs if room is not None else ())

    def source(self, publication: Publication, ssrc: int) -> Track:
        """The track of a new SSRC; an older one is over."""
        self._forget()
        info = self.info or self._make_info(publication.payload_type, publication.clock_rate, ssrc)
        self._track = Track(
            info,
            extensions=publication.extensions,
            gate=self._gate,
            counters=self._counters,
            publisher=self._peer.feedback,
            nack="nack" in publication.feedback,
            keep_fresh=False,
            talking=lambda level: None,
            leg_failed=self._leg_failed,
        )
        if self._room is not None:
            self._announce()
            self.spread()
        return self._track

    def end(self) -> None:
        """The session is over."""
        self.stop()
        self._forget()

    def _forget(self) -> None:
        track, self._track = self._track, None
        if track is not None:
            track.end()

    def _announce(self) -> None:
        """Tell the room's legs of the track, once it is known what it is."""
        track, room = self._track, self._room
        if track is None or room is None or self.info is not None:
            return
        info = track.info
        self.info = self._make_info(info.payload_type, info.clock_rate, info.ssrc)
        track.info = self.info
        room.voice_began(self.info)

    def _make_info(self, payload_type: int, clock_rate: int, ssrc: int) -> TrackInfo:
        room = self._room
        return TrackInfo(
            track_id=new_id("trk"),
            call_id=room.call_id if room is not None else OrdinaryCallId(new_id("call")),
            participant_id=self._officer_id,
            side=Side.OFFICER,
            kind=Kind.AUDIO,
            codec="opus",
            clock_rate=clock_rate,
            payload_type=payload_type,
            ssrc=ssrc,
        )

    def _leg_failed(self, output: LegOutput) -> None:
        if self._room is not None:
            self._room.drop_leg(output)
