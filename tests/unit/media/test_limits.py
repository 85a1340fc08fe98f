"""Limits per source: one who has used up his own takes nothing from the others."""

from __future__ import annotations

from aioice import stun

from signaling.media.demux import Demultiplexer
from signaling.media.limit import SourceLimit, source_of
from signaling.media.path import Address


def test_one_source_that_is_out_of_tokens_costs_the_others_nothing() -> None:
    limit = SourceLimit(2.0, 10.0, 0.0)
    assert [limit.take("192.0.2.1", 0.0) for _ in range(100)].count(True) == 2
    assert limit.take("192.0.2.2", 0.0)
    assert limit.take("2001:db8::1", 0.0)


def test_all_together_are_limited_too() -> None:
    limit = SourceLimit(2.0, 10.0, 0.0)
    assert sum(limit.take(f"192.0.2.{number}", 0.0) for number in range(200)) == 10


def test_a_network_of_ipv6_is_one_source() -> None:
    assert source_of("2001:db8::1") == source_of("2001:db8::ffff:1") != source_of("2001:db8:0:1::1")
    assert source_of("fe80::1%eth0") == source_of("fe80::2")
    limit = SourceLimit(2.0, 100.0, 0.0)
    assert sum(limit.take(f"2001:db8::{number:x}", 0.0) for number in range(50)) == 2


def test_sources_are_remembered_in_bounds() -> None:
    limit = SourceLimit(1.0, 1e9, 0.0, most=8)
    for number in range(100):
        limit.take(f"198.51.100.{number}", 0.0)
    assert len(limit._sources) == 8


class Sent:
    """A path that keeps what is sent."""

    protocol = "udp"
    outbox = None

    def __init__(self) -> None:
        self.to: list[Address] = []

    def transmit(self, datagram: bytes, address: Address) -> bool:
        assert stun.parse_message(datagram).message_class == stun.Class.ERROR
        self.to.append(address)
        return True


def test_checks_of_strangers_are_answered_to_each_a_little() -> None:
    demux, path = Demultiplexer(lambda: 0.0), Sent()
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    request.attributes["USERNAME"] = "nobody:atall"
    request.add_message_integrity(b"a guess")
    for port in range(1000):
        demux.received(path, bytes(request), ("192.0.2.1", port))  # type: ignore[arg-type]
    flooded = len(path.to)
    assert flooded == 10
    demux.received(path, bytes(request), ("192.0.2.2", 1))  # type: ignore[arg-type]
    demux.received(path, bytes(request), ("2001:db8::2", 1, 0, 0))  # type: ignore[arg-type]
    assert path.to[flooded:] == [("192.0.2.2", 1), ("2001:db8::2", 1, 0, 0)]
    counters = demux.counters
    assert (counters.stun_unauthenticated, counters.stun_suppressed) == (1002, 990)
    assert demux.is_idle
