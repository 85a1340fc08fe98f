"""Who is put into which slot."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.media.leg import Kind
from signaling.media.slots import arrange


class Slot:
    """As much of a forwarder as arranging needs."""

    def __init__(self, kind: Kind, index: int) -> None:
        self.kind, self.index = kind, index
        self.participant_id: str | None = None
        self.track: Any = None

    def attach(self, track: Any) -> None:
        self.track = track


def slots(count: int) -> Any:
    return tuple(Slot(kind, index) for kind in (Kind.AUDIO, Kind.VIDEO) for index in range(count))


def track(participant_id: str, kind: Kind) -> Any:
    return SimpleNamespace(info=SimpleNamespace(participant_id=participant_id, kind=kind))


def both(*people: str) -> list[Any]:
    return [track(person, kind) for person in people for kind in (Kind.AUDIO, Kind.VIDEO)]


def shown(made: Any) -> dict[tuple[str, int], str]:
    return {(slot.kind, slot.index): slot.track.info.participant_id for slot in made if slot.track is not None}


def test_the_others_are_shown_in_the_order_of_their_joining() -> None:
    made = slots(3)
    arrange(made, "me", ["a", "me", "b"], both("b", "me", "a"))
    assert shown(made) == {("audio", 0): "a", ("video", 0): "a", ("audio", 1): "b", ("video", 1): "b"}


def test_who_comes_back_comes_back_to_his_place() -> None:
    made = slots(3)
    arrange(made, "me", ["a", "b"], both("a", "b"))
    arrange(made, "me", ["b"], both("b"))
    assert shown(made) == {("audio", 1): "b", ("video", 1): "b"}
    assert made[0].participant_id == "a"
    arrange(made, "me", ["b", "a"], both("b", "a"))
    assert shown(made) == {("audio", 0): "a", ("video", 0): "a", ("audio", 1): "b", ("video", 1): "b"}


def test_an_absent_ones_place_is_given_away_only_when_none_is_free() -> None:
    made = slots(2)
    arrange(made, "me", ["a"], both("a"))
    arrange(made, "me", ["b"], both("b"))
    assert [slot.participant_id for slot in made[:2]] == ["a", "b"]
    arrange(made, "me", ["b", "c"], both("b", "c"))
    assert [slot.participant_id for slot in made[:2]] == ["c", "b"]


def test_without_slots_nothing_happens() -> None:
    arrange((), "me", ["a", "b"], both("a", "b"))


@settings(deadline=None)
@given(st.lists(st.sets(st.sampled_from("abcdef")), max_size=12), st.integers(1, 5))
def test_nobody_is_shown_twice_and_nobody_moves_while_he_stays(history: list[set[str]], count: int) -> None:
    made = slots(count)
    before: dict[str, int] = {}
    previous: set[str] = set()
    for present in history:
        arrange(made, "a", sorted(present), both(*sorted(present)))
        audio = {slot.track.info.participant_id: slot.index for slot in made if slot.track and slot.kind is Kind.AUDIO}
        video = {slot.track.info.participant_id: slot.index for slot in made if slot.track and slot.kind is Kind.VIDEO}
        assert audio == video
        assert len(audio) == min(count, len(present - {"a"}))
        assert all(audio[person] == before[person] for person in audio if person in before and person in previous)
        before, previous = audio, present
