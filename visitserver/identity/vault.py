"""A key for each person: AES-256-GCM throughout (NIST SP 800-38D), 96-bit random nonces.

The master key wraps the person's key, bound to the person's id. The person's key seals items, each bound to the person
and to a context (which item it is, and for a template which model made it). So an item moved to another person, or a
template passed off as another model's, does not open; and who deletes the wrapped key has erased everything.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_VERSION: Final = b"\x01"


class PersonVault:
    """The port services/ports/identity.py `Vault` over one master key of 32 bytes (ValueError for another length)."""

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != _KEY_BYTES:
            raise ValueError("the master key has 32 bytes")
        self._master = AESGCM(master_key)

    def new_key(self, contact_id: str) -> bytes:
        """A new random key for the person, wrapped: version, nonce, ciphertext and tag."""
        return _encrypt(self._master, os.urandom(_KEY_BYTES), _bound("key", contact_id))

    def seal(self, contact_id: str, wrapped: bytes, plain: bytes, context: str) -> bytes:
        """`plain` as version, nonce, ciphertext and tag. Raises ValueError when `wrapped` is not this person's key."""
        return _encrypt(self._person(contact_id, wrapped), plain, _bound("item", contact_id, context))

    def open(self, contact_id: str, wrapped: bytes, sealed: bytes, context: str) -> bytes:
        """What was sealed. Raises ValueError when anything about it is not as it was."""
        return _decrypt(self._person(contact_id, wrapped), sealed, _bound("item", contact_id, context))

    def _person(self, contact_id: str, wrapped: bytes) -> AESGCM:
        return AESGCM(_decrypt(self._master, wrapped, _bound("key", contact_id)))


def _bound(*parts: str) -> bytes:
    """Associated data that two different lists of parts never share: each part with its length before it."""
    encoded = [part.encode() for part in ("visit-identity", *parts)]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def _encrypt(cipher: AESGCM, plain: bytes, associated: bytes) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return _VERSION + nonce + cipher.encrypt(nonce, plain, associated)


def _decrypt(cipher: AESGCM, sealed: bytes, associated: bytes) -> bytes:
    if sealed[:1] != _VERSION:
        raise ValueError("not sealed by this vault")
    try:
        return cipher.decrypt(sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :], associated)
    except InvalidTag:
        raise ValueError("does not open with this key and context") from None
