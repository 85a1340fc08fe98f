"""RTCP (RFC 3550 section 6, RFC 4585, RFC 5104)."""

from __future__ import annotations

import pytest
from aiortc.rtp import (
    RtcpByePacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
    pack_remb_fci,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.media import rtcp

BLOCK = RtcpReceiverInfo(ssrc=9, fraction_lost=64, packets_lost=-3, highest_sequence=70000, jitter=5, lsr=6, dlsr=7)


def test_a_compound_is_taken_apart_in_order() -> None:
    sender = RtcpSrPacket(1, RtcpSenderInfo(1 << 63, 90000, 10, 1000), [BLOCK])
    parts = list(rtcp.split(bytes(sender) + bytes(RtcpRrPacket(2, [BLOCK, BLOCK])) + bytes(RtcpByePacket([3]))))
    assert [part.packet_type for part in parts] == [rtcp.RTCP_SR, rtcp.RTCP_RR, 203]
    assert parts[0].data == bytes(sender)
    assert rtcp.sender_info(parts[0]) == (1, 1 << 63, 90000)
    assert [part.sender for part in parts] == [1, 2, 3]
    expected = rtcp.ReportBlock(ssrc=9, fraction_lost=64, jitter=5, lsr=6, dlsr=7)
    assert list(parts[0].blocks()) == [expected]
    assert list(parts[1].blocks()) == [expected, expected]


@settings(deadline=None)
@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=60))
def test_nacks_are_read_as_another_implementation_writes_them(sequences: list[int]) -> None:
    sequences = sorted(set(sequences))
    (part,) = rtcp.split(bytes(RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=2, lost=sequences)))
    assert list(rtcp.nack_sequences(part)) == sequences
    assert part.media == 2


blocks = st.builds(
    RtcpReceiverInfo,
    ssrc=st.integers(0, (1 << 32) - 1),
    fraction_lost=st.integers(0, 255),
    packets_lost=st.integers(-(1 << 23), (1 << 23) - 1),
    highest_sequence=st.integers(0, (1 << 32) - 1),
    jitter=st.integers(0, (1 << 32) - 1),
    lsr=st.integers(0, (1 << 32) - 1),
    dlsr=st.integers(0, (1 << 32) - 1),
)


@settings(deadline=None)
@given(st.lists(blocks, max_size=40), st.none() | st.tuples(st.integers(0, 1 << 60), st.lists(st.just(9), max_size=8)))
def test_reports_are_what_aiortc_writes(reports: list[RtcpReceiverInfo], remb: tuple[int, list[int]] | None) -> None:
    wanted = bytes(RtcpRrPacket(ssrc=77, reports=reports[:31])) + rtcp.source_name(77, "cname")
    if remb is not None:
        wanted += bytes(RtcpPsfbPacket(fmt=15, ssrc=77, media_ssrc=0, fci=pack_remb_fci(*remb)))
    assert rtcp.Reporter(77, "cname").receiver_report(list(reports), remb) == wanted


def test_a_nack_over_the_wrap() -> None:
    (part,) = rtcp.split(
        bytes(RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=2))[:2] + b"\x00\x03" + bytes(8) + b"\xff\xff\x00\x03"
    )
    assert list(rtcp.nack_sequences(part)) == [65535, 0, 1]


@settings(deadline=None)
@given(st.integers(1, 1 << 40))
def test_remb(bitrate: int) -> None:
    (part,) = rtcp.split(bytes(RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=pack_remb_fci(bitrate, [4, 5]))))
    read = rtcp.remb_bitrate(part)
    assert read is not None
    assert 0 <= bitrate - read <= bitrate / (1 << 17)  # an 18-bit mantissa


def test_another_applications_message_is_no_remb() -> None:
    (part,) = rtcp.split(bytes(RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=b"NOPE1234")))
    assert rtcp.remb_bitrate(part) is None


