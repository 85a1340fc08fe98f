"""A connectivity check counts where it came from first."""

from __future__ import annotations

from signaling.media import replay
from signaling.media.replay import SeenChecks

HERE, THERE = ("192.0.2.1", 1000), ("192.0.2.2", 1000)


def test_a_check_repeated_from_the_same_address_is_none_and_from_another_is_a_copy() -> None:
    seen = SeenChecks()
    assert not seen.is_copy(b"transaction1", HERE)
    assert not seen.is_copy(b"transaction1", HERE)
    assert seen.is_copy(b"transaction1", THERE)
    assert not seen.is_copy(b"another12345", THERE)
    assert seen.is_copy(b"another12345", (*THERE, 1)), "a TCP connection of the same host and port is another address"


def test_the_oldest_are_forgotten() -> None:
    seen = SeenChecks()
    for number in range(replay._MOST + 1):
        assert not seen.is_copy(number.to_bytes(12, "little"), HERE)
    assert seen.is_copy((1).to_bytes(12, "little"), THERE)
    assert not seen.is_copy((0).to_bytes(12, "little"), THERE)
    assert len(seen._first) == replay._MOST
