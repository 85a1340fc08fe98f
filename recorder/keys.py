"""Keys: a data key per recording, wrapped by a key-encryption key (KEK) that never lies next to the recordings.

The port is `KeyRing`, so that a key management service or an HSM can stand behind it. `LocalKeyRing` holds the KEKs
of a file or of the environment: one line per key, `<key id> <32 bytes in base64>`, the current one first; older ones
stay for reading.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from recorder.errors import KeyUnavailable

KEY_BYTES = 32  # AES-256
NONCE_BYTES = 12
ENVIRONMENT = "VISIT_RECORDING_KEK"
_KEY_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key under a KEK. `algorithm` says how; `nonce` and `ciphertext` are its result."""

    kek_id: str
    algorithm: str
    nonce: bytes
    ciphertext: bytes

    def to_json(self) -> dict[str, str]:
        """As it stands in a signed document."""
        return {
            "algorithm": self.algorithm,
            "ciphertext": self.ciphertext.hex(),
            "kek_id": self.kek_id,
            "nonce": self.nonce.hex(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> WrappedKey:
        """The inverse of `to_json`. KeyUnavailable for anything else."""
        try:
            return cls(
                str(value["kek_id"]),
                str(value["algorithm"]),
                bytes.fromhex(value["nonce"]),
                bytes.fromhex(value["ciphertext"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise KeyUnavailable("not a wrapped key") from error


class KeyRing(Protocol):
    """Wraps and unwraps data keys.

    `context` (the recording's identifier) is bound to the result: another one does not open it.
    """

    def wrap(self, data_key: bytes, context: str) -> WrappedKey:
        """`data_key` (32 bytes) under the current KEK."""
        ...

    def unwrap(self, wrapped: WrappedKey, context: str) -> bytes:
        """The data key.

        KeyUnavailable if the KEK is not here, or the wrapped key or context is not what was wrapped.
        """
        ...


class LocalKeyRing:
    """KEKs in this process's memory; AES-256-GCM with the context as associated data."""

    ALGORITHM = "A256GCM"

    def __init__(self, keys: Mapping[str, bytes], current: str) -> None:
        if current not in keys:
            raise ValueError("the current key is not in the ring")
        for key_id, key in keys.items():
            if not _KEY_ID.fullmatch(key_id) or len(key) != KEY_BYTES:
                raise ValueError("a key-encryption key has an identifier and 32 bytes")
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._current = current

    @classmethod
    def from_text(cls, text: str) -> LocalKeyRing:
        """The ring of lines `<key id> <base64>`; empty lines and those that start with # do not count.

        ValueError otherwise.
        """
        keys: dict[str, bytes] = {}
        for line in text.replace(",", "\n").splitlines():
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if len(words) != 2 or words[0] in keys:
                raise ValueError("a line of the key file is not `<key id> <base64>`, or names a key twice")
            try:
                keys[words[0]] = base64.b64decode(words[1], validate=True)
            except binascii.Error as error:
                raise ValueError("a key of the key file is not base64") from error
        if not keys:
            raise ValueError("no key-encryption key")
        return cls(keys, next(iter(keys)))

    @classmethod
    def from_file(cls, path: Path) -> LocalKeyRing:
        """The ring in the file at `path`. ValueError if others than its owner may read it."""
        if path.stat().st_mode & 0o077:
            raise ValueError("the key file must be readable by its owner alone (mode 0600)")
        return cls.from_text(path.read_text("ascii"))

    @classmethod
    def from_environment(cls, name: str = ENVIRONMENT) -> LocalKeyRing:
        """The ring in an environment variable, lines apart by commas. ValueError if it is not set."""
        text = os.environ.get(name)
        if text is None:
            raise ValueError(f"{name} is not set")
        return cls.from_text(text)

    def wrap(self, data_key: bytes, context: str) -> WrappedKey:
        """See KeyRing."""
        if len(data_key) != KEY_BYTES:
            raise ValueError("a data key has 32 bytes")
        nonce = os.urandom(NONCE_BYTES)
        ciphertext = self._keys[self._current].encrypt(nonce, data_key, context.encode())
        return WrappedKey(self._current, self.ALGORITHM, nonce, ciphertext)

    def unwrap(self, wrapped: WrappedKey, context: str) -> bytes:
        """See KeyRing."""
        key = self._keys.get(wrapped.kek_id)
        if key is None or wrapped.algorithm != self.ALGORITHM:
            raise KeyUnavailable("the key-encryption key is not in the ring")
        try:
            data_key = key.decrypt(wrapped.nonce, wrapped.ciphertext, context.encode())
        except (InvalidTag, ValueError) as error:
            raise KeyUnavailable("the wrapped key was altered, or belongs to another recording") from error
        return data_key


def new_key_line(key_id: str) -> str:
    """A new line for a key file: `key_id` and 32 random bytes."""
    if not _KEY_ID.fullmatch(key_id):
        raise ValueError("not a key identifier")
    return f"{key_id} {base64.b64encode(os.urandom(KEY_BYTES)).decode()}"


def load_signing_key(pem: bytes) -> Ed25519PrivateKey:
    """The Ed25519 private key in unencrypted PKCS #8 PEM. ValueError for anything else."""
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("recordings are signed with an Ed25519 key")
    return key


def load_public_key(pem: bytes) -> Ed25519PublicKey:
    """The Ed25519 public key in PEM (RFC 8410). ValueError for anything else."""
    key = load_pem_public_key(pem)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("recordings are signed with an Ed25519 key")
    return key
