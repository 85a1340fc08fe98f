"""Machine clients: issuing and revoking their tokens, and finding out who shows one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from signaling.ids import new_id
from visitserver.domain.actors import Actor
from visitserver.domain.clients import ApiClient, check_actions
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Invalid
from visitserver.domain.paging import Page, PageRequest
from visitserver.services.access_checks import own_prison
from visitserver.services.ports.uow import UnitOfWorkFactory
from visitserver.services.tokens import new_token, token_hash

PREFIX: Final = "visit_"
"""Every token begins so, for programs that look for secrets in the wrong place."""
LONGEST: Final = timedelta(days=400)
_TOUCH_EVERY: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Issued:
    """A new client and its token, which nobody can read again."""

    client: ApiClient
    token: str


class ClientService:
    """`allowed` are the actions that a client can be given."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, allowed: Collection[str]) -> None:
        self._uow = uow
        self._clock = clock
        self.allowed = frozenset(allowed)

    async def issue(
        self,
        actor: Actor,
        name: str,
        actions: Collection[str],
        *,
        days: int = 365,
        prison_id: str | None = None,
        request_id: str | None = None,
    ) -> Issued:
        """A client of the actor's prison, for `days` days (1 to 400). The system says at which prison."""
        prison_id = prison_id if actor.is_system else actor.prison_id
        own_prison(actor, prison_id)
        name = name.strip()
        if not 1 <= len(name) <= 100:
            raise Invalid("Name the client: 1 to 100 characters.", code="length", field="name")
        if not timedelta(days=1) <= timedelta(days=days) <= LONGEST:
            raise Invalid(f"A token lasts 1 to {LONGEST.days} days.", field="days")
        wanted = check_actions(actions, self.allowed)
        token, now = PREFIX + new_token(), self._clock()
        async with self._uow() as u:
            prison = await u.people.get_prison(prison_id or "")
            client = ApiClient(
                id=new_id("cli"),
                prison_id=prison.id,
                name=name,
                token_hash=token_hash(token),
                actions=wanted,
                created_at=now,
                created_by=actor.reference,
                expires_at=now + timedelta(days=days),
            )
            u.clients.add(client)
            data = {"actions": sorted(wanted), "expires_at": client.expires_at.isoformat()}
            u.audit.append("client.issue", actor, client.id, data, request_id, prison_id=prison.id)
            await u.commit()
        return Issued(client, token)

    async def revoke(self, actor: Actor, client_id: str, *, request_id: str | None = None) -> ApiClient:
        """Make its token worth nothing, from the next request on. Conflict when it is that already."""
        async with self._uow() as u:
            client = await u.clients.get_client(client_id, lock=True)
            own_prison(actor, client.prison_id)
            client.revoke(by=actor.reference, at=self._clock())
            u.audit.append("client.revoke", actor, client.id, None, request_id, prison_id=client.prison_id)
            await u.commit()
            return client

    async def list(self, actor: Actor, page: PageRequest) -> Page[ApiClient]:
        """The clients of the actor's prison, newest first."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            return await u.clients.clients(actor.prison_id or "", page)

    async def resolve(self, token: str) -> ApiClient | None:
        """Whose token it is; None for one that is unknown, too old or revoked."""
        if not token.startswith(PREFIX):
            return None
        now = self._clock()
        async with self._uow(read_only=True) as u:
            client = await u.clients.find_client_by_token(token_hash(token))
        if client is None or not client.good(now):
            return None
        if client.last_used_at is None or now - client.last_used_at >= _TOUCH_EVERY:
            async with self._uow() as u:
                await u.clients.touch(client.id, now)
                await u.commit()
        return client
