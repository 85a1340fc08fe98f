"""Identifiers: sortable by time, readable in a log, and for calls a statement of privilege."""

from __future__ import annotations

import base64
import os
import time


class CallId(str):
    """A call's identifier: an `OrdinaryCallId` or a `PrivilegedCallId`, never a bare `CallId`."""

    __slots__ = ()


class OrdinaryCallId(CallId):
    """A call that officers may watch and the recorder may record, given a warrant."""

    __slots__ = ()


class PrivilegedCallId(CallId):
    """A legal, consular or inspection call. Nothing accepts this type for a monitor or a recorder.

    Privilege is part of the identifier, so no later flag, forged ticket or restart can change it.
    """

    __slots__ = ()


ORDINARY_PREFIX = "call"
PRIVILEGED_PREFIX = "priv"
_BODY_LENGTH = 26
_BODY_ALPHABET = frozenset("abcdefghijklmnopqrstuvwxyz234567")


def new_id(prefix: str, *, now_ms: int | None = None) -> str:
    """A new identifier `<prefix>_<26 characters>`.

    The body is a lower-case base32 text of 128 bits: 48 bits of Unix milliseconds, then 80 random bits (the layout of
    RFC 9562 UUIDv7 without its version bits), so identifiers of one prefix sort by the time they were made.

    `prefix` is 2 to 8 lower-case letters; ValueError otherwise. `now_ms` replaces the system's clock in tests.
    """
    if not (2 <= len(prefix) <= 8 and prefix.isascii() and prefix.isalpha() and prefix.islower()):
        raise ValueError(f"not an identifier prefix: {prefix!r}")
    milliseconds = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    raw = milliseconds.to_bytes(6, "big") + os.urandom(10)
    # Base32's own alphabet puts 2-7 after z; the translation keeps text order equal to byte order.
    text = base64.b32hexencode(raw).decode("ascii").rstrip("=").lower()
    return f"{prefix}_{text.translate(_HEX32_TO_ORDERED)}"


_HEX32_TO_ORDERED = str.maketrans("0123456789abcdefghijklmnopqrstuv", "234567abcdefghijklmnopqrstuvwxyz")


def new_call_id(*, privileged: bool) -> CallId:
    """A new call identifier whose type and prefix say whether the call is privileged."""
    if privileged:
        return PrivilegedCallId(new_id(PRIVILEGED_PREFIX))
    return OrdinaryCallId(new_id(ORDINARY_PREFIX))


def parse_call_id(text: str) -> OrdinaryCallId | PrivilegedCallId:
    """The call identifier that `text` is; ValueError for anything else. The prefix alone decides the type."""
    prefix, _, body = text.partition("_")
    if len(body) == _BODY_LENGTH and _BODY_ALPHABET.issuperset(body):
        if prefix == ORDINARY_PREFIX:
            return OrdinaryCallId(text)
        if prefix == PRIVILEGED_PREFIX:
            return PrivilegedCallId(text)
    raise ValueError("not a call identifier")
