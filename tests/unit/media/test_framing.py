"""Frames of RFC 4571, in whatever pieces TCP gives them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.media.framing import Deframer, FrameTooLong, framed


@settings(deadline=None)
@given(st.lists(st.binary(max_size=1500), max_size=12), st.lists(st.integers(1, 4000), max_size=40))
def test_what_was_framed_comes_out_whatever_the_pieces(datagrams: list[bytes], pieces: list[int]) -> None:
    stream, found, deframer = b"".join(map(framed, datagrams)), [], Deframer(1500)
    for piece in [*pieces, len(stream)]:
        found += deframer.feed(stream[:piece])
        stream = stream[piece:]
    assert found == datagrams
    assert len(deframer._buffer) == 0


@settings(deadline=None)
@given(st.lists(st.binary(max_size=3000), max_size=10))
def test_any_stream_is_frames_or_too_long_and_little_is_kept(pieces: list[bytes]) -> None:
    deframer = Deframer(1500)
    try:
        for piece in pieces:
            assert all(len(datagram) <= 1500 for datagram in deframer.feed(piece))
            assert len(deframer._buffer) < 1502
    except FrameTooLong:
        pass


def test_a_frame_that_is_too_long_is_known_by_its_length_alone() -> None:
    with pytest.raises(FrameTooLong):
        Deframer(1500).feed(b"\x05\xdd")
    assert Deframer(1500).feed(b"\x05\xdc") == []
