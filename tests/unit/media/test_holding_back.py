"""What receivers allow a publisher: how the room reads it from their sessions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from signaling.media.feedback import Feedback
from signaling.media.leg import Kind
from signaling.media.router import MediaRoom
from signaling.media.rtcp import Reporter
from signaling.media.stats import RoomCounters


def session(*, layered: bool = False, limit: int | None = None, downlink: int | None = None) -> Any:
    """A participant's session, as the room sees it."""
    feedback = SimpleNamespace(limit=limit, downlink=lambda now: downlink)
    video = SimpleNamespace(is_layered=layered)
    return SimpleNamespace(feedback=feedback, sources=SimpleNamespace(tracks={Kind.VIDEO: video}))


def allowed(publisher: Any, *others: Any) -> list[int]:
    participants = {str(number): each for number, each in enumerate((publisher, *others))}
    room: Any = SimpleNamespace(_participants=participants, _transport=SimpleNamespace(clock=lambda: 1.0))
    return MediaRoom.downlinks(room, publisher)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ([], []),
        ([None], []),
        ([150_000], [150_000]),
        ([150_000, None], []),  # whoever takes more gets more, and the other one what fits him
        ([150_000, 90_000], [150_000]),
    ],
)
def test_a_publisher_with_layers_sends_less_only_when_the_lowest_fits_nobody(
    limits: list[int | None], expected: list[int]
) -> None:
    others = [session(limit=limit, downlink=50_000) for limit in limits]
    assert allowed(session(layered=True, limit=1, downlink=1), *others) == expected


def test_without_layers_everybody_who_says_what_he_takes_counts() -> None:
    others = [session(downlink=300_000), session(downlink=None), session(downlink=200_000, limit=1)]
    assert sorted(allowed(session(downlink=1), *others)) == [200_000, 300_000]


class FakeSlot:
    """A video slot that sends again whatever it is asked for."""

    kind = Kind.VIDEO
    ssrc = 77

    def __init__(self) -> None:
        self.repeated = 0
        self.keyframes: list[float] = []
        self.track = SimpleNamespace(is_open=True)
        self.layer = SimpleNamespace(request_keyframe=self.keyframes.append)

    def retransmit(self, sequence: int, now: float) -> bool:
        self.repeated += 1
        return True


@pytest.mark.parametrize("hidden", [False, True])
def test_what_a_narrow_line_cannot_be_sent_again_is_replaced_by_a_keyframe(hidden: bool) -> None:
    slot = FakeSlot()
    peer: Any = SimpleNamespace(counters=RoomCounters(), hidden=hidden, slots=(slot,))
    feedback = Feedback(peer, 0.0)
    client = Reporter(5, "client")
    feedback.receive(client.nack(slot.ssrc, list(range(40))), 0.1)
    assert slot.repeated == 40  # nothing is known of the line
    feedback.receive(client.receiver_report([], (150_000, [slot.ssrc])), 0.2)
    for number in range(10):
        feedback.receive(client.nack(slot.ssrc, list(range(40))), 0.3 + number / 10)
    assert 40 < slot.repeated < 40 + 40
    assert len(slot.keyframes) == (0 if hidden else 1)  # an officer's line changes nothing for a publisher
