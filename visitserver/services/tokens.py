"""Random secrets that browsers and people carry, and the hashes that the database keeps of them."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

# Crockford's base32: no I, L, O or U, so a code can be read aloud and typed.
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODE_LENGTH: Final = 12


def new_token() -> str:
    """256 random bits as URL-safe text: a session or a device."""
    return secrets.token_urlsafe(32)


def new_code() -> str:
    """60 random bits as three groups of four characters, for typing."""
    text = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_LENGTH))
    return "-".join(text[i : i + 4] for i in range(0, _CODE_LENGTH, 4))


def token_hash(token: str) -> str:
    """SHA-256 (lower-case hex). Enough for secrets that nobody can guess; passwords go through argon2."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def code_hash(code: str) -> str:
    """The hash of a typed code, however its letters, dashes and spaces were typed."""
    plain = code.upper().translate(str.maketrans("OIL", "011", "- "))
    return token_hash(plain)
