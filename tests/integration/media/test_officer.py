"""Officers' sessions and other legs: they start at once, and participants cannot tell that they are there."""

from __future__ import annotations

import asyncio

from aiortc.rtp import RTCP_PSFB_PLI, RtcpPsfbPacket, RtcpRrPacket, RtcpRtpfbPacket, pack_remb_fci

from signaling.media.leg import Kind, Side
from signaling.media.node import MediaNode
from tests.fakes.media_client import MediaClient, vp8
from tests.fixtures.waiting import eventually
from tests.integration.media.conftest import Call, ListeningLeg
from tests.integration.media.test_call import gapless, send


async def two_parties(call: Call) -> tuple[MediaClient, MediaClient]:
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    call.room.set_gate(True)
    return family, prisoner


async def test_an_officer_starts_from_the_cached_keyframe_without_a_request(call: Call) -> None:
    family, prisoner = await two_parties(call)
    send(family, 0, 100, key_at=0)
    send(prisoner, 0, 50, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == 200 and len(family.received.rtp) == 100, "the call")
    asked = call.room.counters().pli_sent
    officer = await call.watch("officer")
    await eventually(lambda: len(officer.received.of_kind("video")) == 150, "both pictures from the cache")
    first, second = (
        [packet for packet in officer.received.of_kind("video") if packet.extensions.mid == mid] for mid in "01"
    )
    assert [packet.payload for packet in first] == [vp8(number, key=number == 0) for number in range(100)]
    assert [packet.payload for packet in second] == [vp8(number, key=number == 0) for number in range(50)]
    assert gapless([packet.sequence_number for packet in first])
    # A hundred frames of 33 ms are shown within a tenth of a second of media time: the officer sees the present.
    assert (first[-1].timestamp - first[0].timestamp) & 0xFFFFFFFF <= 0.11 * 90000
    assert call.room.counters().pli_sent == asked

    send(family, 100, 10)
    await eventually(lambda: len(officer.received.of_kind("video")) == 160, "live pictures")
    live = [packet for packet in officer.received.of_kind("video") if packet.extensions.mid == "0"][-10:]
    assert gapless([packet.sequence_number for packet in [first[-1], *live]])
    assert live[1].timestamp - live[0].timestamp & 0xFFFFFFFF == 3000
    assert len(officer.received.of_kind("audio")) == 10


async def test_a_packet_that_comes_while_the_cache_is_played_is_not_lost_and_not_doubled(call: Call) -> None:
    family, prisoner = await two_parties(call)
    send(family, 0, 200, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == 400, "the call")
    officer = call.client((("video", "recvonly"),))
    answer = await call.ordinary.subscribe("officer", officer.offer())
    connecting = asyncio.create_task(officer.connect(answer.sdp))
    for number in range(200, 320):
        family.send_rtp("video", vp8(number, key=False), number * 3000)
        await asyncio.sleep(0.001)
    await connecting
    await eventually(lambda: len(officer.received.rtp) == 320, "every picture once")
    assert [packet.payload for packet in officer.received.rtp] == [
        vp8(number, key=number == 0) for number in range(320)
    ]
    assert gapless([packet.sequence_number for packet in officer.received.rtp])


class Capture:
    """What a participant's socket sees of control traffic, as the kinds of messages and their order."""

    def __init__(self, client: MediaClient) -> None:
        self._client = client
        self._start = len(client.received.rtcp)

    def kinds(self) -> set[tuple[str, int]]:
        return {(type(item).__name__, getattr(item, "fmt", 0)) for item in self._client.received.rtcp[self._start :]}


