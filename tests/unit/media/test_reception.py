"""Reception statistics (RFC 3550 appendix A)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.media.reception import Reception


def test_sequence_numbers_are_extended_over_the_wrap() -> None:
    reception = Reception(90000)
    sequences = (65533, 65534, 65535, 0, 1, 65532, 2)
    indexes = [reception.add(sequence, 0, 0.0) for sequence in sequences]
    base = indexes[0]
    assert [index - base for index in indexes] == [0, 1, 2, 3, 4, -1, 5]
    assert [index & 0xFFFF for index in indexes] == list(sequences)


@settings(deadline=None)
@given(start=st.integers(0, 0xFFFF), lost=st.sets(st.integers(1, 198), max_size=60), seed=st.randoms())
def test_counts_loss_whatever_the_order_within_ten_packets(start: int, lost: set[int], seed: object) -> None:
    reception = Reception(90000)
    numbers = [number for number in range(200) if number not in lost]
    shuffled = [numbers[0], *sorted(numbers[1:], key=lambda number: number + seed.random() * 10)]  # type: ignore[attr-defined]
    for number in shuffled:
        reception.add(start + number & 0xFFFF, number * 3000, number / 30)
    report = reception.report(1234, 10.0)
    assert reception.expected == 200
    assert report.packets_lost == len(lost)
    assert report.fraction_lost == (len(lost) << 8) // 200
    assert report.highest_sequence & 0xFFFF == start + 199 & 0xFFFF
    assert report.highest_sequence >> 16 == (start + 199) >> 16
    assert reception.report(1234, 11.0).fraction_lost == 0


def test_jitter_of_an_even_stream_is_nothing_and_of_an_uneven_one_something() -> None:
    even, uneven = Reception(48000), Reception(48000)
    for number in range(200):
        even.add(number, number * 960, number * 0.02)
        uneven.add(number, number * 960, number * 0.02 + (0.010 if number % 2 else 0.0))
    assert even.jitter <= 1
    assert 300 < uneven.jitter <= 480  # it approaches the 10 ms difference


def test_a_timestamp_that_jumps_is_not_jitter() -> None:
    reception = Reception(48000)
    for number in range(100):
        reception.add(number, number * 960 + (1 << 31 if number >= 50 else 0) & 0xFFFFFFFF, number * 0.02)
    assert reception.jitter <= 1


def test_last_sender_report_and_delay_since_it() -> None:
    reception = Reception(90000)
    reception.add(1, 0, 0.0)
    assert (reception.report(1, 1.0).lsr, reception.report(1, 1.0).dlsr) == (0, 0)
    reception.sender_report(0x1234_5678_9ABC_DEF0, 2.0)
    report = reception.report(1, 3.5)
    assert (report.lsr, report.dlsr) == (0x5678_9ABC, 98304)  # 1.5 s in 1/65536
