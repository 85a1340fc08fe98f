"""Repair and layers over real ICE, DTLS and SRTP: RTX in and out, simulcast, lips and voice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from aiortc.rtp import RTCP_PSFB_APP, RtcpPsfbPacket, RtcpRrPacket, RtcpSrPacket, RtpPacket, pack_remb_fci
from aiortc.sdp import SessionDescription

from signaling.media.leg import Kind, Side
from signaling.media.vp8 import keyframe_size, picture_numbers
from tests.fakes.media_client import OFFICER, PARTY, MediaClient, Received, vp8
from tests.fixtures.waiting import eventually
from tests.integration.media.conftest import Call, ListeningLeg
from tests.integration.media.layered import RTX_PT, SECOND, LayeredClient
from tests.unit.media.test_layers import Camera

RIDS = ("q", "h", "f")
RATE = 90_000


@asynccontextmanager
async def joined(call: Call, name: str, side: Side, rids: tuple[str, ...] = ()) -> AsyncIterator[LayeredClient]:
    """A connected party that answers NACKs."""
    client = LayeredClient(PARTY, rids)
    call.clients.append(client)
    answer = await call.room.publish(name, side, client.offer())
    await call._connect(client, answer.session_id, answer.sdp)
    client.answer = SessionDescription.parse(answer.sdp)  # type: ignore[attr-defined]
    answering = asyncio.get_running_loop().create_task(client.keep_answering())
    try:
        yield client
    finally:
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)


def one_packet(client: MediaClient, number: int, *, key: bool = False) -> bytes:
    """Video packet `number` of a client without layers."""
    packet = RtpPacket(96, 1, number + 65_500 & 0xFFFF, number * 3000, client.ssrc["video"], vp8(number, key=key))
    return packet.serialize()


async def test_what_is_lost_before_the_relay_is_asked_for_and_comes_as_rtx(call: Call) -> None:
    async with (
        joined(call, "family", Side.FAMILY) as family,
        joined(call, "prisoner", Side.PRISONER) as prisoner,
    ):
        leg = ListeningLeg("recorder")
        call.ordinary.add_leg(leg)
        call.room.set_gate(True)
        chance = random.Random(5)
        family.loses = lambda ssrc, sequence: sequence not in (65_500, 263) and chance.random() < 0.2
        for number in range(300):
            family.send_raw(one_packet(family, number, key=number == 0))
            await asyncio.sleep(0.002)
        await eventually(lambda: len(prisoner.videos()) == 300, "every picture at the other side")
        assert [packet.payload for packet in prisoner.videos()] == [vp8(n, key=n == 0) for n in range(300)]
        assert all(b.sequence_number - a.sequence_number & 0xFFFF == 1 for a, b in pairwise(prisoner.videos()))
        recorded = sorted(leg.of_kind(Kind.VIDEO), key=lambda packet: int.from_bytes(packet[4:8], "big"))
        assert recorded == [one_packet(family, number, key=number == 0) for number in range(300)]
        counters = call.room.counters()
        assert len(family.lost) > 20
        assert counters.repaired == len(family.lost)
        assert prisoner.again() == []


async def test_what_a_receiver_has_lost_comes_as_rtx_under_its_own_numbers(call: Call) -> None:
    async with (
        joined(call, "family", Side.FAMILY) as family,
        joined(call, "prisoner", Side.PRISONER) as prisoner,
    ):
        call.room.set_gate(True)
        for number in range(50):
            family.send_raw(one_packet(family, number, key=number == 0))
        await eventually(lambda: len(prisoner.videos()) == 50, "the pictures")
        media = next(line for line in prisoner.answer.media if line.kind == "video")  # type: ignore[attr-defined]
        (group,) = media.ssrc_group
        assert group.semantic == "FID"
        ssrc, rtx = (int(item) for item in group.items)
        wanted = prisoner.videos()[10:20]
        assert {packet.ssrc for packet in wanted} == {ssrc}
        prisoner.nack(ssrc, *[packet.sequence_number for packet in wanted])
        await eventually(lambda: len(prisoner.again()) == 10, "the packets once more")
        prisoner.nack(ssrc, wanted[0].sequence_number)
        await eventually(lambda: len(prisoner.again()) == 11, "and again, as often as they are asked for")
        again = prisoner.again()
        assert {packet.ssrc for packet in again} == {rtx}
        assert len({packet.sequence_number for packet in again}) == 11
        for packet, original in zip(again, [*wanted, wanted[0]], strict=True):
            assert packet.payload == original.sequence_number.to_bytes(2, "big") + original.payload
            assert (packet.timestamp, packet.marker) == (original.timestamp, original.marker)
        assert call.room.counters().retransmitted == 11
        prisoner.nack(ssrc, wanted[0].sequence_number + 5_000 & 0xFFFF)
        call.room.set_gate(False)
        prisoner.nack(ssrc, wanted[0].sequence_number)  # what is held is held back here, too
        await eventually(lambda: call.room.counters().nack_received == 4, "the requests")
        assert call.room.counters().retransmitted == 11


class Studio(Camera):
    """Three layers of one camera, sent by a real client: `play` puts a frame of each on the wire."""

    def __init__(self, client: LayeredClient, start: float) -> None:
        super().__init__(*RIDS)
        self.client = client
        self.now = start

    def play(self, *numbers: int, key: bool = False, delay: float = 1 / 30) -> None:
        for number in numbers or range(len(RIDS)):
            self.client.send_raw(self.packet(number, key=key), RIDS[number])
        self.now += delay

    def report(self, now: float | None = None) -> None:
        at = self.now if now is None else now
        for number in range(len(RIDS)):
            self.client.report(100 + number, at + 5_000, self.timestamp(number, at))


def heights(client: MediaClient) -> list[int]:
    """The heights of the keyframes that came."""
    sizes = [keyframe_size(packet.payload) for packet in client.received.of_kind("video")]
    return [size[1] for size in sizes if size is not None]


async def play_until(studio: Studio, condition: object, what: str) -> None:
    """Frames at their real pace, a keyframe whenever one is asked for, until the condition holds."""
    done = asyncio.get_running_loop().create_task(eventually(condition, what))  # type: ignore[arg-type]
    asked, count = 0, 0
    while not done.done():
        plis = sum(
            getattr(item, "fmt", 0) == 1 and type(item) is RtcpPsfbPacket for item in studio.client.received.rtcp
        )
        studio.play(key=plis > asked or count % 60 == 0)
        asked = plis
        count += 1
        if count % 10 == 0:
            studio.report()
        await asyncio.sleep(1 / 60)
    await done


async def test_each_session_gets_the_layer_that_fits_and_sees_one_stream(call: Call) -> None:
    async with (
        joined(call, "family", Side.FAMILY, RIDS) as family,
        joined(call, "prisoner", Side.PRISONER) as prisoner,
    ):
        leg = ListeningLeg("recorder")
        call.ordinary.add_leg(leg)
        officer = LayeredClient(OFFICER)
        call.clients.append(officer)
        watch = await call.ordinary.subscribe("officer", officer.offer())
        await call._connect(officer, watch.session_id, watch.sdp)
        call.room.set_view(watch.session_id, {"0": 180, "1": 180})
        call.room.set_gate(True)
        studio = Studio(family, 1000.0)
        family.loses = lambda ssrc, sequence: sequence % 37 == 5
        await play_until(studio, lambda: heights(prisoner)[-1:] == [720], "the highest layer at the party")
        await play_until(studio, lambda: heights(officer)[-1:] == [180], "the lowest at the officer")
        mine = next(slot for slot in call.room.slots(call.sessions[prisoner]) if slot.kind is Kind.VIDEO)
        call.room.set_view(call.sessions[prisoner], {mine.mid: 300})
        await play_until(studio, lambda: heights(prisoner)[-1:] == [360], "a smaller one in a smaller place")
        plis = call.room.counters().pli_sent
        call.room.set_view(call.sessions[prisoner], {mine.mid: 1080})
        await play_until(studio, lambda: heights(prisoner)[-1:] == [720], "the highest again")
        assert call.room.counters().pli_sent >= plis
        call.room.set_view(call.sessions[prisoner], {mine.mid: 0})
        await play_until(studio, lambda: heights(leg_client(leg))[-1:] == [720], "the best one in the recording")
        family.loses = lambda ssrc, sequence: False
        await play_until(studio, lambda: call.room.counters().repaired >= len(family.lost), "every repair")
        for client in (prisoner, officer):

            def whole(client: LayeredClient = client) -> bool:
                client.ask_for_holes()
                return seamless(client.videos())

            await eventually(whole, "one stream without a hole", every=0.1)
            assert len({packet.ssrc for packet in client.received.of_kind("video")}) == 1
        numbers = [int.from_bytes(packet[2:4], "big") for packet in leg.of_kind(Kind.VIDEO)]
        recorded = sorted(number - numbers[0] + 0x8000 & 0xFFFF for number in numbers)  # the first may be any
        assert recorded == list(range(recorded[0], recorded[0] + len(recorded)))
        assert len({packet[8:12] for packet in leg.of_kind(Kind.VIDEO)}) == 1
        assert len(leg.added) == 1


def leg_client(leg: ListeningLeg) -> MediaClient:
    """What a leg has got, to be looked at like what a client has."""
    made = MediaClient.__new__(MediaClient)
    made.received = Received(rtp=[RtpPacket.parse(packet) for packet in leg.of_kind(Kind.VIDEO)])
    return made


def seamless(packets: list[RtpPacket]) -> bool:
    """Sequence numbers and picture IDs one by one, timestamps and TL0PICIDX that only grow."""
    for earlier, later in pairwise(packets):
        before, after = picture_numbers(earlier.payload), picture_numbers(later.payload)
        if later.sequence_number - earlier.sequence_number & 0xFFFF != 1:
            return False
        if after.picture - before.picture & 0x7FFF != 1 or (after.tl0 - before.tl0 & 0xFF) > 1:
            return False
        if not 0 < (later.timestamp - earlier.timestamp & 0xFFFFFFFF) < 10 * RATE:
            return False
    return True


async def test_an_officers_choice_of_layers_is_seen_by_nobody(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the rhythm of keyframes stopped (it depends on nobody), the publisher is not asked for anything at all."""
    monkeypatch.setattr("signaling.media.keyframes.REFRESH", 1e9)
    async with joined(call, "family", Side.FAMILY, RIDS) as family:
        call.room.set_gate(True)
        studio = Studio(family, 1000.0)

        def settled() -> bool:
            layers = [layer for track in call.room._tracks.values() for layer in track.layers]
            return len(layers) == 3 and all(layer.cache.packets and not layer.requests.wanted for layer in layers)  # type: ignore[union-attr]

        await play_until(studio, settled, "three layers with a keyframe each")
        officer = call.client(OFFICER)
        watch = await call.ordinary.subscribe("officer", officer.offer())
        await call._connect(officer, watch.session_id, watch.sdp)
        before, heard = call.room.counters(), len(family.received.rtcp)
        for wanted, height in ((180, 180), (1080, 720), (180, 180), (300, 360)):
            call.room.set_view(watch.session_id, {"0": wanted})

            def shows(height: int = height) -> bool:
                return heights(officer)[-1:] == [height]

            done = asyncio.get_running_loop().create_task(eventually(shows, f"{height} lines"))
            while not done.done():
                studio.play()
                await asyncio.sleep(1 / 60)
            await done
            ssrc = officer.received.of_kind("video")[-1].ssrc
            remb = pack_remb_fci(20_000, [ssrc])  # and a line that is as poor as can be
            officer.send_rtcp(RtcpRrPacket(1), RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=remb))
        after = call.room.counters()
        assert (after.nack_sent, after.pli_sent) == (before.nack_sent, before.pli_sent)
        asked = [item for item in family.received.rtcp[heard:] if type(item) is RtcpPsfbPacket and item.fmt != 15]
        assert asked == []


