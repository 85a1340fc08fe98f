"""Derived WebM of real VP8 and Opus, decoded again: pictures, size, voice, and that both sides run together."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import av
import numpy as np
import pytest

from recorder.access import plain_chunks, read_data_key, read_opening
from recorder.index import RecordingIndex
from recorder.playback import timeline
from recorder.remux import RemuxReport, remux
from signaling.calls import EventType
from signaling.ids import OrdinaryCallId
from signaling.media.leg import Side
from tests.unit.recorder.support import START, Laboratory, Publisher, Sent, event, ordinary_call

SECONDS = 6.0
FRAME = 1 / 15
A, B = "par_a", "par_b"


class Played:
    """A recording, remuxed and decoded."""

    def __init__(self, lab: Laboratory, recording_id: str) -> None:
        public = lab.signing_key.public_key()
        key = read_data_key(lab.store, recording_id, lab.keys, public)
        self.opening = read_opening(lab.store, recording_id, public)
        self.index = RecordingIndex.build(plain_chunks(lab.store, recording_id, key), int(START * 1e9))
        self.files = {who: io.BytesIO() for who in self.index.participants()}
        self.reports: dict[str, RemuxReport] = remux(plain_chunks(lab.store, recording_id, key), self.index, self.files)

    def timeline(self) -> dict[str, Any]:
        return timeline(self.index, self.opening)

    def pictures(self, who: str) -> list[tuple[float, tuple[int, int], float]]:
        """(seconds, size, brightness of the lower part) of every picture."""
        with av.open(io.BytesIO(self.files[who].getvalue()), "r") as container:
            return [
                (
                    float(frame.time or 0.0),
                    (frame.width, frame.height),
                    float(np.mean(frame.to_ndarray(format="gray")[60:])),
                )
                for frame in container.decode(video=0)
            ]

    def voice(self, who: str) -> list[tuple[float, float]]:
        """(seconds, mean amplitude) of every piece of sound."""
        with av.open(io.BytesIO(self.files[who].getvalue()), "r") as container:
            return [
                (float(frame.time or 0.0), float(np.mean(np.abs(frame.to_ndarray()))))
                for frame in container.decode(audio=0)
            ]

    def sounding(self, who: str) -> float:
        """How many seconds of sound there are."""
        with av.open(io.BytesIO(self.files[who].getvalue()), "r") as container:
            return sum(frame.samples for frame in container.decode(audio=0)) / 48000

    def flashes(self, who: str) -> list[float]:
        """When the picture turns white."""
        pictures = self.pictures(who)
        return [now[0] for before, now in pairwise(pictures) if before[2] < 100 < now[2]]

    def tones(self, who: str) -> list[float]:
        """When the tone begins."""
        voice = self.voice(who)
        return [now[0] for before, now in pairwise(voice) if before[1] < 0.05 < now[1]]


@pytest.fixture
def call_id() -> OrdinaryCallId:
    return ordinary_call()


def play(lab: Laboratory, call_id: OrdinaryCallId, sent: list[Sent], *events: Any) -> Played:
    recording_id, _ = lab.write(sent, events, call_id=call_id)
    return Played(lab, recording_id)


def drop_all(sent: list[Sent], lost: set[int], kind: str) -> Iterator[Sent]:
    """Without the packets of `kind` whose positions among their kind are in `lost`."""
    position = 0
    for one in sent:
        if one.track.kind == kind and not one.rtcp:
            position += 1
            if position - 1 in lost:
                continue
        yield one


def test_both_sides_decode_and_run_together(lab: Laboratory, call_id: OrdinaryCallId) -> None:
    """Wall clocks 50 minutes apart and different delays: what happened at once is shown at once, voice and picture
    too.
    """
    family = Publisher(call_id, A, Side.FAMILY, ntp_offset=0.7, delay=0.02)
    prisoner = Publisher(call_id, B, Side.PRISONER, ntp_offset=-3000.0, delay=0.03, first_ssrc=200, video_start=0.8)
    played = play(lab, call_id, [*family.send(SECONDS), *prisoner.send(SECONDS, size=(320, 240))])
    assert {who: report.side for who, report in played.reports.items()} == {A: "family", B: "prisoner"}
    assert all(report.synchronised for report in played.reports.values())
    assert len(played.pictures(A)) == int(SECONDS * 15)
    assert {size for _, size, _ in played.pictures(A)} == {(160, 120)}
    assert {size for _, size, _ in played.pictures(B)} == {(320, 240)}
    assert played.pictures(B)[0][0] == pytest.approx(0.8 + 0.03, abs=0.005)
    assert 0.1 < max(level for _, level in played.voice(A)) < 0.5
    for who in (A, B):
        assert played.flashes(who) == pytest.approx([1, 3, 5], abs=FRAME)
        # The encoder looks 6.5 ms ahead, a packet is 20 ms: a tone is heard in the piece in which it begins.
        assert played.tones(who) == pytest.approx(played.flashes(who), abs=0.03)
    assert played.flashes(A) == pytest.approx(played.flashes(B), abs=0.02)


def test_jitter_of_the_network_does_not_move_pictures(lab: Laboratory, call_id: OrdinaryCallId) -> None:
    sent = Publisher(call_id, A).send(SECONDS)
    jittered = [
        Sent(one.arrival + (index * 37 % 90) / 1000, one.order, one.track, one.packet, one.rtcp)
        for index, one in enumerate(sent)
    ]
    times = [at for at, _, _ in play(lab, call_id, jittered).pictures(A)]
    steps = [after - before for before, after in pairwise(times)]
    assert len(times) == int(SECONDS * 15)
    assert max(steps) - min(steps) < 0.005


def test_a_hold_keeps_its_time_and_is_no_loss(lab: Laboratory, call_id: OrdinaryCallId) -> None:
    """Two seconds are withheld by the relay; the publisher went on sending, so numbers jump."""
    sent = [one for one in Publisher(call_id, A).send(SECONDS) if not 2.0 <= one.arrival - START < 4.0]
    played = play(
        lab,
        call_id,
        sent,
        (START, event(call_id, EventType.LIVE, 1)),
        (START + 2.0, event(call_id, EventType.HELD, 2)),
        (START + 4.0, event(call_id, EventType.LIVE, 3)),
    )
    shown = played.timeline()
    assert shown["gaps"]["packets"] == 0
    assert shown["pauses"] == [{"cause": "held", "from_ms": 2000, "to_ms": 4000}]
    assert played.flashes(A) == pytest.approx([1, 5], abs=FRAME)
    assert played.tones(A) == pytest.approx([1, 5], abs=0.06)
    assert played.reports[A].silence_ms == pytest.approx(2000, abs=60)
    assert played.sounding(A) == pytest.approx(SECONDS, abs=0.05)  # silence fills the hold without a hole


def test_lost_packets_leave_a_still_picture_up_to_the_next_key_frame(lab: Laboratory, call_id: OrdinaryCallId) -> None:
    """Key frames come every 2 s. What refers to a lost frame is not shown: it would be a picture that nobody sent."""
    sent = Publisher(call_id, A).send(SECONDS)
    pictures = [one for one in sent if one.track.kind == "video" and not one.rtcp]
    lost_at = next(index for index, one in enumerate(pictures) if one.arrival - START > 2.5)
    played = play(lab, call_id, list(drop_all(sent, {lost_at}, "video")))
    times = [at for at, _, _ in played.pictures(A)]
    assert not [at for at in times if 2.6 < at < 4.0]
    assert [at for at in times if 4.0 < at < 4.1]
    assert played.reports[A].video_left_out >= 20
    gaps = played.timeline()["gaps"]
    assert (gaps["count"], gaps["packets"], gaps["list"][0]["kind"]) == (1, 1, "video")
    assert gaps["list"][0]["at_ms"] == pytest.approx(2550, abs=100)
    assert played.flashes(A) == pytest.approx([1, 5], abs=FRAME)


def test_packets_that_come_late_are_put_back_in_place(lab: Laboratory, call_id: OrdinaryCallId) -> None:
    """One packet in ten comes after all, up to 3 s late, as retransmissions do: the result is as if nothing had
    happened.
    """
    sent = Publisher(call_id, A).send(SECONDS)
    late = [
        Sent(
            one.arrival + (0.2 + index % 7 * 0.4 if index % 10 == 4 and not one.rtcp else 0),
            one.order,
            one.track,
            one.packet,
            one.rtcp,
        )
        for index, one in enumerate(sent)
    ]
    played, smooth = play(lab, call_id, late), play(Laboratory(lab.root / "b"), call_id, sent)
    gaps = played.timeline()["gaps"]
    assert gaps["packets"] == 0
    assert gaps["recovered"] > 20
    assert played.pictures(A) == smooth.pictures(A)
    assert played.reports[A].video_left_out == 0
    # The last packets come late: the recording is longer by that, and silent.
    assert [one for one in played.voice(A) if one[0] < 5.9] == [one for one in smooth.voice(A) if one[0] < 5.9]
    assert played.tones(A) == smooth.tones(A)


def test_lost_voice_becomes_silence_of_the_same_length(lab: Laboratory, call_id: OrdinaryCallId) -> None:
    sent = list(drop_all(Publisher(call_id, A).send(SECONDS), set(range(60, 85)), "audio"))
    played = play(lab, call_id, sent)
    assert played.tones(A) == pytest.approx([1, 1.7, 3, 5], abs=0.08)  # 1.2 to 1.7 is lost
    assert played.reports[A].silence_ms == pytest.approx(500, abs=60)
    assert played.timeline()["gaps"]["packets"] == 25


def test_a_change_of_resolution_goes_through(lab: Laboratory, call_id: OrdinaryCallId) -> None:
    played = play(lab, call_id, Publisher(call_id, A).send(SECONDS, resize_at=3.0))
    sizes = [(at, size) for at, size, _ in played.pictures(A)]
    assert {size for at, size in sizes if at < 3.0} == {(160, 120)}
    assert {size for at, size in sizes if at > 3.1} == {(320, 240)}
    assert [report[1:] for report in played.reports[A].sizes] == [(160, 120), (320, 240)]


def test_without_sender_reports_time_is_counted_from_arrival(lab: Laboratory, call_id: OrdinaryCallId) -> None:
    played = play(lab, call_id, [one for one in Publisher(call_id, A, delay=0.02).send(SECONDS) if not one.rtcp])
    assert not played.reports[A].synchronised
    assert played.flashes(A) == pytest.approx([1, 3, 5], abs=FRAME)
    assert played.tones(A) == pytest.approx([1, 3, 5], abs=0.05)


def test_a_rejoin_goes_on_in_the_same_file(lab: Laboratory, call_id: OrdinaryCallId) -> None:
    """The same person from another device, whose clock is 3 s off: new tracks, new SSRCs, one file, no jump in time."""
    first = Publisher(call_id, A).send(2.5)
    again = Publisher(call_id, A, first_ssrc=500, phase=1.0).send(3.0)
    second = [Sent(one.arrival + 3.0, one.order, one.track, one.packet, one.rtcp) for one in again]
    played = play(lab, call_id, [*first, *second])
    assert list(played.reports) == [A]
    assert len(played.index.tracks) == 4
    assert played.flashes(A) == pytest.approx([1, 5], abs=FRAME)
    assert played.tones(A) == pytest.approx([1, 5], abs=0.06)


def test_an_officer_speaks_twice_at_the_times_when_it_was_heard(lab: Laboratory, call_id: OrdinaryCallId) -> None:
    """Each talk is a track of its own: between two the officer's RTP clock need not have run (docs/decisions/0142)."""
    voice = Publisher(call_id, "stf_1", Side.OFFICER, phase=-1.0, delay=0.0, first_ssrc=900).send(3.0)
    sound = [one for one in voice if one.track.kind == "audio" and not one.rtcp]
    again = replace(sound[0].track, track_id="talk-2")
    talks = [
        *(replace(one, arrival=one.arrival + 1.0) for one in sound if one.arrival < START + 1.0),
        *(replace(one, arrival=one.arrival + 2.0, track=again) for one in sound if one.arrival >= START + 2.0),
    ]
    played = play(lab, call_id, [*Publisher(call_id, A).send(SECONDS), *talks])
    assert played.reports["stf_1"].side == "officer"
    assert played.tones("stf_1") == pytest.approx([1, 4], abs=0.06)
    officer = next(track for track in played.timeline()["tracks"] if track["side"] == "officer")
    assert (officer["kinds"], officer["lost"]) == (["audio"], 0)
    assert played.flashes(A) == pytest.approx([1, 3, 5], abs=FRAME)


