"""What was said during a hold reaches nobody, however late it comes and whoever asks for it."""

from __future__ import annotations

import pytest

from signaling.media.track import LegOutput
from tests.integration.media.conftest import ListeningLeg
from tests.unit.media.test_layers import Camera, slot_on


def rtx(original: bytes) -> bytes:
    """The packet repaired by RFC 4588: another payload type and SSRC, the original number first in the payload."""
    return bytes([original[0], 97]) + b"\x03\x84" + original[4:8] + bytes(4) + original[2:4] + original[12:]


@pytest.mark.parametrize("mute", [False, True], ids=["gate", "mute"])
@pytest.mark.parametrize("by_rtx", [False, True], ids=["late", "repaired"])
def test_a_keyframe_of_the_hold_that_comes_after_it_is_dropped(by_rtx: bool, mute: bool) -> None:
    camera = Camera("")
    leg = ListeningLeg("recorder")
    camera.track.set_outputs((LegOutput(leg),))
    slot, wire = slot_on(camera)

    def shut(closed: bool) -> None:
        if mute:
            camera.gate.set_muted(camera.info.participant_id, camera.info.kind, closed)
        else:
            camera.gate.open = not closed
        camera.track.gate_changed(camera.now)

    camera.play(key=True)
    camera.play()
    wire.run_timers()
    before = len(leg.rtp), len(wire.sent)
    assert before == (2, 2)

    shut(True)
    camera.play()
    lost = camera.packet(0, key=True)
    camera.play()
    shut(False)
    asked_before = len(camera.publisher.nacks)
    camera.now += 0.1
    camera.layer(0).ask_again(camera.now)
    assert camera.publisher.nacks[asked_before:] == []

    if by_rtx:
        camera.layer(0).receive_again(rtx(lost), camera.now)
    else:
        camera.layer(0).receive(lost, camera.now)
    camera.play()  # no keyframe has come yet
    wire.run_timers()
    assert len(wire.sent) == before[1]
    assert lost[2:4] not in [packet[2:4] for _, packet, _ in leg.rtp]
    assert camera.layer(0).requests.wanted
    assert camera.layer(0).cache is not None
    assert camera.layer(0).cache.packets == []

    camera.track.tick(camera.now)
    camera.play(key=True)
    wire.run_timers()
    assert len(wire.sent) == before[1] + 1
    assert len(leg.rtp) > before[0]
    assert slot.layer is camera.layer(0)


def test_what_was_sent_before_a_hold_is_not_sent_again_after_it() -> None:
    camera = Camera("q")
    slot, wire = slot_on(camera, rtx=None)
    camera.play(key=True)
    wire.run_timers()
    camera.play()
    sequence = int.from_bytes(wire.sent[-1][2:4], "big")
    assert slot.retransmit(sequence, camera.now)
    for is_open in (False, True):
        camera.gate.open = is_open
        camera.track.gate_changed(camera.now)
        assert not slot.retransmit(sequence, camera.now)
