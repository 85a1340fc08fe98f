"""Targets: RTP, RTX, VP8's payload descriptor, RTCP. See tests/fuzz/targets.py for what a target is."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from aiortc.rtp import RtpPacket

from signaling.media import rtcp
from signaling.media.feedback import Feedback
from signaling.media.retransmission import unwrap
from signaling.media.rtp import HEADER_LENGTH, NO_LEVEL, ExtensionIds, MalformedPacket, element, parse, parse_plain
from signaling.media.stats import RoomCounters
from signaling.media.step import PlainStep, Step
from signaling.media.vp8 import keyframe_size, picture_numbers, shift_numbers, starts_keyframe

IDS = ExtensionIds(mid=4, audio_level=1, abs_send_time=2)


def rtp(data: bytes) -> None:
    """A packet is read or refused as a whole, in C as in Python, and read as aiortc's own parser reads it."""
    try:
        view = parse(data, IDS, 1.0)
    except MalformedPacket as error:
        view, problem = None, str(error)
    try:
        plain = parse_plain(data, IDS, 1.0)
    except MalformedPacket as error:
        assert view is None
        assert problem == str(error)
    else:
        assert view is not None
        for name in ("payload", "padding", "marker", "payload_type", "sequence", "timestamp", "ssrc", "level"):
            assert getattr(view, name) == getattr(plain, name), name
        assert (view.send_time, view.size) == (plain.send_time, plain.size)
        assert view.starts_keyframe() == plain.starts_keyframe()
    for identifier in (1, 2, 4, 15):
        value = element(data, identifier)
        assert value is None or (1 <= len(value) <= 16 and value in data)
    if view is None:
        return
    assert view.packet is data
    assert data.endswith(view.payload)
    assert len(data) - len(view.payload) >= HEADER_LENGTH
    assert view.level == NO_LEVEL or 0 <= view.level <= 255
    assert view.send_time is None or 0 <= view.send_time < 1 << 24
    level = element(data, IDS.audio_level)
    if level is not None and len(level) == 1:
        assert view.level != NO_LEVEL
    try:
        other = RtpPacket.parse(data)
    except (ValueError, struct.error, IndexError, UnicodeDecodeError):
        return  # it reads CSRCs and extensions that a relay passes on unread
    assert (other.ssrc, other.sequence_number, other.timestamp) == (view.ssrc, view.sequence, view.timestamp)
    assert (other.payload_type, bool(other.marker)) == (view.payload_type, bool(view.marker))
    padding = data[-1] if view.padding else 0
    assert other.payload == view.payload[: len(view.payload) - padding]


def rtx(data: bytes) -> None:
    """What is unwrapped is a packet with the numbers of the original; wrapping and unwrapping gives it back."""
    original = unwrap(data, 0x01020304, 96)
    if original is not None:
        assert HEADER_LENGTH < len(original) <= len(data) - 2
        assert original[8:12] == b"\x01\x02\x03\x04"
        assert original[1] & 0x7F == 96
        assert original[1] & 0x80 == data[1] & 0x80
        assert not original[0] & 0x20
    try:
        view = parse(data, IDS, 0.0)
    except MalformedPacket:
        return
    if view.padding or len(view.payload) < 2:
        return
    start = len(data) - len(view.payload)
    wrapped = data[:1] + bytes([data[1] & 0x80 | 97, 0x12, 0x34]) + data[4:8] + b"\xaa\xbb\xcc\xdd" + data[12:start]
    again = unwrap(wrapped + data[2:4] + view.payload, view.ssrc, view.payload_type)
    assert again == data


def vp8(data: bytes) -> None:
    """Numbers move by what they are told to, come back, and nothing else of the payload changes."""
    picture_offset, tl0_offset = (int.from_bytes(data[:2], "big") & 0x7FFF, data[2]) if len(data) > 3 else (1, 1)
    payload = data[3:]
    numbers = picture_numbers(payload)
    assert shift_numbers(payload, 0, 0) == payload
    moved = shift_numbers(payload, picture_offset, tl0_offset)
    assert len(moved) == len(payload)
    assert shift_numbers(moved, -picture_offset, -tl0_offset) == payload
    after = picture_numbers(moved)
    assert after.width == numbers.width
    if numbers.width:
        assert after.picture == (numbers.picture + picture_offset) % (1 << numbers.width)
    if numbers.tl0 >= 0 and after.tl0 >= 0:
        assert after.tl0 == (numbers.tl0 + tl0_offset) & 0xFF
    assert starts_keyframe(moved) == starts_keyframe(payload)
    assert {step.packet(view)[HEADER_LENGTH:] for step, view in _steps(payload, picture_offset, tl0_offset)} == {moved}
    size = keyframe_size(payload)
    assert size is None or (starts_keyframe(payload) and 0 <= size[0] < 1 << 14 and 0 <= size[1] < 1 << 14)


def _steps(payload: bytes, picture_offset: int, tl0_offset: int) -> Iterator[tuple[Any, Any]]:
    """The stable step of forwarding, in Python and (where it was built) in C, with the packet that it is given."""
    packet = b"\x80\x60" + bytes(10) + payload
    for made, read in ((PlainStep, parse_plain), (Step, parse)):
        step, view = made(), read(packet, IDS, 1.0)
        view.index, view.departure = 7, b"\0\0\0"
        step.picture_offset, step.tl0_offset = picture_offset, tl0_offset
        yield step, view


def compound(data: bytes) -> None:
    """The parts are the whole; reading them raises nothing but MalformedRtcp; `Feedback` raises nothing at all."""
    parts = []
    try:
        for part in rtcp.split(data):
            parts.append(part)
            _read(part)
    except rtcp.MalformedRtcp:
        assert data[: sum(len(part.data) for part in parts)] == b"".join(part.data for part in parts)
    else:
        assert b"".join(part.data for part in parts) == data
    peer: Any = SimpleNamespace(
        counters=RoomCounters(), slots=(), tracks={}, sources=SimpleNamespace(layers={}, tracks={}), hidden=False
    )
    Feedback(peer, 0.0).receive(data, 1.0)
    assert peer.counters.received_rtcp == 1


def _read(part: rtcp.RtcpPart) -> None:
    assert 0 <= part.sender < 1 << 32
    assert 0 <= part.media < 1 << 32
    assert len(list(part.blocks())) <= 31
    sequences = list(rtcp.nack_sequences(part))
    assert all(0 <= sequence < 1 << 16 for sequence in sequences)
    if sequences:
        distinct = sorted(set(sequences))
        made = list(rtcp.split(rtcp.Reporter(1, "c").nack(2, distinct)))
        assert sorted(set(rtcp.nack_sequences(made[-1]))) == distinct
    assert all(0 <= ssrc < 1 << 32 for ssrc in rtcp.fir_sources(part))
    bitrate = rtcp.remb_bitrate(part)
    assert bitrate is None or bitrate >= 0
    if part.packet_type == rtcp.RTCP_SR:
        try:
            ssrc, ntp, timestamp = rtcp.sender_info(part)
        except rtcp.MalformedRtcp:
            assert len(part.data) < 28
        else:
            assert (ssrc, ntp >> 64, timestamp >> 32) == (part.sender, 0, 0)