async def test_participants_cannot_observe_an_officer_coming_asking_and_going(call: Call, node: MediaNode) -> None:
    family, prisoner = await two_parties(call)
    send(family, 0, 20, key_at=0)
    send(prisoner, 0, 20, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == len(family.received.rtp) == 40, "the call")
    slots = {client: call.room.slots(call.sessions[client]) for client in (family, prisoner)}
    told = dict(call.heard.slots)
    counters = call.room.counters()
    captures = [Capture(family), Capture(prisoner)]

    officer = await call.watch("officer")
    await eventually(lambda: len(officer.received.of_kind("video")) == 40, "the officer's picture")
    ssrc = officer.received.of_kind("video")[0].ssrc
    sequence = officer.received.of_kind("video")[0].sequence_number
    poor = pack_remb_fci(30_000, [ssrc])
    for _ in range(5):
        officer.send_rtcp(
            RtcpRrPacket(1),
            RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=ssrc),
            RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=ssrc, lost=[sequence, sequence + 500 & 0xFFFF]),
            RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=poor),
        )
    await eventually(lambda: call.room.counters().pli_received == counters.pli_received + 5, "the officer's requests")
    await eventually(lambda: len(officer.received.of_kind("video")) > 40, "the picture once more from the cache")
    await asyncio.sleep(0.6)  # at least one round of reports to the publishers
    await call.ordinary.close_session(call.sessions[officer])
    send(family, 20, 20)
    send(prisoner, 20, 20)
    await eventually(lambda: len(prisoner.received.rtp) == len(family.received.rtp) == 80, "the call goes on")

    after = call.room.counters()
    assert (after.pli_sent, after.nack_sent) == (counters.pli_sent, counters.nack_sent)
    for capture in captures:
        assert capture.kinds() <= {("RtcpRrPacket", 0), ("RtcpSdesPacket", 0), ("RtcpPsfbPacket", 15)}
    for client in (family, prisoner):
        assert call.room.slots(call.sessions[client]) == slots[client]
        assert call.heard.slots[call.sessions[client]] == told[call.sessions[client]]
        assert len({packet.ssrc for packet in client.received.rtp}) == 2
        rembs = [item for item in client.received.rtcp if getattr(item, "fmt", 0) == 15]
        assert all(item.fci[4:8] == rembs[0].fci[4:8] for item in rembs)  # the officer's 30 kbit/s changed nothing


async def test_an_officer_who_comes_before_the_gate_opens_sees_the_call_from_its_start(call: Call) -> None:
    officer = await call.watch("officer")
    family = await call.join("family", Side.FAMILY)
    send(family, 0, 10, key_at=0)
    await call.received(20)
    call.room.set_gate(True)
    send(family, 10, 10, key_at=10)
    await eventually(lambda: len(officer.received.rtp) == 20, "the open call")
    assert officer.received.of_kind("video")[0].payload == vp8(10, key=True)


async def test_a_leg_gets_whole_decrypted_packets(call: Call) -> None:
    family, prisoner = await two_parties(call)
    leg = ListeningLeg("recorder")
    send(family, 0, 5, key_at=0)
    await call.received(10)
    call.ordinary.add_leg(leg)
    assert {track.kind for track in leg.added} == {Kind.AUDIO, Kind.VIDEO}
    sent = family.send_rtp("audio", b"voice", 5 * 960)
    await eventually(lambda: len(leg.rtp) == 1, "the packet")
    track, packet, arrival = leg.rtp[0]
    assert packet == sent.serialize(family.extensions)
    assert (track.participant_id, track.side, track.kind, track.codec) == ("family", Side.FAMILY, Kind.AUDIO, "opus")
    assert (track.payload_type, track.ssrc, track.clock_rate) == (111, family.ssrc["audio"], 48000)
    assert 0 <= asyncio.get_running_loop().time() - arrival < 5
    call.ordinary.remove_leg("recorder")
    call.ordinary.remove_leg("recorder")
    assert leg.closed == ["removed"]
    send(family, 6, 5)
    await eventually(lambda: len(prisoner.received.of_kind("audio")) == 11, "the call goes on")
    assert len(leg.rtp) == 1


async def test_a_failing_leg_is_removed_and_nobody_else_feels_it(call: Call) -> None:
    family, prisoner = await two_parties(call)
    bad, good = ListeningLeg("bad", fail=True), ListeningLeg("good")
    call.ordinary.add_leg(bad)
    call.ordinary.add_leg(good)
    send(family, 0, 50, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == 100, "the call")
    assert len(good.rtp) == 100
    assert bad.closed == ["failed"]
    assert call.room.counters().leg_errors == 10
    assert call.room.counters().legs_removed == 1


async def test_a_listener_that_raises_does_not_stop_media(call: Call) -> None:
    class Broken:
        def __getattr__(self, name: str) -> object:
            raise RuntimeError("listener is broken")

    call.room.listener = Broken()  # type: ignore[assignment]
    family = call.client()
    prisoner = call.client()
    for client, name in ((family, "family"), (prisoner, "prisoner")):
        answer = await call.room.publish(name, Side.FAMILY, client.offer())
        await client.connect(answer.sdp)
    call.room.set_gate(True)
    send(family, 0, 5, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == 10, "media")
    assert call.room.counters().listener_errors > 0
