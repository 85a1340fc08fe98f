"""The two kinds of media rooms there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog

from signaling.ids import PRIVILEGED_PREFIX, CallId, OrdinaryCallId, PrivilegedCallId
from signaling.media.answering import Transport
from signaling.media.errors import RoomFull
from signaling.media.forwarder import Forwarder
from signaling.media.leg import Kind, Leg, Side, TrackInfo
from signaling.media.peer import Peer
from signaling.media.router import MAX_WATCHERS, MediaRoom
from signaling.media.sdp import parse_offer
from signaling.media.session import Answer
from signaling.media.slots import TALK, SlotPlan
from signaling.media.track import LegOutput, Track

if TYPE_CHECKING:
    from signaling.media.voice import OfficerVoice

log = structlog.get_logger(__name__)

MAX_LEGS = 16
MAX_OFFICER_SLOTS = 16  # of each kind


class Viewer(Protocol):
    """A connection that shows several rooms: an officer's wall. Both methods return at once."""

    def room_changed(self, room: OrdinaryMediaRoom) -> None:
        """The room's people, tracks or legs have changed, or its gate."""
        ...

    def room_closed(self, room: OrdinaryMediaRoom) -> None:
        """The room is over: let go of it."""
        ...


class OrdinaryMediaRoom(MediaRoom):
    """A room that officers may watch and other legs may listen to."""

    _refreshes_keyframes = True

    def __init__(self, call_id: OrdinaryCallId, transport: Transport) -> None:
        """Raises TypeError for an identifier of another type, or with the other kind's prefix."""
        _check_kind(call_id, OrdinaryCallId)
        super().__init__(call_id, transport)
        self._legs: dict[str, LegOutput] = {}
        self._viewers: list[Viewer] = []
        self.voice: OfficerVoice | None = None
        """The officer's voice that is heard in the call now."""

    async def subscribe(self, leg_owner: str, offer: str) -> Answer:
        """Answer a receive-only offer (an officer's wall). Participants can observe neither its coming nor its going.

        Raises SdpError, RoomFull, RoomClosed.
        """
        self._check_open()
        parsed = parse_offer(offer)
        plan = SlotPlan(parsed, publishes=False, most=MAX_OFFICER_SLOTS)
        self._check_watchers()
        _, answer = self._answer(parsed, plan, leg_owner, hidden=True)
        self._arrange()
        return answer

    def _check_watchers(self) -> None:
        if sum(peer.hidden for peer in self._peers.values()) + len(self._viewers) >= MAX_WATCHERS:
            raise RoomFull("the call has as many watchers as it may have")

    def _watching(self) -> list[Peer]:
        return list(self._peers.values())

    # Viewers: what an officer's wall needs

    def add_viewer(self, viewer: Viewer) -> None:
        """Tell `viewer` of every change. Raises RoomFull, RoomClosed."""
        self._check_open()
        self._check_watchers()
        self._viewers.append(viewer)

    def remove_viewer(self, viewer: Viewer) -> None:
        """Tell `viewer` nothing more; nothing happens if it is none of the room's."""
        self._viewers = [other for other in self._viewers if other is not viewer]

    @property
    def participant_ids(self) -> Sequence[str]:
        """The participants with a session, in the order of their joining."""
        return tuple(self._participants)

    def track_of(self, participant_id: str, kind: Kind) -> Track | None:
        """What a participant publishes of one kind now."""
        for track in self._tracks.values():
            if track.info.participant_id == participant_id and track.info.kind is kind:
                return track
        return None

    def shut(self) -> None:
        """See `MediaRoom.shut`."""
        super().shut()
        if self.voice is not None:
            self.voice.shut()

    def set_gate(self, open: bool) -> None:
        """See `MediaRoom.set_gate`."""
        changed = open != self._gate.open
        super().set_gate(open)
        if changed:
            self._tell_viewers()

    def _arrange(self) -> None:
        super()._arrange()
        self._tell_viewers()

    def _tell_viewers(self) -> None:
        for viewer in tuple(self._viewers):
            viewer.room_changed(self)

    # An officer's voice

    def talk_slots(self, sides: frozenset[Side]) -> list[tuple[str, Forwarder]]:
        """The slots for an officer's voice of the participants on `sides` who have one, by participant."""
        return [
            (participant_id, slot)
            for participant_id, peer in self._participants.items()
            if self._sides[participant_id] in sides
            for slot in peer.slots
            if slot.index == TALK
        ]

    @property
    def leg_outputs(self) -> tuple[LegOutput, ...]:
        """The room's other legs, as a track gives to them."""
        return tuple(self._legs.values())

    def voice_began(self, info: TrackInfo) -> None:
        """Tell every leg that an officer's voice is a track from now on."""
        for output in list(self._legs.values()):
            self._guarded(output, partial(output.leg.track_added, info))

    def voice_ended(self, info: TrackInfo) -> None:
        """Tell every leg that the officer's voice is over."""
        for output in list(self._legs.values()):
            self._guarded(output, partial(output.leg.track_removed, info.track_id))

    def drop_leg(self, output: LegOutput) -> None:
        """Remove a leg that failed too often."""
        self._leg_failed(output)

    # Legs

    def add_leg(self, leg: Leg) -> None:
        """Give every track to `leg`, from now on. Raises ValueError if its id is taken, RoomFull, RoomClosed."""
        self._check_open()
        if leg.leg_id in self._legs:
            raise ValueError(f"the room has a leg {leg.leg_id!r} already")
        if len(self._legs) >= MAX_LEGS:
            raise RoomFull("the call has as many legs as it may have")
        output = LegOutput(leg)
        self._legs[leg.leg_id] = output
        for info in self.tracks():
            self._guarded(output, partial(leg.track_added, info))
        if self.voice is not None and self.voice.info is not None:
            self._guarded(output, partial(leg.track_added, self.voice.info))
        self._spread()

    def remove_leg(self, leg_id: str) -> None:
        """Take a leg away and close it; nothing happens if there is none."""
        self._remove_leg(leg_id, "removed")

    def _remove_leg(self, leg_id: str, reason: str) -> None:
        output = self._legs.pop(leg_id, None)
        if output is None:
            return
        self._spread()
        self.live_counters.legs_removed += 1
        self._guarded(output, partial(output.leg.close, reason))

    def _leg_failed(self, output: LegOutput) -> None:
        log.error("leg removed", call_id=self.call_id, leg_id=output.leg.leg_id, failures=output.failures)
        self._remove_leg(output.leg.leg_id, "failed")

    def _spread(self) -> None:
        outputs = tuple(self._legs.values())
        for track in self._tracks.values():
            track.set_outputs(outputs)
        if self.voice is not None:
            self.voice.spread()

    def _track_started(self, track: Track) -> None:
        for output in list(self._legs.values()):
            self._guarded(output, partial(output.leg.track_added, track.info))
        track.set_outputs(tuple(self._legs.values()))

    def _track_ended(self, track: Track) -> None:
        for output in list(self._legs.values()):
            self._guarded(output, partial(output.leg.track_removed, track.info.track_id))

    def _guarded(self, output: LegOutput, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:
            self.live_counters.leg_errors += 1
            log.exception("leg failed", call_id=self.call_id, leg_id=output.leg.leg_id)

    def close(self) -> None:
        """See `MediaRoom.close`; the legs are closed too, and viewers let go."""
        super().close()
        for viewer in tuple(self._viewers):
            viewer.room_closed(self)
        for leg_id in list(self._legs):
            self._remove_leg(leg_id, "room_closed")


class PrivilegedMediaRoom(MediaRoom):
    """A room of participants and nobody else. It has no method that could add a listener."""

    def __init__(self, call_id: PrivilegedCallId, transport: Transport) -> None:
        """Raises TypeError for an identifier of another type, or with the other kind's prefix."""
        _check_kind(call_id, PrivilegedCallId)
        super().__init__(call_id, transport)


def _check_kind(call_id: CallId, wanted: type[CallId]) -> None:
    """The type and the text of an identifier must both say the same; TypeError otherwise."""
    says_privileged = call_id.startswith(f"{PRIVILEGED_PREFIX}_")
    if not isinstance(call_id, wanted) or says_privileged != (wanted is PrivilegedCallId):
        raise TypeError(f"not the identifier of {wanted.__name__}'s kind of call")
