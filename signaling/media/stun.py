"""STUN binding requests and their answers (RFC 8489), by aioice's message format."""

from __future__ import annotations

import struct
from hmac import digest
from socket import AF_INET, AF_INET6, AddressFamily, inet_pton
from zlib import crc32

from aioice import stun

COOKIE = struct.pack("!I", stun.COOKIE)
MAX_REQUEST = 548  # RFC 8489 section 6.1: no message that must not be fragmented is longer
_BINDING_REQUEST = b"\x00\x01"
_BINDING_SUCCESS = 0x0101
_USERNAME = 0x0006
_XOR_MAPPED_ADDRESS = 0x0020
_IPV4, _IPV6 = 1, 2
_HEAD = struct.Struct("!HH")
_MAPPED = struct.Struct("!HHHH")
_INTEGRITY = b"\x00\x08\x00\x14"
_FINGERPRINT = struct.Struct("!HHI")
_MAX_USERNAME = 513  # bytes, RFC 8489 section 14.3


class MalformedStun(ValueError):
    """The bytes are not a STUN message that a binding agent could read."""


def looks_like_request(data: bytes) -> bool:
    """Whether `data` has the header of a binding request (RFC 8489 section 5)."""
    return (
        20 <= len(data) <= MAX_REQUEST
        and data[:2] == _BINDING_REQUEST
        and data[4:8] == COOKIE
        and (data[2] << 8 | data[3]) == len(data) - 20
    )


def peek_username(data: bytes) -> bytes | None:
    """The USERNAME of a message without parsing the rest; None if it has none that could be one of ours.

    This costs a stranger's datagram a microsecond and not the price of a HMAC.
    """
    position = 20
    size = len(data)
    while position + 4 <= size:
        kind = data[position] << 8 | data[position + 1]
        length = data[position + 2] << 8 | data[position + 3]
        if kind == _USERNAME:
            value = data[position + 4 : position + 4 + length]
            return value if len(value) == length <= _MAX_USERNAME else None
        position += 4 + (length + 3 & ~3)
    return None


def parse_request(data: bytes) -> stun.Message:
    """Parse a binding request; its FINGERPRINT is checked, its integrity is not. Raises MalformedStun."""
    try:
        message = stun.parse_message(data)
    except (ValueError, struct.error, IndexError, KeyError, OverflowError) as error:
        raise MalformedStun(str(error)) from error
    if message.message_method != stun.Method.BINDING or message.message_class != stun.Class.REQUEST:
        raise MalformedStun("not a binding request")
    return message


def binding_success(request: stun.Message, address: tuple[str, int], key: bytes) -> bytes:
    """The success response (RFC 8489 section 7.3.1): where the request came from, signed with `key`."""
    host, port = address
    identifier = COOKIE + request.transaction_id
    family, packed = (_IPV6, _pack(AF_INET6, host)) if ":" in host else (_IPV4, _pack(AF_INET, host))
    mapped = bytes(one ^ other for one, other in zip(packed, identifier, strict=False))
    attribute = _MAPPED.pack(_XOR_MAPPED_ADDRESS, 4 + len(mapped), family, port ^ stun.COOKIE >> 16) + mapped
    size = len(attribute) + 24  # as if MESSAGE-INTEGRITY were the last (section 14.5), and then FINGERPRINT (14.7)
    signature = digest(key, _HEAD.pack(_BINDING_SUCCESS, size) + identifier + attribute, "sha1")
    message = _HEAD.pack(_BINDING_SUCCESS, size + 8) + identifier + attribute + _INTEGRITY + signature
    return message + _FINGERPRINT.pack(0x8028, 4, crc32(message) ^ 0x5354554E)


def _pack(family: AddressFamily, host: str) -> bytes:
    return inet_pton(family, host.partition("%")[0])


def binding_error(request: stun.Message, code: int, reason: str, key: bytes | None = None) -> bytes:
    """An error response (RFC 8489 section 7.3.1.1), signed if there is a key that both sides know."""
    response = stun.Message(stun.Method.BINDING, stun.Class.ERROR, transaction_id=request.transaction_id)
    response.attributes["ERROR-CODE"] = (code, reason)
    if key is None:
        response.add_fingerprint()
    else:
        response.add_message_integrity(key)
    return bytes(response)
