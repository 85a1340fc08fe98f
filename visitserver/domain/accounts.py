"""How people sign in: accounts, sessions, terminals' devices, one-time codes. Secrets are kept as hashes only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from visitserver.domain.access import Role
from visitserver.domain.people import Staff


class AccountKind(StrEnum):
    """Whose account it is; it decides which sign-in page takes it."""

    FAMILY = "family"
    PRISONER = "prisoner"
    STAFF = "staff"


class AccountStatus(StrEnum):
    """PENDING: the e-mail address was not confirmed yet. Only ACTIVE accounts can sign in or keep a session."""

    PENDING = "pending"
    ACTIVE = "active"
    SUSPENDED = "suspended"


@dataclass(eq=False)
class Account:
    """A way to sign in.

    `login` is unique per kind: a lower-case e-mail address (family), the prisoner's number, a user name (staff).
    `secret_hash` is the argon2id hash of a password or PIN. Exactly one of `contact_id`, `prisoner_id`, `staff_id` is
    set. `prison_id` is set for staff alone: a prisoner's prison is where the prisoner is now.
    `locked_at` is set for a prisoner after too many wrong PINs. `totp_sealed` is the encrypted second-factor secret,
    `totp_step` the last time step (RFC 6238) that was used, so that no code works twice.
    """

    id: str
    kind: AccountKind
    login: str
    secret_hash: str
    created_at: datetime
    roles: frozenset[Role]
    status: AccountStatus = AccountStatus.ACTIVE
    contact_id: str | None = None
    prisoner_id: str | None = None
    staff_id: str | None = None
    prison_id: str | None = None
    failed_attempts: int = 0
    locked_at: datetime | None = None
    totp_sealed: bytes | None = None
    totp_step: int = 0
    last_sign_in_at: datetime | None = None
    language: str | None = None

    @property
    def person_id(self) -> str:
        """The id of the contact, prisoner or member of staff whose account this is."""
        person = self.contact_id or self.prisoner_id or self.staff_id
        if person is None:
            raise ValueError("an account of nobody")
        return person

    @property
    def usable(self) -> bool:
        """Whether a session of this account counts."""
        return self.status is AccountStatus.ACTIVE and self.locked_at is None


@dataclass(frozen=True, slots=True)
class StaffAccount:
    """A member of staff together with how they sign in."""

    account: Account
    staff: Staff


@dataclass(frozen=True, slots=True)
class SessionLifetime:
    """`idle`: without a request; `absolute`: since the sign-in."""

    idle: timedelta
    absolute: timedelta


@dataclass(eq=False)
class Session:
    """A signed-in browser. The token itself is nowhere but in the browser's cookie."""

    token_hash: str
    audience: str
    account_id: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    station_id: str | None = None

    def alive(self, now: datetime, idle: timedelta) -> bool:
        """Whether it is neither too old nor unused for too long at `now`."""
        return now < self.expires_at and now - self.seen_at < idle


@dataclass(eq=False)
class StationDevice:
    """A terminal's browser, bound to a station by a one-time code. One live device per station."""

    id: str
    token_hash: str
    station_id: str
    prison_id: str
    enrolled_at: datetime
    revoked_at: datetime | None = None


class CodePurpose(StrEnum):
    """What a one-time code is for; a code of one purpose is worth nothing for another."""

    ENROL_STATION = "enrol_station"
    CONFIRM_EMAIL = "confirm_email"


@dataclass(eq=False)
class OneTimeCode:
    """A code that works once, until `expires_at`. `subject_id` is the station or the account it is for."""

    code_hash: str
    purpose: CodePurpose
    subject_id: str
    prison_id: str | None
    created_by: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None

    def good(self, now: datetime) -> bool:
        """Whether it can still be used at `now`."""
        return self.used_at is None and now < self.expires_at
