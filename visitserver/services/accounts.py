"""Accounts of families and staff: signing up, confirming an address, creating, suspending, giving roles."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from visitserver.domain.access import STAFF_ROLES, Role
from visitserver.domain.accounts import Account, AccountKind, AccountStatus, CodePurpose, OneTimeCode, StaffAccount
from visitserver.domain.errors import Conflict, Forbidden, Invalid, NotFound
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.people import Contact, Staff, age_on
from visitserver.services.passwords import check_password
from visitserver.services.tokens import new_code, new_token, token_hash

if TYPE_CHECKING:
    from visitserver.domain.actors import Actor
    from visitserver.domain.clock import Clock
    from visitserver.services.passwords import Passwords
    from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

CONFIRMATION_LASTS: Final = timedelta(hours=24)
MAIL_TOPIC: Final = "mail"
OLDEST: Final = 120


@dataclass(frozen=True, slots=True)
class SignUp:
    """What somebody fills in to get a family account. Names as in the document that they will show."""

    given_name: str
    family_name: str
    born_on: date
    email: str
    password: str
    language: str = "en"


@dataclass(frozen=True, slots=True)
class AccountRules:
    """`confirm_email`: new family accounts wait for the link in a mail. `public_url` starts that link."""

    confirm_email: bool
    minimum_age: int
    public_url: str | None


class Revoking(Protocol):
    """What it needs of services/revoking.py."""

    async def revoke(self, person_id: str) -> None: ...


class AccountService:
    """Family and staff accounts. `new_id(prefix)` makes identifiers."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        passwords: Passwords,
        new_id: Callable[[str], str],
        rules: AccountRules,
        revoking: Revoking | None = None,
    ) -> None:
        self._uow = uow
        self._clock = clock
        self._passwords = passwords
        self._new_id = new_id
        self.rules = rules
        self._revoking = revoking

    async def sign_up(self, actor: Actor, wish: SignUp, request_id: str | None = None) -> None:
        """Make a contact and their account. Raises Invalid for what the person can correct.

        When the address has an account already nothing is said here: its owner is told by mail. So the answer tells
        nobody who has an account.
        """
        today = self._clock().date()
        email = normalise_login(AccountKind.FAMILY, wish.email)
        check_password(wish.password, email)
        age = age_on(wish.born_on, today)
        if not 0 <= age <= OLDEST:
            raise Invalid("Please check the date of birth.", code="birth_date", field="birth_date")
        if age < self.rules.minimum_age:
            raise Invalid(
                f"You need to be {self.rules.minimum_age} or older to have an account. Children visit with an adult.",
                code="under_age",
                field="birth_date",
            )
        hashed = await self._passwords.hash(wish.password)
        async with self._uow() as u:
            existing = await u.accounts.account_by_login(AccountKind.FAMILY, email, lock=True)
            if existing is not None and existing.status is not AccountStatus.PENDING:
                await self._mail(u, "account.exists", existing, {}, request_id)
            elif existing is not None:
                await self._begin_again(u, actor, existing, wish, hashed, request_id)
            else:
                contact = Contact(
                    id=self._new_id("con"),
                    given_name=wish.given_name,
                    family_name=wish.family_name,
                    born_on=wish.born_on,
                    email=email,
                    language=wish.language,
                )
                u.people.add(contact)
                await u.flush()
                account = await self._add_family(u, contact.id, email, hashed, wish.language)
                u.audit.append("account.created", actor, account.id, {"contact": contact.id}, request_id)
                if account.status is AccountStatus.PENDING:
                    await self._ask_to_confirm(u, account, request_id)
            await u.commit()

    async def confirm_email(self, actor: Actor, token: str, password: str, request_id: str | None = None) -> None:
        """The person followed the link, and knows the password of the sign-up that it belongs to.

        Without the password the owner of an address would make an account good that somebody else began with it, and
        whose password somebody else knows. Raises Invalid: `code_invalid` for a wrong, used or old link,
        `password_wrong` for another password; then the link stays good.
        """
        async with self._uow(read_only=True) as u:
            account = (await self._confirming(u, token))[1]
            hashed = account.secret_hash
        right = await self._passwords.verify(password, hashed)
        async with self._uow() as u:
            code, account = await self._confirming(u, token, lock=True)
            if not right or account.secret_hash != hashed:
                raise Invalid(
                    "The e-mail address and the password do not fit together.", code="password_wrong", field="password"
                )
            code.used_at = self._clock()
            if account.status is AccountStatus.PENDING:
                account.status = AccountStatus.ACTIVE
                u.audit.append("account.confirmed", actor, account.id, {}, request_id)
            await u.commit()

    async def _confirming(self, u: UnitOfWork, token: str, *, lock: bool = False) -> tuple[OneTimeCode, Account]:
        code = await u.accounts.code(token_hash(token), CodePurpose.CONFIRM_EMAIL, lock=lock)
        account = None if code is None else await u.accounts.account(code.subject_id, lock=lock)
        if code is None or account is None or not code.good(self._clock()):
            raise Invalid("This link is used up or too old. Please sign up again.", code="code_invalid")
        return code, account

    async def _begin_again(
        self, u: UnitOfWork, actor: Actor, account: Account, wish: SignUp, hashed: str, request_id: str | None
    ) -> None:
        """A second sign-up with an address that nobody has confirmed: what the first one said counts no more."""
        contact = await u.people.get_contact(account.person_id)
        contact.given_name, contact.family_name = wish.given_name, wish.family_name
        contact.born_on, contact.language = wish.born_on, wish.language
        account.secret_hash, account.language = hashed, wish.language
        u.audit.append("account.begun_again", actor, account.id, {"contact": contact.id}, request_id)
        await self._ask_to_confirm(u, account, request_id)

    async def provision_family(self, actor: Actor, contact_id: str, email: str, password: str) -> Account:
        """An active account for a contact who exists already (import, demonstration). Raises NotFound, Conflict."""
        hashed = await self._passwords.hash(password)
        async with self._uow() as u:
            contact = await u.people.get_contact(contact_id)
            login = normalise_login(AccountKind.FAMILY, email)
            account = await self._add_family(u, contact.id, login, hashed, None, confirmed=True)
            u.audit.append("account.created", actor, account.id, {"contact": contact_id}, None)
            await u.commit()
            return account

    async def staff(self, actor: Actor, page: PageRequest) -> Page[StaffAccount]:
        """The staff accounts of the actor's prison, by sign-in name."""
        async with self._uow(read_only=True) as u:
            return await u.accounts.staff_accounts(_prison(actor), page)

    async def create_staff(
        self,
        actor: Actor,
        name: str,
        login: str,
        roles: frozenset[Role],
        password: str | None = None,
        request_id: str | None = None,
    ) -> tuple[Account, str]:
        """A new member of staff at the actor's prison; the account and its first password (made here when None).

        Raises Invalid (roles, password), Conflict (`login_taken`).
        """
        _check_roles(roles)
        login = normalise_login(AccountKind.STAFF, login)
        first = new_code() if password is None else password
        check_password(first, login)
        hashed = await self._passwords.hash(first)
        async with self._uow() as u:
            person = Staff(id=self._new_id("stf"), prison_id=_prison(actor), name=name)
            u.people.add(person)
            await u.flush()
            account = Account(
                id=self._new_id("acc"),
                kind=AccountKind.STAFF,
                login=login,
                secret_hash=hashed,
                created_at=self._clock(),
                roles=roles,
                staff_id=person.id,
                prison_id=person.prison_id,
            )
            await u.accounts.add_account(account)
            u.audit.append(
                "account.created", actor, account.id, {"staff": person.id, "roles": sorted(roles)}, request_id
            )
            await u.commit()
        return account, first

    async def set_suspended(
        self, actor: Actor, account_id: str, suspended: bool, request_id: str | None = None
    ) -> None:
        """Suspend a staff account or let it in again. Raises NotFound, Conflict.

        Its sessions end at once, and so do its watches of calls: a warrant is good for an hour otherwise.
        """
        async with self._uow() as u:
            account = await self._staff_account(u, actor, account_id)
            account.status = AccountStatus.SUSPENDED if suspended else AccountStatus.ACTIVE
            if suspended:
                await u.accounts.delete_sessions_of(account.id)
            action = "account.suspended" if suspended else "account.resumed"
            u.audit.append(action, actor, account.id, {}, request_id)
            await u.commit()
            person_id = account.person_id
        if suspended:
            await self._revoke(person_id)

    async def _revoke(self, person_id: str) -> None:
        """End what the person's warrants allow. What cannot be said now, services/revoking.py says again."""
        if self._revoking is not None:
            await self._revoking.revoke(person_id)

    async def set_roles(
        self, actor: Actor, account_id: str, roles: frozenset[Role], request_id: str | None = None
    ) -> None:
        """Give a staff account exactly these roles; it has to sign in again. Raises NotFound, Conflict, Invalid."""
        _check_roles(roles)
        async with self._uow() as u:
            account = await self._staff_account(u, actor, account_id)
            before = sorted(account.roles)
            account.roles = roles
            await u.accounts.delete_sessions_of(account.id)
            data = {"before": before, "after": sorted(roles)}
            u.audit.append("account.roles_changed", actor, account.id, data, request_id)
            await u.commit()
            person_id = account.person_id
        if set(before) - set(roles):
            await self._revoke(person_id)

    async def _staff_account(self, u: UnitOfWork, actor: Actor, account_id: str) -> Account:
        account = await u.accounts.account(account_id, lock=True)
        if account is None or account.kind is not AccountKind.STAFF or account.prison_id != _prison(actor):
            raise NotFound("There is no such account.")
        if account.staff_id == actor.id:
            raise Conflict("Somebody else has to change your own account.", code="own_account")
        return account

    async def _add_family(
        self,
        u: UnitOfWork,
        contact_id: str,
        login: str,
        hashed: str,
        language: str | None,
        *,
        confirmed: bool = False,
    ) -> Account:
        waits = self.rules.confirm_email and not confirmed
        account = Account(
            id=self._new_id("acc"),
            kind=AccountKind.FAMILY,
            login=login,
            secret_hash=hashed,
            created_at=self._clock(),
            roles=frozenset({Role.FAMILY}),
            status=AccountStatus.PENDING if waits else AccountStatus.ACTIVE,
            contact_id=contact_id,
            language=language,
        )
        await u.accounts.add_account(account)
        return account

    async def _ask_to_confirm(self, u: UnitOfWork, account: Account, request_id: str | None) -> None:
        token, now = new_token(), self._clock()
        await u.accounts.delete_codes_for(account.id, CodePurpose.CONFIRM_EMAIL)
        await u.accounts.add_code(
            OneTimeCode(
                code_hash=token_hash(token),
                purpose=CodePurpose.CONFIRM_EMAIL,
                subject_id=account.id,
                prison_id=None,
                created_by=account.id,
                created_at=now,
                expires_at=now + CONFIRMATION_LASTS,
            )
        )
        link = f"{self.rules.public_url or ''}/signup/confirm?token={token}"
        await self._mail(u, "account.confirm", account, {"link": link}, request_id)

    async def _mail(
        self, u: UnitOfWork, template: str, account: Account, values: dict[str, str], request_id: str | None
    ) -> None:
        payload = {"template": template, "to": account.login, "language": account.language or "en", "values": values}
        u.outbox.add(MAIL_TOPIC, payload, request_id=request_id)


def normalise_login(kind: AccountKind, login: str) -> str:
    """The form in which a sign-in name is kept and compared: NFKC, no spaces around, one letter case."""
    plain = unicodedata.normalize("NFKC", login).strip()[:254]
    return plain.upper() if kind is AccountKind.PRISONER else plain.lower()


def _check_roles(roles: frozenset[Role]) -> None:
    if not roles or not roles <= STAFF_ROLES:
        raise Invalid("Please choose at least one role of staff.", code="roles", field="roles")


def _prison(actor: Actor) -> str:
    if actor.prison_id is None:
        raise Forbidden("This is for the staff of a prison.")
    return actor.prison_id