def test_the_time_line_says_who_spoke_when(lab: Laboratory, call_id: OrdinaryCallId) -> None:
    bookmark = (START + 2.5, event(call_id, EventType.BOOKMARK, 1, note="look here"))
    played = play(lab, call_id, Publisher(call_id, A, delay=0.0).send(SECONDS), bookmark)
    shown = played.timeline()
    (track,) = shown["tracks"]
    assert track["speech_source"] == "audio-level"
    assert track["speech"] == [[pytest.approx(1000, abs=200), pytest.approx(2000, abs=200)],
                               [pytest.approx(3000, abs=200), pytest.approx(4000, abs=200)],
                               [pytest.approx(5000, abs=200), pytest.approx(6000, abs=200)]]  # fmt: skip
    assert [level < 20 for level in track["loudness"][:6]] == [False, True, False, True, False, True]
    assert shown["bookmarks"] == [{"at_ms": 2500, "actor": {"kind": "system", "id": "system"}, "note": "look here"}]
    assert shown["duration_ms"] == pytest.approx(6000, abs=100)
    assert (track["kinds"], track["lost"], track["side"]) == (["audio", "video"], 0, "family")


def test_speech_is_found_without_audio_levels_too(lab: Laboratory, call_id: OrdinaryCallId) -> None:
    """A variable-rate encoder has less to say about silence."""
    sent = [
        Sent(
            one.arrival,
            one.order,
            one.track,
            b"\x80" + one.packet[1:12] + one.packet[20:] if not one.rtcp and one.packet[0] == 0x90 else one.packet,
            one.rtcp,
        )
        for one in Publisher(call_id, A).send(SECONDS)
    ]
    (track,) = play(lab, call_id, sent).timeline()["tracks"]
    assert track["speech_source"] == "opus-size"
    assert [span[0] for span in track["speech"]] == pytest.approx([1000, 3000, 5000], abs=250)
