"""What the services of accounts and sign-in need from the store, and from whoever keeps keys."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from visitserver.domain.accounts import (
    Account,
    AccountKind,
    CodePurpose,
    OneTimeCode,
    Session,
    StaffAccount,
    StationDevice,
)
from visitserver.domain.paging import Page, PageRequest


class Accounts(Protocol):
    """Accounts, sessions, devices and codes. Entities that were read are written back by the unit of work's commit."""

    async def add_account(self, account: Account) -> None:
        """Conflict (code `login_taken`) when the kind has this login already."""
        ...

    async def account(self, account_id: str, *, lock: bool = False) -> Account | None:
        """`lock` keeps other transactions from changing it until this one ends."""
        ...

    async def account_by_login(self, kind: AccountKind, login: str, *, lock: bool = False) -> Account | None:
        """By its normalised login."""
        ...

    async def account_of_prisoner(self, prisoner_id: str, *, lock: bool = False) -> Account | None:
        """The account through which this prisoner signs in."""
        ...

    async def staff_accounts(self, prison_id: str, page: PageRequest) -> Page[StaffAccount]:
        """The staff accounts of one prison, by login."""
        ...

    async def locked_accounts(self, prison_id: str, page: PageRequest) -> Page[Account]:
        """The locked accounts of the prisoners who are in this prison now, by login."""
        ...

    async def add_session(self, session: Session) -> None: ...

    async def session(self, token_hash: str) -> Session | None: ...

    async def touch_session(self, token_hash: str, seen_at: datetime) -> None:
        """Note that it was used; never turns the time back."""
        ...

    async def delete_session(self, token_hash: str) -> None: ...

    async def delete_sessions_of(self, account_id: str) -> int:
        """End every session of an account; how many there were."""
        ...

    async def delete_sessions_at(self, station_id: str) -> int:
        """End every session at a station; how many there were."""
        ...

    async def delete_expired_sessions(self, now: datetime, limit: int) -> int:
        """Remove at most `limit` sessions past their absolute end; how many there were."""
        ...

    async def add_device(self, device: StationDevice) -> None: ...

    async def device_by_token(self, token_hash: str) -> StationDevice | None:
        """A device that was not revoked."""
        ...

    async def live_device(self, station_id: str, *, lock: bool = False) -> StationDevice | None:
        """The one device of a station that was not revoked."""
        ...

    async def live_devices(self, prison_id: str) -> list[StationDevice]:
        """The devices of one prison that were not revoked (one per station at most)."""
        ...

    async def add_code(self, code: OneTimeCode) -> None: ...

    async def code(self, code_hash: str, purpose: CodePurpose, *, lock: bool = False) -> OneTimeCode | None: ...

    async def delete_codes_for(self, subject_id: str, purpose: CodePurpose) -> None:
        """A new code makes the older ones of the same subject void."""
        ...


class Sealer(Protocol):
    """Encrypts small secrets for the database. `context` is bound to the result: it opens with the same one only."""

    def seal(self, plain: bytes, context: str) -> bytes: ...

    def open(self, sealed: bytes, context: str) -> bytes:
        """Raises ValueError when it was changed, or belongs to another context."""
        ...
