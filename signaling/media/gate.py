"""The gate of a room: the one place that says whether a participant's media goes anywhere at all."""

from __future__ import annotations

from signaling.media.leg import Kind
from signaling.media.watched import WatchedGate


class Gate(WatchedGate):
    """Closed at first. Every track of the room asks it for every packet, so there is no second opinion to forget."""

    __slots__ = ("_held", "_muted")

    def __init__(self) -> None:
        self.open = False
        self._held: set[str] = set()
        self._muted: set[tuple[str, Kind]] = set()

    def set_muted(self, participant_id: str, kind: Kind, muted: bool) -> bool:
        """Mute or unmute; says whether that changed anything. A mute lasts through a participant's rejoins."""
        key = (participant_id, kind)
        changed = (key in self._muted) != muted
        if muted:
            self._muted.add(key)
        else:
            self._muted.discard(key)
        return changed

    def set_held(self, participant_id: str, held: bool) -> bool:
        """Hold or release a participant; says whether that changed anything. It lasts through his rejoins."""
        changed = (participant_id in self._held) != held
        (self._held.add if held else self._held.discard)(participant_id)
        return changed

    def is_held(self, participant_id: str) -> bool:
        """Whether the participant neither sends nor receives anything, gate open or not."""
        return participant_id in self._held

    def is_muted(self, participant_id: str, kind: Kind) -> bool:
        """Whether nothing of this kind is passed on from the participant, gate open or not."""
        return participant_id in self._held or (participant_id, kind) in self._muted