async def test_lips_and_voice_stay_together_also_when_the_layer_changes(call: Call) -> None:
    """The publisher's video comes 80 ms after its voice and on clocks that began anywhere; at the receiver the sender
    reports put both within 5 ms, before and after a switch.
    """
    async with (
        joined(call, "family", Side.FAMILY, RIDS) as family,
        joined(call, "prisoner", Side.PRISONER) as prisoner,
    ):
        call.room.set_gate(True)
        studio = Studio(family, 1000.0)
        voice = 0x1234_5678

        def spoken(at: float) -> int:
            return round(at * 48_000) + voice & 0xFFFFFFFF

        def speak(at: float) -> None:
            packet = RtpPacket(111, 0, round(at * 50) & 0xFFFF, spoken(at), 7, b"opus" * 10)
            family.send_protected(packet.serialize())

        async def offset(height: int) -> float:
            """Seconds by which the picture of a moment is shown before its sound; by frames captured with the voice."""
            seen = len(prisoner.received.rtcp)
            done = asyncio.get_running_loop().create_task(
                eventually(lambda: heights(prisoner)[-1:] == [height] and both(prisoner, seen) is not None, "reports")
            )
            count = 0
            while not done.done():
                speak(studio.now + 0.080)
                studio.play(key=count % 30 == 0)
                if count % 10 == 9:
                    studio.report()
                    family.report(7, studio.now + 5_000, spoken(studio.now))
                count += 1
                await asyncio.sleep(1 / 60)
            await done
            newest = both(prisoner, seen)
            assert newest is not None
            sound, picture = newest
            frame = prisoner.received.of_kind("video")[-1]
            word = prisoner.received.of_kind("audio")[-1]
            shown = picture[0] + signed(frame.timestamp - picture[1]) / RATE
            heard = sound[0] + signed(word.timestamp - sound[1]) / 48_000
            # The last frame and the last word were captured 80 ms apart.
            captured = studio.now - 1 / 30
            said = captured + 0.080
            return (shown - captured) - (heard - said)

        assert abs(await offset(720)) < 0.005
        mine = next(slot for slot in call.room.slots(call.sessions[prisoner]) if slot.kind is Kind.VIDEO)
        for wanted, height in ((180, 180), (1080, 720)):
            call.room.set_view(call.sessions[prisoner], {mine.mid: wanted})
            assert abs(await offset(height)) < 0.005


