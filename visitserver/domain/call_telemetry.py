"""What a call's own events show: who was there when, whether the room was, and which of its time was lost.

Read from the stored events alone (their types are signaling.calls.EventType's), so the same call gives the same answer
whenever it is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from visitserver.domain.calls import StoredCallEvent

FAMILY: Final = frozenset({"family", "guest"})
"""The sides outside: one of them in the call is enough to call it visited."""
PRISONER: Final = frozenset({"prisoner"})

_LIVE: Final = "live"
_NOT_LIVE: Final = frozenset(
    {"held", "waiting_monitor", "reconnecting", "ending", "ended", "terminated", "no_show", "failed"}
)
_HUNG_UP: Final = "hung_up"


@dataclass(slots=True)
class _Person:
    side: str
    joined: bool = False
    connected: bool = False
    hung_up: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """The call between two events. `chosen`: somebody on a side was not there because they did not want to be."""

    begins: datetime
    ends: datetime
    live: bool
    chosen: bool


@dataclass(frozen=True, slots=True)
class CallTrace:
    """A call as its events show it.

    `room_open_at` is when people could first come in; `room_lost` whether a media node was lost with the call. `came`
    are the sides that signed in, `connected` those whose media reached us, `walked_out` those of which everybody who
    had been connected hung up and was away at the end.
    """

    stretches: Sequence[Stretch]
    room_open_at: datetime | None = None
    room_lost: bool = False
    came: frozenset[str] = frozenset()
    connected: Mapping[str, Sequence[tuple[datetime, datetime]]] = field(default_factory=dict)
    walked_out: frozenset[str] = frozenset()

    def lost(self, starts_at: datetime, ends_at: datetime, *, at_door_since: datetime | None = None) -> timedelta:
        """The part of the scheduled time in which the call was not live although nobody had chosen that.

        Time before the caller first came, and time after somebody hung up until they were back, is chosen. A caller who
        waited for an officer at the door (`at_door_since`) had come. Where there was no room to come to, nobody is
        late.
        """
        lost = timedelta(0)
        for each in self.stretches:
            begins, ends = max(each.begins, starts_at), min(each.ends, ends_at)
            if each.live or ends <= begins:
                continue
            if each.chosen:
                # At the door: from then on it is not the caller who keeps the call waiting.
                if at_door_since is None or self.came & FAMILY or ends <= at_door_since:
                    continue
                begins = max(begins, at_door_since)
            lost += ends - begins
        return lost

    def line_was_there(self, starts_at: datetime, ends_at: datetime) -> bool:
        """Whether the room was open in time, no media node was lost with it, and the prisoner's side had media with us
        at some time of the visit: then our side worked."""
        if self.room_open_at is None or self.room_open_at > starts_at or self.room_lost:
            return False
        spans = [span for side in PRISONER for span in self.connected.get(side, ())]
        return any(begins < ends_at and ends > starts_at for begins, ends in spans)


def trace_of(events: Iterable[StoredCallEvent], *, until: datetime) -> CallTrace:
    """Read a call's events, from the first, in order. `until` ends the last stretch (the scheduled end)."""
    people: dict[str, _Person] = {}
    stretches: list[Stretch] = []
    open_at: datetime | None = None
    lost = False
    came: set[str] = set()
    since: dict[str, datetime] = {}  # participant -> connected since
    spans: dict[str, list[tuple[datetime, datetime]]] = {}
    live = False
    at: datetime | None = None

    def gone(participant_id: str, when: datetime) -> None:
        began = since.pop(participant_id, None)
        if began is not None:
            spans.setdefault(people[participant_id].side, []).append((began, when))

    for event in events:
        if at is None:
            # Nobody can come to a call that there is not.
            stretches.append(Stretch(event.at - timedelta(days=1), event.at, live=False, chosen=False))
        elif event.at > at and event.type == "reopened":
            # Since its last sign of life the call was nobody's.
            stretches.append(Stretch(at, event.at, live=False, chosen=False))
        elif event.at > at:
            stretches.append(Stretch(at, event.at, live, open_at is not None and _chosen(people)))
        at = event.at
        who = str(event.data.get("participant_id", ""))
        match event.type:
            case "lobby_opened":
                open_at = open_at or event.at
            case "reopened":
                lost, live = True, False
                for each in list(since):
                    gone(each, event.at)
                for person in people.values():
                    # Nobody was asked: that they are away now is the node's doing.
                    person.connected = person.hung_up = False
            case "joined":
                person = people.setdefault(who, _Person(str(event.data["side"])))
                person.joined, person.hung_up = True, False
                came.add(person.side)
            case "connected":
                people[who].connected, people[who].hung_up = True, False
                since.setdefault(who, event.at)
            case "disconnected":
                people[who].connected, people[who].hung_up = False, event.cause == _HUNG_UP
                gone(who, event.at)
            case _ if event.type == _LIVE:
                live = True
            case _ if event.type in _NOT_LIVE:
                live = False
    if at is not None:
        if until > at:
            stretches.append(Stretch(at, until, live=False, chosen=open_at is not None and _chosen(people)))
        for each in list(since):
            gone(each, max(at, until))
    sides = {person.side for person in people.values()}
    walked_out = {side for side in sides if _walked_out([one for one in people.values() if one.side == side])}
    return CallTrace(tuple(stretches), open_at, lost, frozenset(came), spans, frozenset(walked_out))


def _chosen(people: Mapping[str, _Person]) -> bool:
    """Whether the caller has not come yet, or a whole side is away because it hung up."""
    outside = [person for person in people.values() if person.side in FAMILY]
    inside = [person for person in people.values() if person.side in PRISONER]
    return not any(person.joined for person in outside) or _walked_out(outside) or _walked_out(inside)


def _walked_out(side: Sequence[_Person]) -> bool:
    return any(person.hung_up for person in side) and not any(person.connected for person in side)
