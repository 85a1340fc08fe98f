"""VP8's payload descriptor (RFC 7741 section 4.2)."""

from __future__ import annotations

import pytest
from aiortc.codecs.vpx import VpxPayloadDescriptor
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.media.vp8 import keyframe_size, starts_keyframe

KEY_HEADER = b"\x10\x02\x00\x9d\x01\x2a\x80\x02\xe0\x01"  # 640 x 480, RFC 6386 section 9.1


@settings(deadline=None)
@given(
    start=st.integers(0, 1),
    partition=st.integers(0, 7),
    picture=st.none() | st.integers(0, 0x7FFF),
    layer=st.none() | st.integers(0, 255),
    tid=st.none() | st.tuples(st.integers(0, 3), st.integers(0, 1)),
    keyidx=st.none() | st.integers(0, 31),
    key=st.booleans(),
)
def test_agrees_with_another_implementation(
    start: int,
    partition: int,
    picture: int | None,
    layer: int | None,
    tid: tuple[int, int] | None,
    keyidx: int | None,
    key: bool,
) -> None:
    descriptor = VpxPayloadDescriptor(start, partition, picture, layer, tid, keyidx)
    payload = bytes(descriptor) + (KEY_HEADER if key else b"\x11" + KEY_HEADER[1:])
    assert starts_keyframe(payload) == (bool(start) and partition == 0 and key)
    assert keyframe_size(payload) == ((640, 480) if starts_keyframe(payload) else None)


def test_a_seven_bit_picture_id() -> None:
    assert starts_keyframe(b"\x90\x80\x05" + KEY_HEADER)
    assert not starts_keyframe(b"\x90\x80\x05" + b"\x11")


@pytest.mark.parametrize("payload", [b"", b"\x10", b"\x90", b"\x90\x80", b"\x90\x80\x80", b"\x90\xf0\x80\x01"])
def test_what_is_cut_short_is_no_keyframe(payload: bytes) -> None:
    assert not starts_keyframe(payload)


@settings(deadline=None)
@given(st.binary(max_size=30))
def test_never_raises(payload: bytes) -> None:
    starts_keyframe(payload)
    keyframe_size(payload)