def test_a_full_intra_request_names_its_sources() -> None:
    fci = b"".join(ssrc.to_bytes(4, "big") + b"\x01\x00\x00\x00" for ssrc in (7, 8))
    (part,) = rtcp.split(bytes(RtcpPsfbPacket(fmt=4, ssrc=1, media_ssrc=0, fci=fci)))
    assert list(rtcp.fir_sources(part)) == [7, 8]


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_anything_else_is_malformed_and_nothing_worse(data: bytes) -> None:
    try:
        for part in rtcp.split(data):
            _read_everything(part)
    except rtcp.MalformedRtcp:
        pass


@settings(deadline=None)
@given(st.integers(0, 31), st.integers(200, 207), st.binary(min_size=4, max_size=80))
def test_any_body_under_a_good_header(count: int, packet_type: int, body: bytes) -> None:
    body = body[: len(body) // 4 * 4]
    data = bytes([0x80 | count, packet_type]) + (len(body) // 4).to_bytes(2, "big") + body
    for part in rtcp.split(data):
        try:
            _read_everything(part)
        except rtcp.MalformedRtcp:
            assert packet_type == rtcp.RTCP_SR


def _read_everything(part: rtcp.RtcpPart) -> None:
    list(part.blocks()), list(rtcp.nack_sequences(part)), list(rtcp.fir_sources(part))
    rtcp.remb_bitrate(part)
    assert part.sender >= 0
    assert part.media >= 0
    if part.packet_type == rtcp.RTCP_SR:
        rtcp.sender_info(part)


@pytest.mark.parametrize(
    "data", [b"\x80", b"\x80\xc8\x00\x00", b"\x80\xc8\x00\x09" + bytes(4), b"\x40\xc8\x00\x01" + bytes(4)]
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(rtcp.MalformedRtcp):
        list(rtcp.split(data))


def test_what_the_relay_writes_another_implementation_reads() -> None:
    reporter = rtcp.Reporter(77, "cname")
    report = RtcpPacket.parse(reporter.receiver_report([BLOCK], (500_000, [9])))
    assert [type(packet) for packet in report] == [RtcpRrPacket, RtcpSdesPacket, RtcpPsfbPacket]
    assert report[0].ssrc == 77
    assert report[0].reports == [BLOCK]
    assert report[1].chunks[0].items == [(1, b"cname")]  # RFC 3550 section 6.1: every compound carries a CNAME
    assert [type(packet) for packet in RtcpPacket.parse(reporter.receiver_report([], None))] == [
        RtcpRrPacket,
        RtcpSdesPacket,
    ]
    pli = RtcpPacket.parse(reporter.pli(9))
    assert (pli[2].fmt, pli[2].ssrc, pli[2].media_ssrc) == (1, 77, 9)
    nack = RtcpPacket.parse(reporter.nack(9, [65535, 0, 1, 40]))
    assert nack[2].media_ssrc == 9
    assert sorted(sequence & 0xFFFF for sequence in nack[2].lost) == [0, 1, 40, 65535]
    sender, names = RtcpPacket.parse(rtcp.sender_report(5, rtcp.source_name(5, "name"), 1 << 40, 90, 3, 4))
    assert sender == RtcpSrPacket(5, RtcpSenderInfo(1 << 40, 90, 3, 4))
    assert names.chunks[0].ssrc == 5


@settings(deadline=None)
@given(st.integers(0, 0xFFFF), st.sets(st.integers(0, 200), min_size=1))
def test_nacks_that_the_relay_writes(start: int, offsets: set[int]) -> None:
    sequences = [start + offset & 0xFFFF for offset in sorted(offsets)]
    *_, part = rtcp.split(rtcp.Reporter(1, "cname").nack(9, sequences))
    assert list(rtcp.nack_sequences(part)) == sequences


def test_rtcp_is_told_from_rtp_by_its_second_byte() -> None:
    """RFC 5761 section 4."""
    assert rtcp.is_rtcp(b"\x80\xc8" + bytes(6))
    assert rtcp.is_rtcp(b"\x81\xc0" + bytes(6))
    assert rtcp.is_rtcp(b"\x81\xdf" + bytes(6))
    assert not rtcp.is_rtcp(b"\x80\x60" + bytes(6))
    assert not rtcp.is_rtcp(b"\x80\xe0" + bytes(6))  # payload type 96 with the marker
    assert not rtcp.is_rtcp(b"\x80\xc8")
