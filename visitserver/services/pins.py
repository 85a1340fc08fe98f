"""Prisoners' PINs: staff set them and unlock them; nobody can read them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from visitserver.domain.access import Role
from visitserver.domain.accounts import Account, AccountKind
from visitserver.domain.errors import NotFound
from visitserver.domain.paging import Page, PageRequest
from visitserver.services.accounts import normalise_login
from visitserver.services.passwords import check_pin

if TYPE_CHECKING:
    from visitserver.domain.actors import Actor
    from visitserver.domain.clock import Clock
    from visitserver.domain.people import Prisoner
    from visitserver.services.passwords import Passwords
    from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory


@dataclass(frozen=True, slots=True)
class LockedPin:
    """A prisoner whose PIN was locked after too many wrong tries."""

    account: Account
    prisoner: Prisoner


class PinService:
    """PINs of the prisoners at the actor's own prison; any other prisoner is "not found"."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        passwords: Passwords,
        new_id: Callable[[str], str],
    ) -> None:
        self._uow = uow
        self._clock = clock
        self._passwords = passwords
        self._new_id = new_id

    async def set_pin(self, actor: Actor, number: str, pin: str, request_id: str | None = None) -> None:
        """Give the prisoner with this number a new PIN (six digits); unlocks, and ends the sessions that there are.

        Raises Invalid (`pin_format`, `pin_weak`), NotFound.
        """
        check_pin(pin)
        hashed = await self._passwords.hash(pin)
        async with self._uow() as u:
            prisoner = await u.people.find_prisoner_by_number(normalise_login(AccountKind.PRISONER, number))
            if prisoner is None or prisoner.prison_id is None or prisoner.prison_id != actor.prison_id:
                raise NotFound("There is no prisoner with this number here.")
            account = await u.accounts.account_of_prisoner(prisoner.id, lock=True)
            if account is None:
                account = Account(
                    id=self._new_id("acc"),
                    kind=AccountKind.PRISONER,
                    login=normalise_login(AccountKind.PRISONER, prisoner.number),
                    secret_hash=hashed,
                    created_at=self._clock(),
                    roles=frozenset({Role.PRISONER}),
                    prisoner_id=prisoner.id,
                )
                await u.accounts.add_account(account)
            else:
                account.secret_hash = hashed
                _unlock(account)
                await u.accounts.delete_sessions_of(account.id)
            u.audit.append("pin.set", actor, account.id, {"prisoner": prisoner.id}, request_id)
            await u.commit()

    async def unlock(self, actor: Actor, account_id: str, request_id: str | None = None) -> None:
        """Let the prisoner try again with the same PIN. Raises NotFound."""
        async with self._uow() as u:
            account = await u.accounts.account(account_id, lock=True)
            prisoner = await _prisoner_here(u, actor, account)
            if account is None or prisoner is None:
                raise NotFound("There is no such account.")
            _unlock(account)
            u.audit.append("pin.unlocked", actor, account.id, {"prisoner": prisoner.id}, request_id)
            await u.commit()

    async def locked(self, actor: Actor, page: PageRequest) -> Page[LockedPin]:
        """Whose PIN is locked at the actor's prison."""
        async with self._uow(read_only=True) as u:
            found = await u.accounts.locked_accounts(actor.prison_id or "", page)
            items = []
            for account in found.items:
                prisoner = await _prisoner_here(u, actor, account)
                if prisoner is not None:
                    items.append(LockedPin(account, prisoner))
            return Page(items, found.next_cursor)


def _unlock(account: Account) -> None:
    account.locked_at = None
    account.failed_attempts = 0


async def _prisoner_here(u: UnitOfWork, actor: Actor, account: Account | None) -> Prisoner | None:
    if account is None or account.prisoner_id is None or actor.prison_id is None:
        return None
    prisoner = await u.people.get_prisoner(account.prisoner_id)
    return prisoner if prisoner.prison_id == actor.prison_id else None
