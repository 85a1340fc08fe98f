"""Looking into the outbox: what left, what waits, what did not go and why; trying again by hand."""

from __future__ import annotations

from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Forbidden
from visitserver.domain.outbox import OutboxMessage, OutboxState
from visitserver.domain.paging import Page, PageRequest
from visitserver.services.access_checks import own_prison
from visitserver.services.ports.uow import UnitOfWorkFactory


class OutboxService:
    """The outbox as operators see it. Payloads may hold addresses: pages show topic, state, attempts and error."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    async def list(self, actor: Actor, state: OutboxState | None, page: PageRequest) -> Page[OutboxMessage]:
        """Messages of the actor's prison and those of none, newest first. Staff and the system only (the route's policy
        says which staff)."""
        self._may(actor)
        async with self._uow(read_only=True) as u:
            return await u.outbox.messages(state, page, prison_id=actor.prison_id)

    async def retry(self, actor: Actor, message_id: str, *, request_id: str | None = None) -> OutboxMessage:
        """Put a message that failed or was not sent back into the queue. Conflict for one that waits or has left."""
        self._may(actor)
        async with self._uow() as u:
            message = await u.outbox.get(message_id)
            if message.prison_id is not None:
                own_prison(actor, message.prison_id)
            if message.state not in (OutboxState.FAILED, OutboxState.NOT_SENT):
                raise Conflict("This message waits or has left already.", code="outbox_state")
            message.state, message.attempts, message.due_at = OutboxState.PENDING, 0, self._clock()
            u.audit.append("outbox.retry", actor, message.id, {"topic": message.topic}, request_id)
            await u.commit()
            return message

    @staticmethod
    def _may(actor: Actor) -> None:
        if not (actor.is_staff or actor.is_system):
            raise Forbidden("The outbox is for staff.")