def both(client: MediaClient, since: int) -> tuple[tuple[float, int], tuple[float, int]] | None:
    """The newest (seconds, timestamp) of the voice's and of the picture's sender report."""
    voice = {packet.ssrc for packet in client.received.of_kind("audio")}
    found: dict[bool, tuple[float, int]] = {}
    for item in client.received.rtcp[since:]:
        if isinstance(item, RtcpSrPacket):
            info = item.sender_info
            found[item.ssrc in voice] = (info.ntp_timestamp / SECOND, info.rtp_timestamp)
    return (found[True], found[False]) if len(found) == 2 else None


def signed(difference: int) -> int:
    return (difference + 0x80000000 & 0xFFFFFFFF) - 0x80000000


async def test_unknown_layers_and_bad_rtx_are_counted_and_harm_nobody(call: Call) -> None:
    async with (
        joined(call, "family", Side.FAMILY, RIDS) as family,
        joined(call, "prisoner", Side.PRISONER) as prisoner,
    ):
        call.room.set_gate(True)
        studio = Studio(family, 1000.0)
        await play_until(studio, lambda: len(heights(prisoner)) > 0, "the picture")
        before = call.room.counters()
        strange = bytes([0x80, 0x80 | 96]) + bytes(6) + (900).to_bytes(4, "big") + vp8(1, key=True)
        family.send_raw(strange, "zzz")
        family.send_raw(strange[:8] + (901).to_bytes(4, "big") + strange[12:])
        rtx = bytes([0x80, RTX_PT]) + bytes(6)
        family.send_protected(rtx + (902).to_bytes(4, "big") + b"\0")
        family.send_protected(rtx + family.rtx_ssrc(100).to_bytes(4, "big") + b"\0\7x")
        await eventually(lambda: call.room.counters().dropped_unknown_track == before.dropped_unknown_track + 4, "four")
        assert len(call.room.tracks()) == 1
        known = len(prisoner.received.rtp)
        await play_until(studio, lambda: len(prisoner.received.rtp) > known + 5, "the picture goes on")


