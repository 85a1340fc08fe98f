"""Participants through the relay, packet by packet."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_PLI,
    RtcpPsfbPacket,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
    unpack_remb_fci,
)

from signaling.media.errors import RoomFull, SdpError
from signaling.media.leg import Kind, Side
from signaling.media.listener import PeerLost
from signaling.media.node import MediaNode
from tests.fakes.media_client import PARTY, MediaClient, vp8
from tests.fixtures.waiting import eventually
from tests.integration.media.conftest import Call, ListeningLeg


def send(client: MediaClient, start: int, count: int, *, key_at: int | None = None, level: int = 30) -> None:
    """`count` audio and `count` one-packet video frames; frame `key_at` is a keyframe."""
    for number in range(start, start + count):
        client.send_rtp("audio", b"opus" * 20, number * 960, level=level)
        client.send_rtp("video", vp8(number, key=number == key_at), number * 3000)


def gapless(sequences: list[int]) -> bool:
    """Whether sequence numbers follow each other without a hole."""
    return all((later - earlier) & 0xFFFF == 1 for earlier, later in pairwise(sequences))


async def test_both_sides_get_what_the_other_sends(call: Call) -> None:
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    call.room.set_gate(True)
    send(family, 0, 20, key_at=0)
    send(prisoner, 0, 20, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == 40 and len(family.received.rtp) == 40, "all packets")
    counters = call.room.counters()
    assert counters.received == counters.forwarded == counters.forwarded_participants == 80
    for kind in ("audio", "video"):
        packets = prisoner.received.of_kind(kind)
        assert gapless([packet.sequence_number for packet in packets])
        assert len({packet.ssrc for packet in packets}) == 1
        assert packets[0].ssrc != family.ssrc[kind]
        step = 960 if kind == "audio" else 3000
        stamps = [packet.timestamp for packet in packets]
        assert all((later - earlier) & 0xFFFFFFFF == step for earlier, later in pairwise(stamps))
    assert {packet.payload for packet in prisoner.received.of_kind("audio")} == {b"opus" * 20}
    assert [packet.payload for packet in prisoner.received.of_kind("video")][3] == vp8(3, key=False)


async def test_header_extensions_are_those_of_the_receiving_leg(call: Call) -> None:
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER, (("video", "sendrecv"), ("audio", "sendrecv")))
    call.room.set_gate(True)
    send(family, 0, 3, key_at=0, level=42)
    await eventually(lambda: len(prisoner.received.rtp) == 6, "all packets")
    audio = prisoner.received.of_kind("audio")[0]
    assert audio.extensions.mid == "1"  # audio is this client's second m-line
    assert audio.extensions.audio_level == (True, 42)
    assert audio.extensions.abs_send_time is not None
    assert prisoner.received.of_kind("video")[0].extensions.mid == "0"


async def test_nothing_is_forwarded_while_the_gate_is_closed(call: Call) -> None:
    leg = ListeningLeg("recorder")
    call.ordinary.add_leg(leg)
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    officer = await call.watch("officer")
    send(family, 0, 25, key_at=0)
    await call.received(50)
    counters = call.room.counters()
    assert (counters.forwarded, counters.dropped_gate) == (0, 50)

    call.room.set_gate(True)
    send(family, 25, 10, key_at=25)
    await eventually(lambda: len(prisoner.received.rtp) == 20 and len(officer.received.rtp) == 20, "the open gate")
    call.room.set_gate(False)
    send(family, 35, 25, key_at=35)
    await call.received(120)
    await asyncio.sleep(0.1)  # what the relay would send wrongly has arrived by then
    assert len(prisoner.received.rtp) == len(officer.received.rtp) == len(leg.rtp) == 20
    assert call.room.counters().forwarded == 60
    assert call.room.counters().dropped_gate == 100

    call.room.set_gate(True)
    await eventually(lambda: any(_is_pli(packet) for packet in family.received.rtcp), "a request for a keyframe")
    send(family, 60, 5, key_at=60)
    await eventually(lambda: len(prisoner.received.rtp) == 30, "the gate open again")
    assert gapless([packet.sequence_number for packet in prisoner.received.of_kind("video")])
    held = {vp8(number, key=number == 35) for number in range(35, 60)}
    assert not held & {packet.payload for packet in prisoner.received.of_kind("video")}


def _is_pli(packet: object) -> bool:
    return isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_PLI


async def test_a_mute_holds_for_every_leg_and_through_a_rejoin(call: Call) -> None:
    leg = ListeningLeg("recorder")
    call.ordinary.add_leg(leg)
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    call.room.set_gate(True)
    call.room.set_muted("family", Kind.AUDIO, True)
    send(family, 0, 10, key_at=0)
    await call.received(20)
    again = await call.join("family", Side.FAMILY)
    send(again, 0, 10, key_at=0)
    await call.received(40)
    await eventually(lambda: len(prisoner.received.of_kind("video")) == 20, "the video")
    assert prisoner.received.of_kind("audio") == []
    assert leg.of_kind(Kind.AUDIO) == []
    assert call.room.counters().dropped_muted == 20
    assert call.heard.talked == []
    call.room.set_muted("family", Kind.AUDIO, False)
    send(again, 10, 10)
    await eventually(lambda: len(prisoner.received.of_kind("audio")) == 10, "the voice")


async def test_a_rejoin_goes_on_with_the_same_numbers(call: Call) -> None:
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    call.room.set_gate(True)
    send(family, 0, 10, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == 20, "the first session")
    again = await call.join("family", Side.FAMILY)
    assert call.heard.lost == [("family", call.sessions[family], PeerLost.REPLACED)]
    send(again, 500, 10, key_at=500)
    await eventually(lambda: len(prisoner.received.rtp) == 40, "the second session")
    for kind in ("audio", "video"):
        packets = prisoner.received.of_kind(kind)
        assert gapless([packet.sequence_number for packet in packets])
        assert len({packet.ssrc for packet in packets}) == 1
        jump = packets[10].timestamp - packets[9].timestamp & 0xFFFFFFFF
        assert 0 < jump < 10 * 90000
    assert {slot.participant_id for slot in call.room.slots(call.sessions[prisoner])} == {"family"}


async def test_three_participants_have_their_own_slots(call: Call) -> None:
    lines = (*PARTY, ("audio", "recvonly"), ("video", "recvonly"))
    first = await call.join("first", Side.FAMILY, lines)
    second = await call.join("second", Side.GUEST, lines)
    prisoner = await call.join("prisoner", Side.PRISONER, lines)
    call.room.set_gate(True)
    for client in (first, second, prisoner):
        send(client, 0, 10, key_at=0)
    await eventually(lambda: all(len(c.received.rtp) == 40 for c in (first, second, prisoner)), "everybody's packets")
    infos = call.room.slots(call.sessions[prisoner])
    assert {(info.kind, info.index, info.participant_id) for info in infos} == {
        (Kind.AUDIO, 0, "first"),
        (Kind.VIDEO, 0, "first"),
        (Kind.AUDIO, 1, "second"),
        (Kind.VIDEO, 1, "second"),
    }
    assert list(call.heard.slots[call.sessions[prisoner]]) == list(infos)
    assert {packet.extensions.mid for packet in prisoner.received.of_kind("video")} == {"1", "3"}


async def test_reports_and_remb_go_to_the_publisher(call: Call) -> None:
    family = await call.join("family", Side.FAMILY)
    await call.join("prisoner", Side.PRISONER)
    send(family, 0, 10, key_at=0)

    def reported() -> bool:
        return any(isinstance(packet, RtcpRrPacket) and len(packet.reports) == 2 for packet in family.received.rtcp)

    await eventually(reported, "a receiver report")
    report = next(packet for packet in family.received.rtcp if isinstance(packet, RtcpRrPacket) and packet.reports)
    assert {block.ssrc for block in report.reports} == set(family.ssrc.values())
    assert all(block.fraction_lost == block.packets_lost == 0 for block in report.reports)
    assert any(isinstance(packet, RtcpSdesPacket) for packet in family.received.rtcp)
    rembs = [packet for packet in family.received.rtcp if getattr(packet, "fmt", 0) == RTCP_PSFB_APP]
    bitrate, sources = unpack_remb_fci(rembs[0].fci)
    assert sources == [family.ssrc["video"]]
    assert bitrate >= 500_000


async def test_sender_reports_are_made_again_in_the_slots_numbers(call: Call) -> None:
    leg = ListeningLeg("recorder")
    call.ordinary.add_leg(leg)
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    call.room.set_gate(True)
    send(family, 0, 10, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == 20, "media")
    ntp = (3_900_000_000 << 32) | 0x80000000
    sent = RtcpSrPacket(family.ssrc["video"], RtcpSenderInfo(ntp, 9 * 3000, 10, 2000))
    family.send_rtcp(sent)
    await eventually(lambda: any(isinstance(item, RtcpSrPacket) for item in prisoner.received.rtcp), "a report")
    report = next(item for item in prisoner.received.rtcp if isinstance(item, RtcpSrPacket))
    last = prisoner.received.of_kind("video")[-1]
    assert report.ssrc == last.ssrc
    assert report.sender_info.ntp_timestamp == ntp
    assert report.sender_info.rtp_timestamp == last.timestamp
    assert report.sender_info.packet_count == 10
    assert [packet for _, packet, _ in leg.rtcp] == [bytes(sent)]


async def test_a_lost_packet_is_asked_for_and_filled_in(call: Call) -> None:
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    call.room.set_gate(True)
    send(family, 0, 5, key_at=0)
    lost = family.send_rtp("video", vp8(5, key=False), 5 * 3000, skip=True)
    family.send_rtp("video", vp8(6, key=False), 6 * 3000)

    def asked() -> bool:
        return any(
            isinstance(item, RtcpRtpfbPacket) and item.lost == [lost.sequence_number] for item in family.received.rtcp
        )

    await eventually(asked, "a NACK")
    family.resend(lost)
    await eventually(lambda: len(prisoner.received.of_kind("video")) == 7, "the packet that was lost")
    packets = sorted(prisoner.received.of_kind("video"), key=lambda packet: packet.timestamp)
    assert gapless([packet.sequence_number for packet in packets])
    assert packets[5].payload == lost.payload


async def test_a_receivers_nack_is_answered_with_the_very_same_packet(call: Call) -> None:
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    call.room.set_gate(True)
    send(family, 0, 10, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == 20, "media")
    wanted = prisoner.received.of_kind("video")[4]
    datagrams = prisoner.received.datagrams
    # The client's SRTP refuses a packet it has had already; that the bytes are the same is seen by its refusing them.
    prisoner.send_rtcp(RtcpRrPacket(1), RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=wanted.ssrc, lost=[4000]))
    prisoner.send_rtcp(
        RtcpRrPacket(1), RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=wanted.ssrc, lost=[wanted.sequence_number])
    )
    await eventually(lambda: call.room.counters().retransmitted == 1, "a retransmission")
    await eventually(
        lambda: prisoner.replayed == 1 and prisoner.received.datagrams > datagrams, "the same packet again"
    )
    assert call.room.counters().nack_received == 2
    assert not any(isinstance(item, RtcpRtpfbPacket) for item in family.received.rtcp)


async def test_requests_for_keyframes_are_merged_until_one_comes(call: Call) -> None:
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    call.room.set_gate(True)
    send(family, 0, 5, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == 10, "media")
    ssrc = prisoner.received.of_kind("video")[0].ssrc
    before = call.room.counters().pli_sent
    for _ in range(20):
        prisoner.send_rtcp(RtcpRrPacket(1), RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=ssrc))
    await eventually(lambda: call.room.counters().pli_received == 20, "the requests")
    assert call.room.counters().pli_sent - before <= 1
    await eventually(lambda: call.room.counters().pli_sent - before >= 2, "a repeated request")
    send(family, 5, 1, key_at=5)
    await call.received(12)
    sent = call.room.counters().pli_sent
    await asyncio.sleep(0.7)
    assert call.room.counters().pli_sent == sent


async def test_talking_is_noticed_and_its_end_too(call: Call) -> None:
    family = await call.join("family", Side.FAMILY)
    call.room.set_gate(True)
    for number in range(10):
        family.send_rtp("audio", b"loud", number * 960, level=25)
    await eventually(lambda: ("family", 25) in call.heard.talked, "talking")
    await eventually(lambda: call.heard.talked[-1] == ("family", 127), "silence")


async def test_a_new_source_on_the_same_line_is_a_new_track(call: Call) -> None:
    leg = ListeningLeg("recorder")
    call.ordinary.add_leg(leg)
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    call.room.set_gate(True)
    send(family, 0, 5, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == 10, "media")
    family.ssrc["video"] += 1
    family.sequence["video"] = 7
    send(family, 5, 5, key_at=5)
    await eventually(lambda: len(prisoner.received.rtp) == 20, "media of the new source")
    assert gapless([packet.sequence_number for packet in prisoner.received.of_kind("video")])
    assert len(call.heard.started) == 3
    assert [track.kind for track in call.heard.ended] == [Kind.VIDEO]
    assert leg.removed == [call.heard.ended[0].track_id]
    assert [track.track_id for track in leg.added] == [track.track_id for track in call.heard.started]


async def test_a_packet_too_long_for_srtp_is_dropped_for_the_leg_and_the_rest_goes_on(call: Call) -> None:
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    call.room.set_gate(True)
    send(family, 0, 5, key_at=0)
    family.send_rtp("audio", b"x" * 1334, 5 * 960)  # the relay's header is 4 bytes longer than the client's
    send(family, 6, 5)
    await eventually(lambda: call.room.counters().dropped_oversize == 1, "the long packet")
    await eventually(lambda: len(prisoner.received.of_kind("audio")) == 10, "the rest")
    assert gapless([packet.sequence_number for packet in prisoner.received.of_kind("audio")])


async def test_a_sixth_participant_and_a_bad_offer_change_nothing(call: Call) -> None:
    for number in range(5):
        await call.room.publish(f"party-{number}", Side.FAMILY, call.client().offer())
    with pytest.raises(RoomFull):
        await call.room.publish("party-5", Side.FAMILY, call.client().offer())
    with pytest.raises(SdpError):
        await call.room.publish("party-0", Side.FAMILY, "v=0\r\nnonsense")
    assert call.heard.lost == []
    assert len(call.room.session_ids) == 5


async def test_closing_the_room_ends_everything(call: Call, node: MediaNode) -> None:
    leg = ListeningLeg("recorder")
    call.ordinary.add_leg(leg)
    family = await call.join("family", Side.FAMILY)
    await call.watch("officer")
    call.room.set_gate(True)
    send(family, 0, 5, key_at=0)
    await call.received(10)
    node.close_room(call.room.call_id)
    assert {why for _, _, why in call.heard.lost} == {PeerLost.ROOM_CLOSED}
    assert leg.closed == ["room_closed"]
    assert len(leg.removed) == 2
    stats = node.stats()
    assert (stats.rooms, stats.sessions, stats.total.received) == (0, 0, 10)
    send(family, 5, 5)
    await eventually(lambda: node.stats().endpoint.unknown_source >= 10, "packets of nobody")
    assert node.stats().total.received == 10
