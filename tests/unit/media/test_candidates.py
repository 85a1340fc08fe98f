"""Our candidates: RFC 8445 section 5.1, RFC 6544 section 4, RFC 8839 section 5.1."""

from __future__ import annotations

import pytest
from aiortc.sdp import candidate_from_sdp

from signaling.media.candidates import (
    Advertised,
    BadAddress,
    bindable,
    candidate_lines,
    host_candidates,
    offerable,
    priority,
)

ADDRESSES = [("2001:db8::7", 8189), ("192.0.2.7", 8189), ("192.0.2.7", 9000)]


def test_lines_as_the_rfcs_write_them() -> None:
    lines = candidate_lines(host_candidates([("192.0.2.7", 8189)]))
    assert lines == [
        "a=candidate:1 1 udp 2130706431 192.0.2.7 8189 typ host",
        f"a=candidate:2 1 tcp {90 << 24 | (4 << 13 | 8191) << 8 | 255} 192.0.2.7 8189 typ host tcptype passive",
        "a=end-of-candidates",
    ]


def test_another_stack_reads_them() -> None:
    read = [candidate_from_sdp(candidate.line.partition(":")[2]) for candidate in host_candidates(ADDRESSES)]
    assert [(item.protocol, item.ip, item.port, item.type, item.tcpType) for item in read] == [
        ("udp", "2001:db8::7", 8189, "host", None),
        ("udp", "192.0.2.7", 8189, "host", None),
        ("udp", "192.0.2.7", 9000, "host", None),
        ("tcp", "2001:db8::7", 8189, "host", "passive"),
        ("tcp", "192.0.2.7", 8189, "host", "passive"),
        ("tcp", "192.0.2.7", 9000, "host", "passive"),
    ]


def test_priorities_fall_and_are_unique() -> None:
    made = [candidate.priority for candidate in host_candidates(ADDRESSES)]
    assert made == sorted(made, reverse=True)
    assert len(set(made)) == len(made)
    assert all(0 < item < 1 << 31 for item in made)
    assert priority("tcp", 0) < priority("udp", 8190)


def test_foundations_are_shared_by_base_and_transport() -> None:
    """RFC 8445 section 5.1.1.3: same type, base address and transport."""
    made = {(item.transport, item.host, item.port): item.foundation for item in host_candidates(ADDRESSES)}
    assert made["udp", "192.0.2.7", 8189] == made["udp", "192.0.2.7", 9000]
    assert len(set(made.values())) == 4


def test_one_transport_alone_and_no_address_twice() -> None:
    assert {item.transport for item in host_candidates(ADDRESSES, ["tcp"])} == {"tcp"}
    assert len(host_candidates([("192.0.2.7", 1), ("192.0.2.7", 1)], ["udp"])) == 1
    assert host_candidates([("2001:DB8:0:0::7", 1)], ["udp"])[0].host == "2001:db8::7"


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("fe80::1", "link-local"),
        ("169.254.1.1", "link-local"),
        ("fe80::1%eth0", "zone"),
        ("2001:db8::1%2", "zone"),
        ("0.0.0.0", "nobody"),
        ("::", "nobody"),
        ("224.0.0.1", "nobody"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("example.org", "not an IP address"),
        ("", "not an IP address"),
    ],
)
def test_addresses_that_cannot_be_offered(host: str, says: str) -> None:
    with pytest.raises(BadAddress, match=says):
        offerable(host)


def test_wildcards_can_be_bound_and_link_local_addresses_cannot() -> None:
    assert (bindable("0.0.0.0"), bindable("::"), bindable("::1")) == ("0.0.0.0", "::", "::1")
    for host in ("fe80::1", "fe80::1%lo", "ff02::1", "localhost"):
        with pytest.raises(BadAddress):
            bindable(host)


@pytest.mark.parametrize(
    ("text", "host", "port", "is_name"),
    [
        ("192.0.2.7", "192.0.2.7", None, False),
        ("192.0.2.7:443", "192.0.2.7", 443, False),
        ("2001:db8::7", "2001:db8::7", None, False),
        ("[2001:db8::7]", "2001:db8::7", None, False),
        ("[2001:db8::7]:443", "2001:db8::7", 443, False),
        ("media.example.org", "media.example.org", None, True),
        ("media.example.org:443", "media.example.org", 443, True),
    ],
)
def test_advertised_addresses_are_read(text: str, host: str, port: int | None, is_name: bool) -> None:
    made = Advertised.parse(text)
    assert (made.host, made.port, made.is_name) == (host, port, is_name)


@pytest.mark.parametrize(
    "text",
    [
        *("", "192.0.2.7:", "192.0.2.7:0", "192.0.2.7:65536", "192.0.2.7:x", "192.0.2.7/24", "192.0.2"),
        *("[2001:db8::7", "[2001:db8::7]443", "fe80::1", "fe80::1%eth0", "::"),
        *("-a.example", "a b", "https://example.org", "x" * 300),
    ],
)
def test_advertised_addresses_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(BadAddress):
        Advertised.parse(text)
