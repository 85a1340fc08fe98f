"""ICE-lite (RFC 8445), STUN (RFC 8489) and consent (RFC 7675)."""

from __future__ import annotations

import pytest
from aioice import stun
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.media import ice
from signaling.media.ice import Credentials, IceLite
from signaling.media.stun import (
    MalformedStun,
    binding_error,
    binding_success,
    looks_like_request,
    parse_request,
    peek_username,
)

ONE, TWO, THREE = ("192.0.2.1", 1), ("192.0.2.2", 2), ("192.0.2.3", 3)


def request(username: str = "local:remote", **attributes: object) -> stun.Message:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes.update({"USERNAME": username, "PRIORITY": 1, **attributes})
    message.add_message_integrity(b"password")
    return message


def test_a_request_is_recognised_and_its_username_found_without_parsing() -> None:
    data = bytes(request("abcdefgh:remote"))
    assert looks_like_request(data)
    assert peek_username(data) == b"abcdefgh:remote"
    assert parse_request(data).check_message_integrity(b"password")
    assert not parse_request(data).check_message_integrity(b"another")


def test_responses_indications_and_other_protocols_are_no_requests() -> None:
    data = bytes(request())
    assert not looks_like_request(binding_success(request(), ONE, b"password"))
    assert not looks_like_request(b"\x00\x11" + data[2:])  # an indication
    assert not looks_like_request(b"\x00\x03" + data[2:])  # TURN Allocate
    assert not looks_like_request(data[:4] + bytes(4) + data[8:])  # no magic cookie
    assert not looks_like_request(data[:-4])  # a length that does not fit
    assert not looks_like_request(data + bytes(600))
    assert not looks_like_request(b"")


@settings(deadline=None)
@given(st.binary(max_size=120))
def test_a_request_with_any_body_is_parsed_or_malformed(body: bytes) -> None:
    data = b"\x00\x01" + len(body).to_bytes(2, "big") + stun.COOKIE.to_bytes(4, "big") + bytes(12) + body
    assert looks_like_request(data)
    peek_username(data)
    try:
        parse_request(data)
    except MalformedStun:
        pass


@settings(deadline=None)
@given(st.integers(0, 0xFFFF), st.binary(max_size=60), st.integers(0, 80))
def test_any_attribute_of_any_length(kind: int, value: bytes, length: int) -> None:
    body = kind.to_bytes(2, "big") + length.to_bytes(2, "big") + value
    body += bytes(-len(body) % 4)
    data = b"\x00\x01" + len(body).to_bytes(2, "big") + stun.COOKIE.to_bytes(4, "big") + bytes(12) + body
    peek_username(data)
    try:
        parse_request(data)
    except MalformedStun:
        pass


def test_a_wrong_fingerprint_is_malformed() -> None:
    data = bytearray(bytes(request()))
    data[-1] ^= 1
    with pytest.raises(MalformedStun):
        parse_request(bytes(data))


def test_the_success_response_says_where_the_request_came_from() -> None:
    asked = request()
    response = stun.parse_message(binding_success(asked, ("198.51.100.9", 4711), b"password"))
    assert response.message_class == stun.Class.RESPONSE
    assert response.transaction_id == asked.transaction_id
    assert response.attributes["XOR-MAPPED-ADDRESS"] == ("198.51.100.9", 4711)
    assert response.check_message_integrity(b"password")
    assert "FINGERPRINT" in response.attributes


def test_error_responses_are_signed_where_there_is_a_key() -> None:
    error = stun.parse_message(binding_error(request(), 487, "Role Conflict", b"password"))
    assert error.attributes["ERROR-CODE"] == (487, "Role Conflict")
    assert error.check_message_integrity(b"password")
    error = stun.parse_message(binding_error(request(), 401, "Unauthenticated"))
    assert "MESSAGE-INTEGRITY" not in error.attributes


def made() -> IceLite:
    return IceLite(Credentials("local", "l" * 24, "remote", "r" * 24), 0.0)


def test_credentials_are_long_enough_and_never_the_same() -> None:
    """RFC 8445 section 5.3: 24 bits of randomness in the fragment, 128 in the password."""
    several = [Credentials.for_remote("abcd", "p" * 22) for _ in range(50)]
    assert len({item.local_ufrag for item in several}) == len({item.local_pwd for item in several}) == 50
    assert all(len(item.local_ufrag) >= 4 and len(item.local_pwd) >= 22 for item in several)
    assert several[0].username == f"{several[0].local_ufrag}:abcd".encode()


def test_only_our_own_username_with_the_other_sides_is_a_generation() -> None:
    agent = made()
    assert agent.generation(b"local:remote") is agent.current
    assert agent.generation(b"local:other") is None
    assert agent.generation(b"local") is None


def test_the_first_checked_address_is_used_until_another_is_nominated() -> None:
    agent = made()
    agent.checked(agent.current, ONE, nominated=False, now=1.0)
    assert agent.selected == ONE
    agent.checked(agent.current, TWO, nominated=False, now=1.0)
    assert agent.selected == ONE
    agent.checked(agent.current, TWO, nominated=True, now=1.0)
    assert agent.selected == TWO


def test_a_restart_takes_over_with_its_first_nomination() -> None:
    """RFC 8445 section 9: media goes on over the selected pair until a new one is selected."""
    agent = made()
    old = agent.current
    agent.checked(old, ONE, nominated=True, now=1.0)
    agent.restart("next", "n" * 22)
    assert agent.selected == ONE
    assert agent.generation(b"local:remote") is old
    agent.checked(agent.current, TWO, nominated=False, now=2.0)
    assert agent.selected == ONE
    agent.checked(old, THREE, nominated=True, now=2.0)
    assert agent.selected == THREE
    agent.checked(agent.current, TWO, nominated=True, now=3.0)
    assert agent.selected == TWO
    assert agent.generation(b"local:remote") is None


def test_addresses_are_bounded_and_the_one_in_use_stays() -> None:
    agent = made()
    agent.checked(agent.current, ONE, nominated=True, now=1.0)
    forgotten = []
    for port in range(100):
        forgotten += agent.checked(agent.current, ("203.0.113.1", port), nominated=False, now=1.0)
    assert len(agent.addresses) == 8
    assert ONE in agent.addresses
    assert len(forgotten) == 93


def test_consent_ends_within_eight_seconds() -> None:
    agent = made()
    agent.checked(agent.current, ONE, nominated=True, now=100.0)
    assert agent.is_alive(100.0 + 6.0)  # RFC 7675 section 5.1: checks come every 4 to 6 s
    assert not agent.is_alive(100.0 + 8.0)
    assert ice.CONSENT <= 8


@pytest.mark.parametrize("address", [("192.0.2.7", 5004), ("127.0.0.1", 65535), ("2001:db8::7", 1), ("fe80::1%lo", 9)])
def test_a_success_is_what_aioice_writes_and_reads(address: tuple[str, int]) -> None:
    asked = request()
    expected = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, asked.transaction_id)
    expected.attributes["XOR-MAPPED-ADDRESS"] = (address[0].partition("%")[0], address[1])
    expected.add_message_integrity(b"secret")
    answer = binding_success(asked, address, b"secret")
    assert answer == bytes(expected)
    assert stun.parse_message(answer).check_message_integrity(b"secret")
