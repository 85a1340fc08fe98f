"""Reading RTP headers (RFC 3550 section 5.1, RFC 8285)."""

from __future__ import annotations

import struct

import pytest
from aiortc.rtp import RtpPacket
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.media.rtp import NO_LEVEL, ExtensionIds, MalformedPacket, abs_send_time, parse
from tests.fakes.media_client import LEVEL_ID, MID_ID, TIME_ID, extensions_map

IDS = ExtensionIds(mid=MID_ID, audio_level=LEVEL_ID, abs_send_time=TIME_ID)


@settings(deadline=None)
@given(
    payload=st.binary(max_size=1200),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    marker=st.integers(0, 1),
    sources=st.lists(st.integers(0, 0xFFFFFFFF), max_size=15),
    padding=st.integers(0, 20),
    level=st.none() | st.tuples(st.booleans(), st.integers(0, 127)),
    send_time=st.none() | st.integers(0, 0xFFFFFF),
    mid=st.none() | st.text("abc019", min_size=1, max_size=16),
)
def test_reads_what_another_implementation_wrote(
    payload: bytes,
    sequence: int,
    timestamp: int,
    ssrc: int,
    marker: int,
    sources: list[int],
    padding: int,
    level: tuple[bool, int] | None,
    send_time: int | None,
    mid: str | None,
) -> None:
    packet = RtpPacket(96, marker, sequence, timestamp, ssrc, payload)
    packet.csrc = sources
    packet.padding_size = padding
    packet.extensions.audio_level, packet.extensions.abs_send_time, packet.extensions.mid = level, send_time, mid
    data = packet.serialize(extensions_map())
    view = parse(data, IDS, 12.5)
    assert (view.sequence, view.timestamp, view.ssrc, view.payload_type) == (sequence, timestamp, ssrc, 96)
    assert bool(view.marker) == bool(marker)
    assert bool(view.padding) == bool(padding)
    assert view.payload[: len(payload)] == payload
    assert len(view.payload) == len(payload) + padding
    assert view.level == (NO_LEVEL if level is None else level[0] << 7 | level[1])
    assert view.send_time == send_time
    assert (view.packet, view.arrival) == (data, 12.5)


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_anything_else_is_a_malformed_packet_and_nothing_worse(data: bytes) -> None:
    try:
        view = parse(data, IDS, 0.0)
    except MalformedPacket:
        return
    assert len(view.payload) <= len(data) - 12


@settings(deadline=None)
@given(st.integers(0, 0x3F), st.binary(min_size=11, max_size=60))
def test_a_version_2_header_with_any_rest(first: int, rest: bytes) -> None:
    try:
        parse(bytes([0x80 | first]) + rest, IDS, 0.0)
    except MalformedPacket:
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80" * 11,
        b"\x40" + bytes(11),  # version 1
        b"\x81" + bytes(11),  # a contributing source that is not there
        b"\x90" + bytes(11),  # an extension that is not there
        b"\x90" + bytes(11) + b"\xbe\xde\x00\x05" + bytes(8),  # an extension that is longer than the packet
        b"\xa0" + bytes(11),  # padding, but nothing to pad
        b"\xa0" + bytes(11) + b"\x05",  # more padding than payload
        b"\xa0" + bytes(11) + b"\x00",  # RFC 3550: the count includes itself
    ],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(MalformedPacket):
        parse(data, IDS, 0.0)


def test_the_reserved_identifier_15_ends_the_extensions() -> None:
    """RFC 8285 section 4.2."""
    block = bytes([0xF0, 0, LEVEL_ID << 4, 0x85])
    data = struct.pack("!BBHLL", 0x90, 96, 1, 2, 3) + b"\xbe\xde\x00\x01" + block + b"x"
    assert parse(data, IDS, 0.0).level == NO_LEVEL


def test_two_byte_extensions_are_skipped() -> None:
    data = struct.pack("!BBHLL", 0x90, 96, 1, 2, 3) + b"\x10\x00\x00\x01" + bytes([LEVEL_ID, 1, 0x85, 0]) + b"x"
    view = parse(data, IDS, 0.0)
    assert (view.level, view.payload) == (NO_LEVEL, b"x")


def test_abs_send_time_is_six_bits_of_seconds_and_eighteen_of_fraction() -> None:
    assert abs_send_time(0.0) == b"\0\0\0"
    assert abs_send_time(1.5) == (1 << 18 | 1 << 17).to_bytes(3, "big")
    assert abs_send_time(64.0 + 1.5) == abs_send_time(1.5)
