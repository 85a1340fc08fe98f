"""The stable step's numbers: whatever is begun anew, the receiver's go on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from signaling.media.leg import Kind
from signaling.media.retransmission import unwrap
from signaling.media.rewrite import Offsets, Rewriter
from signaling.media.rtp import ExtensionIds, RtpView, parse
from signaling.media.vp8 import NO_NUMBERS, PictureNumbers, picture_numbers, shift_numbers, starts_keyframe
from tests.fakes.media_client import TIME_ID


def descriptor(picture: int | None, tl0: int | None, *, long: bool = True, tid: bool = False) -> bytes:
    """A payload descriptor that starts a frame, with what is asked for (RFC 7741 section 4.2)."""
    bits = (0x80 if picture is not None else 0) | (0x40 if tl0 is not None else 0) | (0x20 if tid else 0)
    if not bits:
        return b"\x10"
    text = bytes([0x90, bits])
    if picture is not None:
        text += bytes([0x80 | picture >> 8, picture & 0xFF]) if long else bytes([picture])
    if tl0 is not None:
        text += bytes([tl0])
    return text + (b"\x40" if tid else b"")


def view(index: int, payload: bytes, *, timestamp: int = 0, arrival: float = 0.0, padding: int = 0) -> RtpView:
    header = bytes([0xA0 if padding else 0x80, 0xE0]) + (index & 0xFFFF).to_bytes(2, "big")
    made = parse(header + timestamp.to_bytes(4, "big") + b"\0\0\0\1" + payload, ExtensionIds(), arrival)
    made.index, made.departure, made.keyframe = index, b"\1\2\3", starts_keyframe(payload)
    return made


def rewriter(**changes: int) -> Rewriter:
    return Rewriter(
        kind=Kind.VIDEO,
        mid="1",
        ssrc=0xAABBCCDD,
        payload_type=96,
        extensions=ExtensionIds(abs_send_time=TIME_ID),
        first_sequence=changes.get("sequence", 65_530),
        first_timestamp=changes.get("timestamp", 0xFFFFFF00),
    )


numbers = st.builds(
    descriptor,
    st.one_of(st.none(), st.integers(0, 0x7F)),
    st.one_of(st.none(), st.integers(0, 255)),
    long=st.booleans(),
    tid=st.booleans(),
)


@given(numbers, st.integers(0, 0x7FFF), st.integers(0, 255), st.binary(max_size=20))
def test_shifting_moves_the_numbers_and_nothing_else(head: bytes, by_picture: int, by_tl0: int, rest: bytes) -> None:
    payload = head + b"\x10" + rest
    shifted = shift_numbers(payload, by_picture, by_tl0)
    before, after = picture_numbers(payload), picture_numbers(shifted)
    assert len(shifted) == len(payload)
    assert shifted[len(head) :] == payload[len(head) :]
    assert after.width == before.width
    if before.width:
        assert after.picture == (before.picture + by_picture) % (1 << before.width)
    assert after.tl0 == ((before.tl0 + by_tl0) % 256 if before.tl0 >= 0 else -1)
    assert starts_keyframe(shifted) == starts_keyframe(payload)


@given(st.binary(max_size=12), st.integers(0, 0x7FFF), st.integers(0, 255))
def test_no_descriptor_however_bad_makes_trouble(payload: bytes, by_picture: int, by_tl0: int) -> None:
    shifted = shift_numbers(payload, by_picture, by_tl0)
    assert len(shifted) == len(payload)
    read = picture_numbers(payload)
    assert read.width in (0, 7, 15)
    assert shift_numbers(shifted, -by_picture % 0x8000, -by_tl0 % 256) == payload
    assert starts_keyframe(payload) in (True, False)


def test_what_is_cut_short_has_no_numbers() -> None:
    assert picture_numbers(b"\x90\x80\x80") is NO_NUMBERS
    assert picture_numbers(b"\x90\xc0\x81\x02\x07") == PictureNumbers(0x102, 15, 7)
    assert picture_numbers(b"\x90\xc0\x11\x07") == PictureNumbers(0x11, 7, 7)
    assert picture_numbers(b"\x90\xc0\x11") == PictureNumbers(0x11, 7, -1)


source = st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), st.integers(0, 0x7FFF), st.integers(0, 255))


@given(st.lists(st.tuples(source, st.integers(1, 5)), min_size=1, max_size=8))
def test_sources_put_one_after_the_other_look_like_one(parts: list[tuple[tuple[int, int, int, int], int]]) -> None:
    stream = rewriter()
    sent: list[RtpView] = []
    for (index, timestamp, picture, tl0), count in parts:
        for number in range(count):
            payload = descriptor((picture + number) & 0x7FFF, (tl0 + number) & 0xFF) + b"\x10\x02\x00"
            packet = view(index + number, payload, timestamp=(timestamp + 3000 * number) & 0xFFFFFFFF)
            if number == 0:
                stream.settle()
                stream.start(packet, stream.last_timestamp + 3000)
            sent.append(parse(stream.packet(packet), ExtensionIds(abs_send_time=TIME_ID), 0.0))
            stream.sent(packet)
    first = picture_numbers(sent[0].payload)
    for number, packet in enumerate(sent):
        assert packet.sequence == (65_530 + number) & 0xFFFF
        assert packet.timestamp == (0xFFFFFF00 + 3000 * (number + 1)) & 0xFFFFFFFF
        assert picture_numbers(packet.payload).picture == (first.picture + number) & 0x7FFF
        assert picture_numbers(packet.payload).tl0 == (first.tl0 + number) & 0xFF
        assert packet.send_time == 0x010203


def test_a_source_that_goes_on_keeps_its_own_picture_numbers() -> None:
    """A hold or a lost packet makes no work for every packet that follows."""
    stream = rewriter()
    first = view(10, descriptor(5, 5) + b"\x10\x02\x00")
    stream.start(first, 0)
    stream.sent(first)
    stream.settle()
    stream.start(view(90, descriptor(40, 30) + b"\x10\x02\x00"), 0, same_source=True)
    assert (stream.picture_offset, stream.tl0_offset) == (0, 0)
    back = view(70, descriptor(2, 3) + b"\x10\x02\x00")
    stream.sent(view(90, descriptor(40, 30) + b"\x10\x02\x00"))
    stream.settle()
    stream.start(back, 0, same_source=True)  # from the cache: the same pictures once more
    assert picture_numbers(stream.packet(back)[-8:]) == PictureNumbers(41, 15, 31)


def test_padding_at_the_end_of_a_stretch_hides_no_picture_number() -> None:
    stream = rewriter()
    picture = view(10, descriptor(100, 7) + b"\x10\x02\x00")
    stream.start(picture, 0)
    kept = {10: picture, 11: view(11, b"\0\0\0\4", padding=4)}
    for packet in kept.values():
        stream.sent(packet)
    stream.settle(kept.get)
    assert stream.last_numbers == PictureNumbers(100, 15, 7)


@given(st.integers(0, 0xFFFF), st.binary(min_size=1, max_size=60), st.integers(0, 4))
def test_a_retransmission_is_the_packet_as_it_went_out(number: int, payload: bytes, padding: int) -> None:
    """RFC 4588 section 4, and section 8 of RFC 3550 on padding, which RTX leaves out."""
    stream = rewriter()
    padded = payload + (bytes(padding - 1) + bytes([padding]) if padding else b"")
    packet = view(number, padded, timestamp=5, padding=padding)
    offsets = Offsets(index=77, timestamp=9, picture=3, tl0=4)
    rtx = stream.retransmission(packet, offsets, ssrc=7, payload_type=97, sequence=11, departure=b"\4\5\6")
    read = parse(rtx, ExtensionIds(abs_send_time=TIME_ID), 0.0)
    assert (read.ssrc, read.payload_type, read.sequence, read.send_time) == (7, 97, 11, 0x040506)
    original = unwrap(rtx, 0xAABBCCDD, 96)
    assert original is not None
    again = parse(original, ExtensionIds(), 0.0)
    assert (again.ssrc, again.payload_type, again.marker) == (0xAABBCCDD, 96, 0x80)
    assert (again.sequence, again.timestamp) == ((number + 77) & 0xFFFF, 14)
    assert again.payload == shift_numbers(payload, 3, 4)


@given(st.binary(max_size=60))
def test_no_rtx_packet_however_bad_makes_trouble(packet: bytes) -> None:
    original = unwrap(packet, 1, 96)
    assert original is None or len(original) >= 13


def test_rtx_without_content_is_padding() -> None:
    header = bytes([0x80, 97]) + b"\0\1" + bytes(8)
    assert unwrap(header, 1, 96) is None
    assert unwrap(header + b"\0\7", 1, 96) is None
    assert unwrap(header + b"\0\7x", 1, 96) is not None
    assert unwrap(bytes([0xA0]) + header[1:] + b"\0\7x\0\0\3", 1, 96) is not None
    assert unwrap(bytes([0xA0]) + header[1:] + b"\0\7x\0\0\4", 1, 96) is None
    assert unwrap(bytes([0xA0]) + header[1:] + b"\0\7x\0", 1, 96) is None
    assert unwrap(bytes([0x90]) + header[1:] + b"\xbe\xde\0\7", 1, 96) is None
