"""The webhooks' worker: posts signed events to other programs (Standard Webhooks 1.0).

Every answer but 2xx is tried again, as often as a letter. Redirects are not followed: an event goes where an
administrator wrote that it goes. 410 Gone pauses the endpoint, so that nobody is asked for ever.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Final

import aiohttp
import structlog

from visitserver.domain.actors import system_actor
from visitserver.domain.clock import Clock
from visitserver.domain.outbox import OutboxMessage
from visitserver.domain.webhooks import TOPIC, WebhookEndpoint, sealing_context, sign
from visitserver.notify.delivering import Deliveries, NotSent
from visitserver.notify.mail import DeliveryFailed
from visitserver.services.ports.accounts import Sealer
from visitserver.services.ports.uow import UnitOfWorkFactory

log: Final = structlog.get_logger(__name__)

TIMEOUT: Final = aiohttp.ClientTimeout(total=15.0, connect=5.0)
AT_ONCE: Final = 8
ACTOR: Final = system_actor("webhooks")


class WebhookWorker(Deliveries):
    """Delivers events. `tls` is what certificates are checked with; None: the system's authorities."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        sealer: Sealer,
        *,
        batch: int = 40,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(uow, clock, batch=batch, topics=(TOPIC,))
        self._sealer = sealer
        self._tls = tls

    async def run_once(self) -> int:
        """Deliver what is due, several at a time; how many were dealt with. One slow receiver delays few others."""
        claimed = await self._claim()
        few = asyncio.Semaphore(AT_ONCE)

        async def one(message: OutboxMessage) -> None:
            async with few:
                await self._deliver(message)

        async with asyncio.TaskGroup() as group:
            for message in claimed:
                group.create_task(one(message))
        return len(claimed)

    async def _hand_over(self, message: OutboxMessage) -> None:
        async with self._uow(read_only=True) as u:
            endpoint = await u.webhooks.get(message.payload["endpoint_id"])
        if endpoint.removed_at is not None:
            raise DeliveryFailed("the endpoint has been removed", lasting=True)
        if not endpoint.active:
            raise NotSent("not sent: the endpoint is paused")
        status = await self._post(endpoint, message)
        if status == 410:
            await self._gone(endpoint.id)
            raise DeliveryFailed("answered 410: the endpoint is paused", lasting=True)
        if not 200 <= status < 300:
            raise DeliveryFailed(f"answered {status}")

    async def _post(self, endpoint: WebhookEndpoint, message: OutboxMessage) -> int:
        body = json.dumps(message.payload["body"], separators=(",", ":"), sort_keys=True).encode()
        key = self._sealer.open(endpoint.secret_sealed, sealing_context(endpoint.id))
        signed = sign(message.id, body, key, self._clock())
        connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True, force_close=True)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=TIMEOUT) as session,
                session.post(endpoint.url, data=signed.body, headers=signed.headers, allow_redirects=False) as answer,
            ):
                return answer.status
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise DeliveryFailed(f"not reached: {type(error).__name__}") from error

    async def _gone(self, endpoint_id: str) -> None:
        async with self._uow() as u:
            endpoint = await u.webhooks.get(endpoint_id)
            if endpoint.active:
                endpoint.pause("gone")
                u.audit.append("webhook.gone", ACTOR, endpoint.id, None, None, prison_id=endpoint.prison_id)
                await u.commit()
                log.warning("webhook endpoint paused: it is gone", endpoint_id=endpoint.id)