async def test_a_poor_line_loses_the_picture_keeps_the_voice_says_so_and_gets_it_back(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways; with the patience of both shortened, and of nothing else."""
    for module in ("choice", "line"):
        monkeypatch.setattr(f"signaling.media.{module}._STARVES", 0.6)
        monkeypatch.setattr(f"signaling.media.{module}._PAUSE", (1.0, 1.0))
    monkeypatch.setattr("signaling.media.choice._TELLING", 0.5)
    async with (
        joined(call, "family", Side.FAMILY) as family,
        joined(call, "prisoner", Side.PRISONER) as prisoner,
    ):
        call.room.set_gate(True)
        number = 0

        async def talk_until(condition: Callable[[], bool], what: str, remb: int) -> None:
            """Voice and picture from the family, and the prisoner's word on what his line carries."""
            nonlocal number
            done = asyncio.get_running_loop().create_task(eventually(condition, what))
            while not done.done():
                family.send_rtp("audio", b"opus" * 20, number * 960)
                family.send_raw(one_packet(family, number, key=number % 20 == 0))
                if number % 10 == 0:
                    fci = pack_remb_fci(remb, [1])
                    prisoner.send_rtcp(
                        RtcpRrPacket(1), RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=fci)
                    )
                number += 1
                await asyncio.sleep(1 / 60)
            await done

        def said(who: str, direction: str) -> list[str]:
            return [state for name, way, state in call.heard.lines if (name, way) == (who, direction)]

        await talk_until(lambda: len(prisoner.videos()) > 10, "voice and picture", 5_000_000)
        await talk_until(lambda: said("prisoner", "down")[-1:] == ["voice_only"], "a poor line down", 20_000)
        await talk_until(voice_alone(prisoner), "the voice without the picture", 20_000)
        await talk_until(lambda: said("prisoner", "down")[-1:] == ["good"], "a good line down", 5_000_000)
        pictures = len(prisoner.videos())
        await talk_until(lambda: len(prisoner.videos()) > pictures + 10, "the picture again", 5_000_000)

        chance = random.Random(3)
        family.loses = lambda ssrc, sequence: chance.random() < 0.75
        await talk_until(lambda: "voice_only" in said("family", "up"), "a poor line up", 5_000_000)
        await talk_until(voice_alone(prisoner), "the voice without the picture", 5_000_000)
        family.loses = lambda ssrc, sequence: False
        await talk_until(lambda: said("family", "up")[-1:] == ["good"], "a good line up", 5_000_000)
        pictures = len(prisoner.videos())
        await talk_until(lambda: len(prisoner.videos()) > pictures + 10, "the picture again", 5_000_000)
        assert said("prisoner", "up") == []


def voice_alone(client: LayeredClient) -> Callable[[], bool]:
    """Whether ten packets of voice have come since the last one of a picture."""
    base = [0, 0]

    def heard() -> bool:
        pictures, words = len(client.received.of_kind("video")), len(client.received.of_kind("audio"))
        if pictures != base[0]:
            base[:] = [pictures, words]
        return words >= base[1] + 10

    return heard
