"""Signing in: families by e-mail and password, staff by name and password (and a second factor), prisoners by PIN.

Whatever was wrong (no such account, wrong secret, account locked or not confirmed), the answer is the same words after
the same work, so that nobody learns from it who has an account.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

import pyotp

from visitserver.domain.accounts import Account, AccountKind, AccountStatus
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.errors import DomainError, Forbidden
from visitserver.services.accounts import normalise_login

if TYPE_CHECKING:
    from visitserver.domain.accounts import StationDevice
    from visitserver.domain.clock import Clock
    from visitserver.services.passwords import Passwords
    from visitserver.services.ports.accounts import Sealer
    from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory
    from visitserver.services.sessions import SessionService

TOTP_STEP: Final = 30
"""Seconds per code (RFC 6238 section 4.1)."""


class SignInFailed(DomainError):
    """The name and the secret do not fit together; which of the two is never said."""

    default_code = "sign_in_failed"


class SecondFactorNeeded(DomainError):
    """The password was right, and this account also needs the code of its authenticator."""

    default_code = "second_factor_needed"


class AccountSuspended(Forbidden):
    """The secret was right, but the account is suspended. Said only to somebody who knows the secret."""

    default_code = "account_suspended"


_ACTOR_KINDS: Final = {
    AccountKind.FAMILY: ActorKind.FAMILY,
    AccountKind.PRISONER: ActorKind.PRISONER,
    AccountKind.STAFF: ActorKind.STAFF,
}


class SignInService:
    """Checks secrets and begins sessions. `pin_attempts` wrong PINs in a row lock a prisoner's account."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        passwords: Passwords,
        sessions: SessionService,
        sealer: Sealer,
        pin_attempts: int,
    ) -> None:
        self._uow = uow
        self._clock = clock
        self._passwords = passwords
        self._sessions = sessions
        self._sealer = sealer
        self._pin_attempts = pin_attempts

    async def family(self, email: str, password: str, request_id: str | None = None) -> str:
        """The token of a new session. Raises SignInFailed, AccountSuspended."""
        return await self._sign_in(AccountKind.FAMILY, email, password, request_id)

    async def staff(self, login: str, password: str, code: str | None = None, request_id: str | None = None) -> str:
        """The token of a new session. Raises SignInFailed, SecondFactorNeeded, AccountSuspended."""
        return await self._sign_in(AccountKind.STAFF, login, password, request_id, code=code)

    async def prisoner(self, device: StationDevice, number: str, pin: str, request_id: str | None = None) -> str:
        """The token of a new session at this station. Raises SignInFailed, AccountSuspended.

        A prisoner of another prison is told the same as one who does not exist.
        """
        return await self._sign_in(AccountKind.PRISONER, number, pin, request_id, device=device)

    async def _sign_in(
        self,
        kind: AccountKind,
        login: str,
        secret: str,
        request_id: str | None,
        *,
        code: str | None = None,
        device: StationDevice | None = None,
    ) -> str:
        async with self._uow(read_only=True) as u:
            found = await u.accounts.account_by_login(kind, normalise_login(kind, login))
            hashed = None if found is None else found.secret_hash
        # Outside of any transaction: it takes tens of milliseconds, and the database must not wait for it.
        right = await self._passwords.verify(secret, hashed)
        renewed = await self._passwords.hash(secret) if right and hashed and self._passwords.outdated(hashed) else None
        if found is None:
            raise SignInFailed("The name and the secret do not fit together.")
        async with self._uow() as u:
            # Read again under a lock: guesses that came side by side are judged one after the other, so that the lock
            # of a PIN cannot be outrun, and a suspension of this moment counts.
            account = await u.accounts.account(found.id, lock=True)
            failure = await self._judge(u, account, right and account is not None, hashed, code, device)
            if account is None:
                raise failure or SignInFailed("The name and the secret do not fit together.")
            actor = Actor(
                _ACTOR_KINDS[kind], account.person_id, account.prison_id if device is None else device.prison_id
            )
            if failure is not None:
                u.audit.append("session.refused", actor, account.id, {"code": failure.code}, request_id)
                await u.commit()
                raise failure
            account.failed_attempts = 0
            account.last_sign_in_at = self._clock()
            if renewed is not None:
                account.secret_hash = renewed
            station_id = None if device is None else device.station_id
            token = await self._sessions.begin(u, account, station_id)
            u.audit.append("session.began", actor, account.id, {"station": station_id}, request_id)
            await u.commit()
            return token

    async def _judge(
        self,
        u: UnitOfWork,
        account: Account | None,
        right: bool,
        hashed: str | None,
        code: str | None,
        device: StationDevice | None,
    ) -> DomainError | None:
        """What stands against this sign-in, if anything. Counts wrong secrets on the account."""
        failed = SignInFailed("The name and the secret do not fit together.")
        if account is None or account.secret_hash != hashed or account.locked_at is not None:
            return failed
        if account.kind is AccountKind.PRISONER:
            prisoner = await u.people.get_prisoner(account.person_id)
            # Before the secret is judged: nobody at another prison can lock this PIN, or learn whether one is right.
            if device is None or prisoner.prison_id != device.prison_id:
                return failed
        if not right:
            self._count_failure(account)
            return failed
        if account.status is AccountStatus.PENDING:
            return failed
        if account.status is AccountStatus.SUSPENDED:
            return AccountSuspended("This account is suspended. Please ask the prison.")
        if account.totp_sealed is not None:
            if not code:
                return SecondFactorNeeded("Please type the code of your authenticator as well.")
            if not self._second_factor(account, code):
                self._count_failure(account)
                return failed
        return None

    def _count_failure(self, account: Account) -> None:
        account.failed_attempts += 1
        # Only PINs are locked: they are short, and staff are near. Elsewhere a lock would let anybody shut out anybody.
        if account.kind is AccountKind.PRISONER and account.failed_attempts >= self._pin_attempts:
            account.locked_at = self._clock()

    def _second_factor(self, account: Account, code: str) -> bool:
        assert account.totp_sealed is not None  # noqa: S101 - asked by the caller
        totp = pyotp.TOTP(self._sealer.open(account.totp_sealed, f"totp:{account.id}").decode())
        step = matching_step(totp, code.replace(" ", ""), self._clock())
        if step is None or step <= account.totp_step:
            return False
        account.totp_step = step
        return True


def matching_step(totp: pyotp.TOTP, code: str, now: datetime) -> int | None:
    """The time step of `code` at `now`, one step early or late allowed (RFC 6238 section 5.2), or None."""
    current = int(now.timestamp()) // TOTP_STEP
    for step in (current, current - 1, current + 1):
        if pyotp.utils.strings_equal(totp.at(step * TOTP_STEP), code):
            return step
    return None
