"""Sessions: who is signed in, for how long, and how that ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from visitserver.domain.accounts import Account, AccountKind, Session, SessionLifetime
from visitserver.services.tokens import new_token, token_hash

if TYPE_CHECKING:
    from visitserver.domain.clock import Clock
    from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

AUDIENCE_OF: Final[Mapping[AccountKind, str]] = {
    AccountKind.FAMILY: "family",
    AccountKind.PRISONER: "terminal",
    AccountKind.STAFF: "staff",
}
_TOUCH_EVERY: Final = timedelta(seconds=60)
_SWEEP: Final = 1000


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who stands behind a session. `prison_id` is a prisoner's prison now, or a member of staff's."""

    account: Account
    session: Session
    name: str
    prison_id: str | None


class SessionService:
    """Makes, finds and ends sessions. `lifetimes` is by audience: family, terminal, staff."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, lifetimes: Mapping[str, SessionLifetime]) -> None:
        self._uow = uow
        self._clock = clock
        self._lifetimes = lifetimes

    async def begin(self, u: UnitOfWork, account: Account, station_id: str | None = None) -> str:
        """Add a session to the unit of work; the token for the cookie. Always a new one: nothing can be fixated."""
        now = self._clock()
        token = new_token()
        audience = AUDIENCE_OF[account.kind]
        await u.accounts.add_session(
            Session(
                token_hash=token_hash(token),
                audience=audience,
                account_id=account.id,
                created_at=now,
                seen_at=now,
                expires_at=now + self._lifetimes[audience].absolute,
                station_id=station_id,
            )
        )
        return token

    async def resolve(self, token: str, audience: str, station_id: str | None = None) -> SignedIn | None:
        """Who is signed in with `token`, or None.

        None also when the session is of another audience or too old, when the account is suspended or locked, and at a
        terminal when the browser is not (or no longer) the station at which the prisoner signed in, or the prisoner is
        no longer at that station's prison.
        """
        hashed = token_hash(token)
        now = self._clock()
        async with self._uow(read_only=True) as u:
            session = await u.accounts.session(hashed)
            if session is None or session.audience != audience:
                return None
            if not session.alive(now, self._lifetimes[audience].idle) or session.station_id != station_id:
                return None
            account = await u.accounts.account(session.account_id)
            if account is None or not account.usable:
                return None
            signed_in = await _describe(u, account, session)
        if signed_in is not None and now - session.seen_at >= _TOUCH_EVERY:
            async with self._uow() as u:
                await u.accounts.touch_session(hashed, now)
                await u.commit()
        return signed_in

    async def end(self, token: str) -> None:
        """Sign out. An unknown token is no error."""
        async with self._uow() as u:
            await u.accounts.delete_session(token_hash(token))
            await u.commit()

    async def sweep(self) -> int:
        """Remove sessions past their absolute end, at most 1,000 at a time; how many there were. For a timer."""
        async with self._uow() as u:
            removed = await u.accounts.delete_expired_sessions(self._clock(), _SWEEP)
            await u.commit()
        return removed


async def _describe(u: UnitOfWork, account: Account, session: Session) -> SignedIn | None:
    match account.kind:
        case AccountKind.FAMILY:
            contact = await u.people.get_contact(account.person_id)
            return SignedIn(account, session, contact.name, None)
        case AccountKind.STAFF:
            staff = await u.people.get_staff(account.person_id)
            if not staff.active:
                return None
            return SignedIn(account, session, staff.name, staff.prison_id)
        case AccountKind.PRISONER:
            prisoner = await u.people.get_prisoner(account.person_id)
            if prisoner.prison_id is None or session.station_id is None:
                return None
            station = await u.scheduling.get_station(session.station_id)
            if not station.active or station.prison_id != prisoner.prison_id:
                return None
            return SignedIn(account, session, prisoner.name, prisoner.prison_id)
