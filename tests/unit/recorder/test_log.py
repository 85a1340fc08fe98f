"""Records: written and read back; hostile bytes are refused, never misread."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.errors import RecordingDamaged
from recorder.log import HEADER, Record, RecordKind, frame, read_records
from recorder.rtp import parse_rtp, sender_reports
from recorder.segment import read_header
from recorder.vp8 import FrameAssembler, read_descriptor

records = st.builds(
    Record,
    st.sampled_from([int(kind) for kind in RecordKind]),
    st.integers(0, 0xFFFF),
    st.integers(0, 1 << 62),
    st.integers(0, 1 << 62),
    st.binary(max_size=300),
)


@settings(deadline=None)
@given(st.lists(records, max_size=20))
def test_records_come_back_as_they_were_written(written: list[Record]) -> None:
    plain = b"".join(frame(one.kind, one.track, one.mono_ns, one.wall_ns, one.payload) for one in written)
    assert list(read_records(plain)) == written


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_records_or_damage(plain: bytes) -> None:
    try:
        found = list(read_records(plain))
    except RecordingDamaged:
        return
    assert sum(HEADER.size + len(one.payload) for one in found) == len(plain)


@settings(deadline=None)
@given(st.lists(records, min_size=1, max_size=5), st.data())
def test_a_cut_is_noticed(written: list[Record], data: st.DataObject) -> None:
    frames = [frame(one.kind, one.track, one.mono_ns, one.wall_ns, one.payload) for one in written]
    plain = b"".join(frames)
    borders = {sum(len(one) for one in frames[:count]) for count in range(len(frames) + 1)}
    cut = data.draw(st.integers(0, len(plain)).filter(lambda at: at not in borders))
    with pytest.raises(RecordingDamaged):
        list(read_records(plain[:cut]))


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_json_records_of_any_bytes_are_objects_or_damage(payload: bytes) -> None:
    try:
        assert isinstance(Record(RecordKind.EVENT, 0, 0, 0, payload).json(), dict)
    except RecordingDamaged:
        pass


@settings(deadline=None)
@given(st.binary(max_size=120))
def test_no_packet_makes_a_parser_fail(packet: bytes) -> None:
    try:
        parse_rtp(packet)
    except RecordingDamaged:
        pass
    sender_reports(packet)
    read_descriptor(packet)
    FrameAssembler().push(1, True, packet)
    try:
        read_header(packet)
    except RecordingDamaged:
        pass
