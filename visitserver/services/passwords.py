"""Passwords and PINs: argon2id, in a thread, at most a few at once."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from typing import Final

import argon2
from argon2.exceptions import Argon2Error, InvalidHashError

from visitserver.domain.errors import Invalid

MIN_PASSWORD: Final = 12
MAX_PASSWORD: Final = 128
PIN_LENGTH: Final = 6
_AT_ONCE: Final = 4

# The first choice of nobody who wants to keep something. Longer lists belong into a file; this stops the worst.
_COMMON: Final = frozenset(
    {
        *("123456789012", "1234567890123", "123456789123", "012345678901", "098765432109", "abcdefghijkl"),
        *("qwertyuiopas", "qwertyuiop12", "qwerty123456", "1q2w3e4r5t6y", "1qaz2wsx3edc", "q1w2e3r4t5y6"),
        *("password1234", "password12345", "passwordpassword", "letmein12345", "welcome12345", "welcome123456"),
        *("iloveyou1234", "football1234", "princess1234", "sunshine1234", "administrator", "changeme1234"),
    }
)


class Passwords:
    """Hashes and checks secrets. The parameters are OWASP's for argon2id (19 MiB, 2 passes, 1 lane)."""

    def __init__(self, *, time_cost: int = 2, memory_kib: int = 19 * 1024) -> None:
        self._hasher = argon2.PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=1)
        self._nobody = self._hasher.hash(secrets.token_urlsafe(16))
        self._limit = asyncio.Semaphore(_AT_ONCE)

    async def hash(self, secret: str) -> str:
        """The encoded hash to keep."""
        async with self._limit:
            return await asyncio.to_thread(self._hasher.hash, secret)

    async def verify(self, secret: str, hashed: str | None) -> bool:
        """Whether `secret` is the one. Without a hash (no such account) it takes the same time and says no."""
        async with self._limit:
            right = await asyncio.to_thread(self._verify, secret, self._nobody if hashed is None else hashed)
        return right and hashed is not None

    def outdated(self, hashed: str) -> bool:
        """Whether it was made with other parameters than today's, so that it should be made again."""
        return self._hasher.check_needs_rehash(hashed)

    def _verify(self, secret: str, hashed: str) -> bool:
        try:
            return self._hasher.verify(hashed, secret)
        except (Argon2Error, InvalidHashError):
            return False


def check_password(password: str, login: str) -> None:
    """Invalid when a new password is too short, too long, the login itself, or one that everybody tries first."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise Invalid(
            f"Please use {MIN_PASSWORD} to {MAX_PASSWORD} characters for the password.",
            code="password_length",
            field="password",
        )
    plain = password.casefold()
    if plain in _COMMON or len(set(plain)) < 4 or plain in (login.casefold(), login.casefold().partition("@")[0]):
        raise Invalid("This password is too easy to guess.", code="password_weak", field="password")


def check_pin(pin: str) -> None:
    """Invalid unless `pin` is six digits that are neither all alike nor simply counted up or down."""
    if len(pin) != PIN_LENGTH or not (pin.isascii() and pin.isdigit()):
        raise Invalid(f"A PIN has {PIN_LENGTH} digits.", code="pin_format", field="pin")
    steps = {int(b) - int(a) for a, b in itertools.pairwise(pin)}
    if steps in ({0}, {1}, {-1}):
        raise Invalid("This PIN is too easy to guess.", code="pin_weak", field="pin")
