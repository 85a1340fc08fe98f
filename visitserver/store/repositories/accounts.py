"""Accounts, sessions, station devices and one-time codes in SQL."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, CursorResult, Delete, Select, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from visitserver.domain.accounts import (
    Account,
    AccountKind,
    CodePurpose,
    OneTimeCode,
    Session,
    StaffAccount,
    StationDevice,
)
from visitserver.domain.errors import Conflict
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.people import Staff
from visitserver.store.tables.accounts import accounts, one_time_codes, sessions, station_devices
from visitserver.store.tables.people import prisoners, staff


class SqlAccounts:
    """The port `Accounts` over one session of SQLAlchemy."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add_account(self, account: Account) -> None:
        try:
            async with self._session.begin_nested():
                self._session.add(account)
        except IntegrityError:
            raise Conflict("There is an account with this sign-in name.", code="login_taken") from None

    async def account(self, account_id: str, *, lock: bool = False) -> Account | None:
        return await self._one(_accounts(accounts.c.id == account_id, lock))

    async def account_by_login(self, kind: AccountKind, login: str, *, lock: bool = False) -> Account | None:
        return await self._one(_accounts((accounts.c.kind == kind) & (accounts.c.login == login), lock))

    async def account_of_prisoner(self, prisoner_id: str, *, lock: bool = False) -> Account | None:
        return await self._one(_accounts(accounts.c.prisoner_id == prisoner_id, lock))

    async def staff_accounts(self, prison_id: str, page: PageRequest) -> Page[StaffAccount]:
        query = (
            select(Account, Staff)
            .join_from(accounts, staff, staff.c.id == accounts.c.staff_id)
            .where((accounts.c.kind == AccountKind.STAFF) & (accounts.c.prison_id == prison_id))
            .order_by(accounts.c.login)
            .limit(page.limit + 1)
        )
        if page.cursor is not None:
            query = query.where(accounts.c.login > page.cursor)
        found = [StaffAccount(account, person) for account, person in await self._session.execute(query)]
        more = len(found) > page.limit
        return Page(found[: page.limit], found[page.limit - 1].account.login if more else None)

    async def locked_accounts(self, prison_id: str, page: PageRequest) -> Page[Account]:
        here = select(prisoners.c.id).where(prisoners.c.prison_id == prison_id)
        return await self._page(accounts.c.locked_at.is_not(None) & accounts.c.prisoner_id.in_(here), page)

    async def add_session(self, session: Session) -> None:
        self._session.add(session)

    async def session(self, token_hash: str) -> Session | None:
        return await self._session.get(Session, token_hash)

    async def touch_session(self, token_hash: str, seen_at: datetime) -> None:
        mine = (sessions.c.token_hash == token_hash) & (sessions.c.seen_at < seen_at)
        await self._session.execute(update(sessions).where(mine).values(seen_at=seen_at))

    async def delete_session(self, token_hash: str) -> None:
        await self._delete(delete(sessions).where(sessions.c.token_hash == token_hash))

    async def delete_sessions_of(self, account_id: str) -> int:
        return await self._delete(delete(sessions).where(sessions.c.account_id == account_id))

    async def delete_sessions_at(self, station_id: str) -> int:
        return await self._delete(delete(sessions).where(sessions.c.station_id == station_id))

    async def delete_expired_sessions(self, now: datetime, limit: int) -> int:
        old = select(sessions.c.token_hash).where(sessions.c.expires_at <= now).limit(limit)
        return await self._delete(delete(sessions).where(sessions.c.token_hash.in_(old)))

    async def add_device(self, device: StationDevice) -> None:
        self._session.add(device)
        await self._session.flush()

    async def device_by_token(self, token_hash: str) -> StationDevice | None:
        mine = (station_devices.c.token_hash == token_hash) & station_devices.c.revoked_at.is_(None)
        return (await self._session.scalars(select(StationDevice).where(mine))).one_or_none()

    async def live_device(self, station_id: str, *, lock: bool = False) -> StationDevice | None:
        mine = (station_devices.c.station_id == station_id) & station_devices.c.revoked_at.is_(None)
        query = select(StationDevice).where(mine)
        return (await self._session.scalars(query.with_for_update() if lock else query)).one_or_none()

    async def live_devices(self, prison_id: str) -> list[StationDevice]:
        mine = (station_devices.c.prison_id == prison_id) & station_devices.c.revoked_at.is_(None)
        return list(await self._session.scalars(select(StationDevice).where(mine)))

    async def add_code(self, code: OneTimeCode) -> None:
        self._session.add(code)

    async def code(self, code_hash: str, purpose: CodePurpose, *, lock: bool = False) -> OneTimeCode | None:
        mine = (one_time_codes.c.code_hash == code_hash) & (one_time_codes.c.purpose == purpose)
        query = select(OneTimeCode).where(mine)
        return (await self._session.scalars(query.with_for_update() if lock else query)).one_or_none()

    async def delete_codes_for(self, subject_id: str, purpose: CodePurpose) -> None:
        mine = (one_time_codes.c.subject_id == subject_id) & (one_time_codes.c.purpose == purpose)
        await self._delete(delete(one_time_codes).where(mine))

    async def _one(self, query: Select[Account]) -> Account | None:
        return (await self._session.scalars(query)).one_or_none()

    async def _page(self, condition: ColumnElement[bool], page: PageRequest) -> Page[Account]:
        query = select(Account).where(condition).order_by(accounts.c.login).limit(page.limit + 1)
        if page.cursor is not None:
            query = query.where(accounts.c.login > page.cursor)
        found = list(await self._session.scalars(query))
        more = len(found) > page.limit
        return Page(found[: page.limit], found[page.limit - 1].login if more else None)

    async def _delete(self, statement: Delete) -> int:
        result: CursorResult[Any] = await self._session.execute(statement)  # type: ignore[assignment]
        return result.rowcount


def _accounts(condition: ColumnElement[bool], lock: bool) -> Select[Account]:
    query = select(Account).where(condition)
    # populate_existing: a row that waited for the lock must be what it is now, not what was read before.
    return query.with_for_update().execution_options(populate_existing=True) if lock else query
