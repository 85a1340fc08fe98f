"""The media rooms: which session publishes what, and which legs get it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import structlog

from signaling.errors import UnknownSession
from signaling.ids import CallId, new_id
from signaling.media.answering import Transport, begin_session, patch_session
from signaling.media.errors import RoomClosed, RoomFull
from signaling.media.gate import Gate
from signaling.media.layer import Layer
from signaling.media.leg import Kind, Side, TrackInfo
from signaling.media.listener import Direction, LineState, MediaRoomListener, PeerLost, SilentListener
from signaling.media.peer import Peer, Publication
from signaling.media.sdp import Offer, parse_offer
from signaling.media.session import Answer, PatchAnswer, SlotInfo
from signaling.media.slots import SlotPlan, arrange
from signaling.media.speaker import SpeakerChoice
from signaling.media.stats import RoomCounters
from signaling.media.track import LegOutput, Track

log = structlog.get_logger(__name__)

MAX_PARTICIPANTS = 5
MAX_WATCHERS = 32


class MediaRoom:
    """One call's media. Made by `MediaNode.open_room` only.

    The base knows participants and nobody else: there is no list here in which another listener could stand.
    """

    _refreshes_keyframes = False

    def __init__(self, call_id: CallId, transport: Transport) -> None:
        self.call_id = call_id
        self.listener: MediaRoomListener = SilentListener()
        self.live_counters = RoomCounters()
        self._transport = transport
        self._gate = Gate()
        self._participants: dict[str, Peer] = {}
        self._sides: dict[str, Side] = {}
        self._tracks: dict[str, Track] = {}
        self._track_owner: dict[str, Peer] = {}
        self._peers: dict[str, Peer] = {}
        self._mids: dict[str, tuple[str, str]] = {}
        self._ending: list[Peer] = []
        self._incomplete: set[Layer] = set()
        self._closed = False
        self._speaker = SpeakerChoice(lambda who: self._tell(lambda: self.listener.speaker(who)))

    # Sessions

    async def publish(self, participant_id: str, side: Side, offer: str) -> Answer:
        """Answer a participant's offer. An older session of the same participant is replaced.

        Raises SdpError, RoomFull, RoomClosed; then nothing has changed.
        """
        self._check_open()
        parsed = parse_offer(offer)
        plan = SlotPlan(parsed, publishes=True, most=MAX_PARTICIPANTS, talk=True)
        if participant_id not in self._participants and len(self._participants) >= MAX_PARTICIPANTS:
            raise RoomFull("the call has as many participants as it may have")
        older = self._participants.get(participant_id)
        if older is not None:
            older.close(PeerLost.REPLACED)
        peer, answer = self._answer(parsed, plan, participant_id, hidden=False)
        self._participants[participant_id] = peer
        self._sides[participant_id] = side
        self._arrange()
        return answer

    async def patch(self, session_id: str, etag: str | None, fragment: str) -> PatchAnswer:
        """Take trickled candidates, or restart ICE (RFC 9725 section 4.3); `etag` is the If-Match header's.

        A restart is a fragment with another user fragment and comes with `*` or the present entity tag. Raises
        UnknownSession, SdpError, PreconditionRequired, PreconditionFailed; then nothing has changed.
        """
        return patch_session(self._transport, self._peer(session_id), self._mids[session_id], etag, fragment)

    async def close_session(self, session_id: str) -> None:
        """End a session. Raises UnknownSession."""
        peer = self._peer(session_id)
        peer.close(PeerLost.CLOSED)
        await peer.wait_closed()

    def _answer(self, offer: Offer, plan: SlotPlan, owner_id: str, *, hidden: bool) -> tuple[Peer, Answer]:
        begun = begin_session(self._transport, self, offer, plan, owner_id, hidden=hidden)
        self._peers[begun.peer.session_id] = begun.peer
        self._mids[begun.peer.session_id] = begun.line
        return begun.peer, begun.answer

    def _peer(self, session_id: str) -> Peer:
        peer = self._peers.get(session_id)
        if peer is None:
            raise UnknownSession("no such session")
        return peer

    def _check_open(self) -> None:
        if self._closed:
            raise RoomClosed("the room is closed")

    @property
    def session_ids(self) -> Sequence[str]:
        """The sessions that have not ended."""
        return tuple(self._peers)

    # Gate and mutes

    @property
    def gate_open(self) -> bool:
        """Whether anything is forwarded."""
        return self._gate.open

    def shut(self) -> None:
        """Forward nothing from this very moment on; see `MediaNode.shut`."""
        self._gate.open = False

    def set_gate(self, open: bool) -> None:
        """Open or close the room's gate. It is closed at first; while it is, nothing is forwarded to any leg."""
        if open == self._gate.open or (open and self._closed):
            return
        self._gate.open = open
        self._gate_changed(list(self._tracks.values()))

    def set_muted(self, participant_id: str, kind: Kind, muted: bool) -> None:
        """Mute a participant's audio or video in the relay, for every leg; it lasts through his rejoins."""
        if self._gate.set_muted(participant_id, kind, muted):
            self._gate_changed(
                [
                    track
                    for track in self._tracks.values()
                    if track.info.participant_id == participant_id and track.info.kind is kind
                ]
            )

    def set_held(self, participant_id: str, held: bool) -> None:
        """Hold a participant in the relay: nothing of his goes to any leg, and he is sent nothing of the others.

        It lasts through his rejoins.
        """
        if self._gate.set_held(participant_id, held):
            self._gate_changed(
                [track for track in self._tracks.values() if track.info.participant_id == participant_id]
            )
            self._arrange()

    def set_view(self, session_id: str, heights: Mapping[str, int]) -> None:
        """How high a session shows its slots, by mid, in device pixels; 0 for one that it does not show.

        Mids that are no video slot of the session are left out. Raises UnknownSession.
        """
        for slot in self._peer(session_id).slots:
            if slot.kind is Kind.VIDEO and slot.mid in heights:
                slot.wanted_height = heights[slot.mid]

    def _gate_changed(self, tracks: Sequence[Track]) -> None:
        now = self._transport.clock()
        for track in tracks:
            track.gate_changed(now)

    # What is there

    def slots(self, session_id: str) -> Sequence[SlotInfo]:
        """Who is in which slot of a session. Raises UnknownSession."""
        return self._peer(session_id).slot_infos()

    def tracks(self) -> Sequence[TrackInfo]:
        """The tracks that are being published."""
        return tuple(track.info for track in self._tracks.values())

    def counters(self) -> RoomCounters:
        """A snapshot of the room's counters."""
        return self.live_counters.snapshot()

    # What sessions say (peer.PeerOwner)

    def peer_connected(self, peer: Peer) -> None:
        """See `peer.PeerOwner`."""
        self._tell(lambda: self.listener.peer_connected(peer.owner_id, peer.session_id))

    def peer_lost(self, peer: Peer, why: PeerLost) -> None:
        """See `peer.PeerOwner`."""
        self._peers.pop(peer.session_id, None)
        self._mids.pop(peer.session_id, None)
        self._ending = [other for other in self._ending if not other.ended]
        self._ending.append(peer)
        if self._participants.get(peer.owner_id) is peer and not peer.hidden:
            del self._participants[peer.owner_id]
        for track in [track for track in self._tracks.values() if self._track_owner[track.info.track_id] is peer]:
            self._end_track(track)
        self._arrange()
        self._tell(lambda: self.listener.peer_lost(peer.owner_id, peer.session_id, why))

    def new_source(self, peer: Peer, publication: Publication, ssrc: int) -> Track:
        """See `peer.PeerOwner`."""
        for other in list(self._tracks.values()):
            if self._track_owner[other.info.track_id] is peer and other.info.kind is publication.kind:
                self._end_track(other)
        info = TrackInfo(
            track_id=new_id("trk"),
            call_id=self.call_id,
            participant_id=peer.owner_id,
            side=self._sides[peer.owner_id],
            kind=publication.kind,
            codec=publication.codec,
            clock_rate=publication.clock_rate,
            payload_type=publication.payload_type,
            ssrc=ssrc,
        )
        track = Track(
            info,
            extensions=publication.extensions,
            gate=self._gate,
            counters=self.live_counters,
            publisher=peer.feedback,
            nack="nack" in publication.feedback,
            keep_fresh=self._refreshes_keyframes,
            talking=lambda level: self._tell(lambda: self.listener.talking(info.participant_id, level)),
            leg_failed=self._leg_failed,
            incomplete=self._incomplete,
        )
        self._tracks[info.track_id] = track
        self._track_owner[info.track_id] = peer
        self._track_started(track)
        self._arrange()
        self._tell(lambda: self.listener.track_started(info))
        if publication.kind is Kind.VIDEO:
            track.request_keyframe(self._transport.clock())
        return track

    def line_changed(self, peer: Peer, direction: Direction, state: LineState) -> None:
        """See `peer.PeerOwner`. Nobody is told of an officer's."""
        if not peer.hidden:
            self._tell(lambda: self.listener.line_changed(peer.owner_id, direction, state))

    def downlinks(self, peer: Peer) -> list[int]:
        """See `peer.PeerOwner`. Officers are left out: their coming may not change what a participant is allowed."""
        now = self._transport.clock()
        others = [other for other in self._participants.values() if other is not peer]
        video = peer.sources.tracks.get(Kind.VIDEO)
        if video is not None and video.is_layered:
            # Each gets the layer that fits it. Only when the lowest fits nobody is the publisher to send less of it.
            limits = [other.feedback.limit for other in others]
            known = [limit for limit in limits if limit is not None]
            return [max(known)] if known and len(known) == len(limits) else []
        said = (other.feedback.downlink(now) for other in others)
        return [bitrate for bitrate in said if bitrate is not None]

    def _end_track(self, track: Track) -> None:
        del self._tracks[track.info.track_id]
        del self._track_owner[track.info.track_id]
        track.end()
        self._track_ended(track)
        self._tell(lambda: self.listener.track_ended(track.info))

    def _track_started(self, track: Track) -> None:
        """For rooms that have other legs than sessions."""

    def _track_ended(self, track: Track) -> None:
        """For rooms that have other legs than sessions."""

    def _leg_failed(self, output: LegOutput) -> None:
        """For rooms that have other legs than sessions."""

    # Slots

    def _watching(self) -> list[Peer]:
        """The sessions that are sent something."""
        return list(self._participants.values())

    def _arrange(self) -> None:
        """Put every track into a slot of every session that is to get it, and say what changed."""
        present = list(self._participants)
        tracks = list(self._tracks.values())
        for peer in self._watching():
            before = peer.slot_infos()
            is_held = not peer.hidden and self._gate.is_held(peer.owner_id)
            arrange(peer.slots, peer.owner_id if not peer.hidden else "", present, [] if is_held else tracks)
            after = peer.slot_infos()
            if after != before:
                self._say_slots(peer.session_id, after)

    def _say_slots(self, session_id: str, slots: Sequence[SlotInfo]) -> None:
        self._tell(lambda: self.listener.slots_changed(session_id, slots))

    def _tell(self, say: Callable[[], None]) -> None:
        """Say something to the listener; if that fails, media goes on."""
        try:
            say()
        except Exception:
            self.live_counters.listener_errors += 1
            log.exception("listener failed", call_id=self.call_id)

    # Time and end, for the node

    @property
    def is_incomplete(self) -> bool:
        """Whether packets are missing that may be asked for."""
        return bool(self._incomplete)

    def ask_again(self, now: float) -> None:
        """Ask for missing packets whose time has come; `tick` does this, too. Never raises."""
        for layer in tuple(self._incomplete):
            layer.ask_again(now)

    def tick(self, now: float) -> None:
        """What time brings, for every session."""
        for peer in list(self._peers.values()):
            peer.tick(now)
        self._speaker.choose(
            {track.info.participant_id: track.voice for track in self._tracks.values() if not track.is_video}, now
        )

    def close(self) -> None:
        """End every session; nothing is forwarded any more. Only the first call has an effect."""
        if self._closed:
            return
        self._closed = True
        self._gate.open = False
        for peer in list(self._peers.values()):
            peer.close(PeerLost.ROOM_CLOSED)

    @property
    def ended(self) -> bool:
        """Whether the room is closed and the last task of each of its sessions over."""
        return self._closed and all(peer.ended for peer in self._ending)

    async def wait_closed(self) -> None:
        """Wait until the last task of every ended session is over."""
        for peer in self._ending:
            await peer.wait_closed()
