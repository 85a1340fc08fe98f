"""A publisher's poor line: the picture goes before the voice does, everybody hears of it, and it comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from signaling.media.line import Uplink


@dataclass
class FakeTrack:
    """A video track whose estimate and loss the test sets."""

    estimate: float | None = 800_000
    queue: float = 0.3
    expected: int = 0
    received: int = 0
    flows: bool = True
    withheld: bool = False
    history: list[bool] = field(default_factory=list)

    @property
    def uplink(self) -> Any:
        return SimpleNamespace(estimate=self.estimate, queue=self.queue)

    @property
    def layers(self) -> list[Any]:
        reception = SimpleNamespace(expected=self.expected, received=self.received)
        return [SimpleNamespace(reception=reception, is_active=lambda now: self.flows)]

    def withhold(self, withheld: bool, now: float) -> None:
        self.withheld = withheld
        self.history.append(withheld)


def run(uplink: Uplink, track: Any, start: float, seconds: float, loss: float = 0.0) -> list[str]:
    states: list[str] = []
    for step in range(round(seconds * 2)):
        track.expected += 40
        track.received += round(40 * (1 - loss))
        states.append(uplink.tick(track, start + step / 2))
    return states


def test_a_good_line_is_not_spoken_of() -> None:
    assert set(run(Uplink(), FakeTrack(), 0, 60)) == {"good"}
    assert set(run(Uplink(), FakeTrack(estimate=None), 0, 60)) == {"good"}


def test_a_moment_of_trouble_changes_nothing() -> None:
    uplink, track = Uplink(), FakeTrack()
    for start in range(0, 100, 10):
        track.estimate = 20_000
        assert set(run(uplink, track, start, 3)) == {"good"}
        track.estimate = 500_000
        assert set(run(uplink, track, start + 3, 7)) == {"good"}


def test_a_line_that_carries_no_picture_loses_it_and_gets_it_back() -> None:
    uplink, track = Uplink(), FakeTrack(estimate=30_000)
    states = run(uplink, track, 0, 10)
    assert states[0] == "good"
    assert states[-1] == "voice_only"
    assert track.withheld
    track.estimate = 400_000
    states = run(uplink, track, 10, 30)
    assert states[0] == "voice_only"
    assert states[-1] == "good"
    assert track.history == [True, False]


def test_loss_beyond_repair_is_a_line_without_a_picture() -> None:
    uplink, track = Uplink(), FakeTrack()
    assert run(uplink, track, 0, 10, loss=0.3)[-1] == "poor"  # repair keeps up with that
    assert not track.withheld
    assert run(uplink, track, 10, 10, loss=0.6)[-1] == "voice_only"


def test_a_line_that_stays_poor_is_tried_ever_more_seldom() -> None:
    uplink, track = Uplink(), FakeTrack(estimate=30_000)
    run(uplink, track, 0, 600)
    assert 3 <= track.history.count(False) <= 9


def test_a_camera_that_is_off_is_no_poor_line() -> None:
    uplink, track = Uplink(), FakeTrack(estimate=10_000, flows=False)
    assert set(run(uplink, track, 0, 60, loss=0.9)) == {"good"}


def test_poor_becomes_good_again_after_a_while_and_not_at_once() -> None:
    uplink, track = Uplink(), FakeTrack(estimate=100_000)
    assert run(uplink, track, 0, 8)[-1] == "poor"
    track.estimate = 300_000
    states = run(uplink, track, 8, 12)
    assert states[10] == "poor"
    assert states[-1] == "good"


def test_a_picture_of_which_there_is_little_to_send_is_no_poor_line() -> None:
    """A still picture is a few kilobits a second, and the estimate knows no more than what comes."""
    assert set(run(Uplink(), FakeTrack(estimate=15_000, queue=0.0), 0, 60)) == {"good"}
