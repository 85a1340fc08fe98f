"""Webhooks: which other programs of a prison are told what. Administrators set them up; the outbox does the telling."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Invalid
from visitserver.domain.webhooks import (
    SECRET_BYTES,
    TEST_EVENT,
    TOPIC,
    WebhookEndpoint,
    check_events,
    check_url,
    sealing_context,
    told_secret,
)
from visitserver.services.access_checks import own_prison
from visitserver.services.ports.accounts import Sealer
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

MOST: int = 20
"""Endpoints of one prison."""


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """An endpoint just made, with the secret that is shown this once."""

    endpoint: WebhookEndpoint
    secret: str


class WebhookService:
    """Everything is of the actor's own prison; what is not is NotFound."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        sealer: Sealer,
        new_id: Callable[[str], str],
        *,
        insecure_allowed: bool = False,
    ) -> None:
        self._uow = uow
        self._clock = clock
        self._sealer = sealer
        self._new_id = new_id
        self._insecure_allowed = insecure_allowed

    async def list(self, actor: Actor) -> Sequence[WebhookEndpoint]:
        """Those that are not removed, oldest first; at most MOST."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            return await u.webhooks.endpoints(actor.prison_id or "")

    async def add(
        self,
        actor: Actor,
        url: str,
        events: frozenset[str],
        *,
        description: str = "",
        request_id: str | None = None,
    ) -> NewEndpoint:
        """A new endpoint; its secret is told now and never again. Invalid for an address or event that cannot be."""
        own_prison(actor, actor.prison_id)
        url = check_url(url, insecure_allowed=self._insecure_allowed)
        check_events(events)
        if len(description) > 200:
            raise Invalid("Write at most 200 characters.", code="too_long", field="description")
        key = os.urandom(SECRET_BYTES)
        endpoint_id = self._new_id("whk")
        endpoint = WebhookEndpoint(
            id=endpoint_id,
            prison_id=actor.prison_id or "",
            url=url,
            events=events,
            secret_sealed=self._sealer.seal(key, sealing_context(endpoint_id)),
            created_at=self._clock(),
            created_by=actor.reference,
            description=description,
        )
        async with self._uow() as u:
            await u.lock(f"webhooks:{endpoint.prison_id}")
            if len(await u.webhooks.endpoints(endpoint.prison_id)) >= MOST:
                raise Conflict(f"A prison has at most {MOST} endpoints.", code="webhooks_full")
            u.webhooks.add(endpoint)
            u.audit.append("webhook.add", actor, endpoint.id, {"events": sorted(events)}, request_id)
            await u.commit()
        return NewEndpoint(endpoint, told_secret(key))

    async def pause(self, actor: Actor, endpoint_id: str, *, request_id: str | None = None) -> WebhookEndpoint:
        """Tell it nothing until it is resumed. What happens meanwhile it is not told later."""
        async with self._uow() as u:
            endpoint = await self._own(u, actor, endpoint_id)
            endpoint.pause("by_staff")
            u.audit.append("webhook.pause", actor, endpoint.id, None, request_id)
            await u.commit()
            return endpoint

    async def resume(self, actor: Actor, endpoint_id: str, *, request_id: str | None = None) -> WebhookEndpoint:
        """Tell it again."""
        async with self._uow() as u:
            endpoint = await self._own(u, actor, endpoint_id)
            endpoint.resume()
            u.audit.append("webhook.resume", actor, endpoint.id, None, request_id)
            await u.commit()
            return endpoint

    async def remove(self, actor: Actor, endpoint_id: str, *, request_id: str | None = None) -> None:
        """Take it away for good; its secret goes with it. Doing it twice changes nothing."""
        async with self._uow() as u:
            endpoint = await self._own(u, actor, endpoint_id)
            if endpoint.removed_at is None:
                endpoint.removed_at, endpoint.secret_sealed = self._clock(), b""
                u.audit.append("webhook.remove", actor, endpoint.id, None, request_id)
                await u.commit()

    async def test(self, actor: Actor, endpoint_id: str, *, request_id: str | None = None) -> str:
        """Send it an event of the type `webhook.test`; the id of the delivery, to look up in the outbox."""
        async with self._uow() as u:
            endpoint = await self._own(u, actor, endpoint_id)
            if not endpoint.active:
                raise Conflict("This endpoint is paused or removed.", code="webhook_paused")
            body = {
                "type": TEST_EVENT,
                "timestamp": self._clock().isoformat(),
                "prison_id": endpoint.prison_id,
                "data": {},
            }
            message_id = u.outbox.add(
                TOPIC,
                {"endpoint_id": endpoint.id, "prison_id": endpoint.prison_id, "body": body},
                request_id=request_id,
            )
            u.audit.append("webhook.test", actor, endpoint.id, None, request_id)
            await u.commit()
            return message_id

    async def _own(self, u: UnitOfWork, actor: Actor, endpoint_id: str) -> WebhookEndpoint:
        endpoint = await u.webhooks.get(endpoint_id)
        own_prison(actor, endpoint.prison_id)
        return endpoint
