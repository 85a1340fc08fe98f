"""One officer's connection in which several calls are shown: slots over rooms.

The offer has receive-only video slots for the tiles, a few audio slots for the call that is listened to, and at most
one m-line on which the officer sends a voice. Which call is in which slot changes with no new offer and no new SSRC.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import structlog

from signaling.ids import OrdinaryCallId, parse_call_id
from signaling.media.answering import Transport, begin_session, patch_session
from signaling.media.errors import RoomClosed
from signaling.media.leg import Kind, Side
from signaling.media.listener import Direction, LineState, PeerLost
from signaling.media.peer import Peer, Publication
from signaling.media.rooms import OrdinaryMediaRoom
from signaling.media.sdp import parse_offer
from signaling.media.session import PatchAnswer, WallSlot
from signaling.media.slots import SlotPlan
from signaling.media.stats import RoomCounters
from signaling.media.track import Track
from signaling.media.voice import OfficerVoice

log = structlog.get_logger(__name__)

MAX_VIDEO_SLOTS = 32  # sixteen tiles of two sides
MAX_AUDIO_SLOTS = 5
TILE_HEIGHT, FOCUS_HEIGHT = 180, 1080  # pixels
SIDES_FIRST = 2  # participants of each tile who are placed before anybody's third

Place = tuple[OrdinaryCallId, str]


class WallListener(Protocol):
    """What a wall says, on the event loop's thread: return at once. An exception is logged and changes nothing."""

    def wall_connected(self) -> None:
        """The officer's session is connected."""
        ...

    def wall_lost(self, why: PeerLost) -> None:
        """The officer's session is over; every call is let go already. Said once."""
        ...

    def wall_slots(self, slots: Sequence[WallSlot]) -> None:
        """Somebody else is in one of the slots; `slots` lists them all."""
        ...


