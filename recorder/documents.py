"""Signed JSON documents: opening, manifest, wrapped key, legal hold and tombstone of a recording.

A document's file is canonical JSON of `{"body", "signature", "signer", "type"}`. Canonical means: keys sorted, no
white space, UTF-8, and no numbers but integers, which is RFC 8785 for such values. The Ed25519 signature (RFC 8032)
is over a prefix that names the type and the canonical body, so that no document can be taken for one of another type.
Hexadecimal is lower-case, everywhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from recorder.errors import RecordingDamaged

Body = Mapping[str, Any]

OPENING = "visit-recording-opening"
MANIFEST = "visit-recording-manifest"
WRAPPED_KEY = "visit-recording-key"
LEGAL_HOLD = "visit-recording-hold"
TOMBSTONE = "visit-recording-tombstone"
WRITER = "visit-recording-writer"

_SIGNATURE = re.compile(r"[0-9a-f]{128}")


def canonical(value: Any) -> bytes:
    """Canonical JSON of `value`. TypeError for floats: they have no single text."""
    _refuse_floats(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of the raw public key, hexadecimal."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def signed_bytes(kind: str, body: Body) -> bytes:
    """The bytes that a document's signature covers."""
    return kind.encode("ascii") + b"\0" + canonical(body)


def sign_document(kind: str, body: Body, key: Ed25519PrivateKey) -> bytes:
    """The file of a document of type `kind` with this body."""
    signature = key.sign(signed_bytes(kind, body)).hex()
    envelope = {"body": body, "signature": signature, "signer": fingerprint(key.public_key()), "type": kind}
    return canonical(envelope)


def read_document(data: bytes, kind: str, key: Ed25519PublicKey | None) -> dict[str, Any]:
    """The body of the document in `data`; with `key`, its signature is checked.

    RecordingDamaged if anything is not as it was written.
    """
    try:
        envelope = json.loads(data)
        body = envelope["body"]
        if canonical(envelope) != data or envelope["type"] != kind or not isinstance(body, dict):
            raise RecordingDamaged(f"not a {kind} document")
        if key is not None:
            if not _SIGNATURE.fullmatch(envelope["signature"]) or envelope["signer"] != fingerprint(key):
                raise RecordingDamaged(f"the {kind} document is not signed with this key")
            key.verify(bytes.fromhex(envelope["signature"]), signed_bytes(kind, body))
    except InvalidSignature as error:
        raise RecordingDamaged(f"the {kind} document's signature is not good") from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise RecordingDamaged(f"not a {kind} document") from error
    return body


def _refuse_floats(value: Any) -> None:
    if isinstance(value, float):
        raise TypeError("a signed document has no floats")
    if isinstance(value, Mapping):
        for item in value.values():
            _refuse_floats(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_floats(item)
