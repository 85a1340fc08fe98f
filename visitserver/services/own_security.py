"""What members of staff do about their own sign-in: a new password, a second factor (RFC 6238)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyotp

from visitserver.domain.errors import Invalid, NotFound
from visitserver.services.passwords import check_password
from visitserver.services.signin import matching_step

if TYPE_CHECKING:
    from visitserver.domain.accounts import Account
    from visitserver.domain.actors import Actor
    from visitserver.domain.clock import Clock
    from visitserver.services.passwords import Passwords
    from visitserver.services.ports.accounts import Sealer
    from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

ISSUER: Final = "Visit"


@dataclass(frozen=True, slots=True)
class SecondFactorOffer:
    """A secret that is not in force yet: for typing into an authenticator, and as an otpauth:// address."""

    secret: str
    uri: str


class OwnSecurityService:
    """Every method asks for the account's password again: an unlocked screen is not enough."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        passwords: Passwords,
        sealer: Sealer,
    ) -> None:
        self._uow = uow
        self._clock = clock
        self._passwords = passwords
        self._sealer = sealer

    async def offer(self, account_id: str) -> SecondFactorOffer:
        """A new random secret for this account. Nothing is kept until `turn_on` proves that it was taken over."""
        async with self._uow(read_only=True) as u:
            account = await _own(u, account_id)
            secret = pyotp.random_base32()
            return SecondFactorOffer(
                secret, pyotp.TOTP(secret).provisioning_uri(name=account.login, issuer_name=ISSUER)
            )

    async def turn_on(
        self, actor: Actor, account_id: str, password: str, secret: str, code: str, request_id: str | None = None
    ) -> None:
        """Ask for a code at every sign-in from now on. Raises Invalid (`password_wrong`, `code_wrong`)."""
        await self._check(account_id, password)
        try:
            step = matching_step(pyotp.TOTP(secret), code.replace(" ", ""), self._clock())
        except ValueError:
            step = None
        if step is None or len(secret) < 32:
            raise Invalid("This code does not fit.", code="code_wrong", field="code")
        async with self._uow() as u:
            account = await _own(u, account_id)
            account.totp_sealed = self._sealer.seal(secret.encode(), f"totp:{account.id}")
            account.totp_step = step
            u.audit.append("account.second_factor_on", actor, account.id, {}, request_id)
            await u.commit()

    async def change_password(
        self, actor: Actor, account_id: str, password: str, new_password: str, request_id: str | None = None
    ) -> None:
        """Set a new password; every session of the account ends. Raises Invalid."""
        account = await self._check(account_id, password)
        check_password(new_password, account.login)
        hashed = await self._passwords.hash(new_password)
        async with self._uow() as u:
            account = await _own(u, account_id)
            account.secret_hash = hashed
            await u.accounts.delete_sessions_of(account.id)
            u.audit.append("account.password_changed", actor, account.id, {}, request_id)
            await u.commit()

    async def _check(self, account_id: str, password: str) -> Account:
        async with self._uow(read_only=True) as u:
            account = await _own(u, account_id)
        if not await self._passwords.verify(password, account.secret_hash):
            raise Invalid("This is not your password.", code="password_wrong", field="password")
        return account


async def _own(u: UnitOfWork, account_id: str) -> Account:
    account = await u.accounts.account(account_id, lock=True)
    if account is None:
        raise NotFound("There is no such account.")
    return account