class MediaWall:
    """An officer's session over ordinary rooms. Made by `MediaNode.open_wall` only.

    Like every officer's session it is hidden: nothing that it does leads to a message to a participant.
    """

    def __init__(self, owner_id: str, transport: Transport, offer: str) -> None:
        """Answer `offer`; the answer stands in `answer`. Raises SdpError."""
        self.listener: WallListener | None = None
        self.live_counters = RoomCounters()
        self._transport = transport
        self._rooms: dict[OrdinaryCallId, OrdinaryMediaRoom] = {}
        self._tiles: tuple[OrdinaryCallId, ...] = ()
        self._focus: OrdinaryCallId | None = None
        self._places: dict[str, Place] = {}  # by mid
        parsed = parse_offer(offer)
        plan = SlotPlan(parsed, publishes=True, most=MAX_VIDEO_SLOTS)
        # What it publishes is a voice and nothing else; and it hears one call's sides at a time.
        plan.published = [line for line in plan.published if line.kind == Kind.AUDIO]
        plan.slots = [(line, n) for line, n in plan.slots if line.kind == Kind.VIDEO or n < MAX_AUDIO_SLOTS]
        begun = begin_session(transport, self, parsed, plan, owner_id, hidden=True)
        self._peer, self.answer, self._line = begun.peer, begun.answer, begun.line
        self.voice = OfficerVoice(owner_id, self._peer)

    @property
    def session_id(self) -> str:
        """The session's identifier."""
        return self._peer.session_id

    @property
    def owner_id(self) -> str:
        """The officer."""
        return self._peer.owner_id

    @property
    def connected(self) -> bool:
        """Whether media can flow."""
        return self._peer.connected

    @property
    def closed(self) -> bool:
        """Whether the session is over."""
        return self._peer.closed

    @property
    def ended(self) -> bool:
        """Whether the session is over and its last task, too."""
        return self._peer.ended

    async def patch(self, etag: str | None, fragment: str) -> PatchAnswer:
        """Trickle or ICE restart; see `patch_session`."""
        return patch_session(self._transport, self._peer, self._line, etag, fragment)

    async def close(self) -> None:
        """End the session. Nothing happens if it is over."""
        self._peer.close(PeerLost.CLOSED)
        await self._peer.wait_closed()

    def end(self) -> None:
        """End the session, and wait for nothing."""
        self._peer.close(PeerLost.CLOSED)

    async def wait_closed(self) -> None:
        """Wait until a closed session's last task has ended."""
        await self._peer.wait_closed()

    def tick(self, now: float) -> None:
        """What time brings."""
        self._peer.tick(now)

    # Calls

    def watch(self, room: OrdinaryMediaRoom) -> None:
        """Let the wall show a call. TypeError for a room that is not an ordinary call's; RoomFull, RoomClosed."""
        call_id = _watchable(room)
        if self.closed:
            raise RoomClosed("the officer's session is over")
        if call_id not in self._rooms:
            room.add_viewer(self)
            self._rooms[call_id] = room
            self._arrange()

    def unwatch(self, call_id: OrdinaryCallId) -> None:
        """Take a call off the wall; nothing happens if it is not on it."""
        room = self._rooms.pop(call_id, None)
        if room is None:
            return
        if self.voice.call_id == call_id:
            self.voice.stop()
        room.remove_viewer(self)
        self._arrange()

    def show(self, tiles: Iterable[OrdinaryCallId], focus: OrdinaryCallId | None) -> None:
        """Show these calls in the video slots, the first ones first, and let `focus` be heard.

        Calls that the wall does not watch are left out. Whoever is in a slot and still to be seen stays in it.
        """
        self._tiles = tuple(dict.fromkeys(tiles))
        self._focus = focus
        self._arrange()

    def slots(self) -> tuple[WallSlot, ...]:
        """Who is in which slot."""
        return tuple(
            WallSlot(self._places[info.mid][0] if info.mid in self._places else None, info)
            for info in self._peer.slot_infos()
        )

    def room_changed(self, room: OrdinaryMediaRoom) -> None:
        """See `rooms.Viewer`."""
        self._arrange()
        if self.voice.call_id == room.call_id:
            self.voice.spread()

    def room_closed(self, room: OrdinaryMediaRoom) -> None:
        """See `rooms.Viewer`."""
        if isinstance(room.call_id, OrdinaryCallId):
            self.unwatch(room.call_id)

    # Voice

    def speak(self, call_id: OrdinaryCallId, sides: frozenset[Side]) -> tuple[str, ...]:
        """Let the officer be heard by these sides of a watched call, and by its legs, until `hush`.

        Gives the participants who will hear it: others have no slot for it. KeyError for a call that is not watched;
        VoiceTaken if another officer is speaking there.
        """
        return self.voice.start(self._rooms[call_id], sides)

    def hush(self) -> None:
        """Nobody hears the officer any more."""
        self.voice.stop()

    # Slots

    def _arrange(self) -> None:
        """Put what is to be shown into the slots, and say what changed."""
        before = self.slots()
        video = [slot for slot in self._peer.slots if slot.kind is Kind.VIDEO]
        audio = [slot for slot in self._peer.slots if slot.kind is Kind.AUDIO]
        for slots, wanted in ((video, self._seen()), (audio, self._heard())):
            placed = self._place([slot.mid for slot in slots], wanted)
            for slot in slots:
                place = placed.get(slot.mid)
                if place is None:
                    self._places.pop(slot.mid, None)
                    slot.participant_id = None
                    slot.attach(None)
                    continue
                self._places[slot.mid] = place
                call_id, slot.participant_id = place
                slot.attach(self._rooms[call_id].track_of(slot.participant_id, slot.kind))
                # A tile is small; the focus gets the highest layer that fits.
                slot.wanted_height = FOCUS_HEIGHT if call_id == self._focus else TILE_HEIGHT
        after = self.slots()
        if after != before:
            self._tell_slots(after)

    def _place(self, mids: Sequence[str], wanted: Sequence[Place]) -> dict[str, Place]:
        """The slots for `wanted`: whoever has one keeps it, the others get the free ones in order."""
        chosen = wanted[: len(mids)]
        placed = {mid: self._places[mid] for mid in mids if self._places.get(mid) in chosen}
        taken = set(placed.values())
        free = (mid for mid in mids if mid not in placed)
        placed.update(zip(free, [place for place in chosen if place not in taken], strict=False))
        return placed

    def _seen(self) -> list[Place]:
        """Who is to be seen. Both sides of every tile come before a third participant of any."""
        people = [(call_id, self._present(call_id)) for call_id in self._tiles]
        first = [(call_id, one) for call_id, present in people for one in present[:SIDES_FIRST]]
        return first + [(call_id, one) for call_id, present in people for one in present[SIDES_FIRST:]]

    def _heard(self) -> list[Place]:
        if self._focus is None:
            return []
        return [(self._focus, participant_id) for participant_id in self._present(self._focus)]

    def _present(self, call_id: OrdinaryCallId) -> list[str]:
        """The participants of a watched call through which media flows; none of one that is held or not begun."""
        room = self._rooms.get(call_id)
        return list(room.participant_ids) if room is not None and room.gate_open else []

    def _tell_slots(self, slots: Sequence[WallSlot]) -> None:
        self._tell(lambda listener: listener.wall_slots(slots))

    def _tell(self, say: Callable[[WallListener], None]) -> None:
        """Say something to the listener; if that fails, the session goes on, or ends, as it would have."""
        if self.listener is None:
            return
        try:
            say(self.listener)
        except Exception:
            self.live_counters.listener_errors += 1
            log.exception("listener failed", session_id=self.session_id)

    # What the session says (peer.PeerOwner)

    def peer_connected(self, peer: Peer) -> None:
        """See `peer.PeerOwner`."""
        self._tell(lambda listener: listener.wall_connected())

    def peer_lost(self, peer: Peer, why: PeerLost) -> None:
        """See `peer.PeerOwner`."""
        self.voice.end()
        for call_id in tuple(self._rooms):
            self._rooms.pop(call_id).remove_viewer(self)
        self._places.clear()
        self._tell(lambda listener: listener.wall_lost(why))

    def new_source(self, peer: Peer, publication: Publication, ssrc: int) -> Track:
        """See `peer.PeerOwner`."""
        return self.voice.source(publication, ssrc)

    def line_changed(self, peer: Peer, direction: Direction, state: LineState) -> None:
        """See `peer.PeerOwner`. The officer's own browser knows its line."""

    def downlinks(self, peer: Peer) -> list[int]:
        """See `peer.PeerOwner`. An officer's voice is no video."""
        return []


def _watchable(room: object) -> OrdinaryCallId:
    """The call of a room that may be watched, whatever the types said before; TypeError for any other."""
    if not isinstance(room, OrdinaryMediaRoom):
        raise TypeError("only ordinary calls are watched")
    call_id = room.call_id
    if not isinstance(call_id, OrdinaryCallId) or not isinstance(parse_call_id(call_id), OrdinaryCallId):
        raise TypeError("only ordinary calls are watched")
    return call_id
