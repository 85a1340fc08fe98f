"""What every worker of the outbox does: claim, deliver outside of any transaction, write the result in another.

A worker that dies between the two lets its claim lapse, and the message goes out again: it may come twice, with the
same id, but is never lost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final

import structlog

from visitserver.domain.clock import Clock
from visitserver.domain.errors import DomainError
from visitserver.domain.outbox import OutboxMessage, OutboxState
from visitserver.notify.mail import DeliveryFailed
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

log: Final = structlog.get_logger(__name__)

MAX_ATTEMPTS: Final = 8
FIRST_WAIT: Final = timedelta(seconds=30)
LONGEST_WAIT: Final = timedelta(hours=2)
LEASE: Final = timedelta(minutes=5)


class NotSent(Exception):
    """There is nobody to hand the message to here. It is kept, visibly; `why` names no person."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Deliveries(ABC):
    """A worker for some of the outbox's topics."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        *,
        batch: int,
        topics: Collection[str] | None = None,
        but: Collection[str] = (),
    ) -> None:
        self._uow = uow
        self._clock = clock
        self._batch = batch
        self._topics = topics
        self._but = but

    @abstractmethod
    async def _hand_over(self, message: OutboxMessage) -> None:
        """Deliver it. Raises DeliveryFailed or NotSent; DomainError when what it is about is gone or cannot be read."""

    async def _claimed(self, u: UnitOfWork, messages: Sequence[OutboxMessage]) -> None:  # noqa: B027 - most need none
        """Whatever belongs into the transaction that claims the messages."""

    async def run_once(self) -> int:
        """Deliver what is due, at most a batch. Gives how many were dealt with, well or not."""
        claimed = await self._claim()
        for message in claimed:
            await self._deliver(message)
        return len(claimed)

    async def drain(self, *, rounds: int = 100) -> int:
        """Run until nothing is due, or `rounds` batches. Gives how many were dealt with."""
        total = 0
        for _ in range(rounds):
            done = await self.run_once()
            total += done
            if done < self._batch:
                break
        return total

    async def _claim(self) -> Sequence[OutboxMessage]:
        async with self._uow() as u:
            claimed = list(
                await u.outbox.claim(self._clock(), lease=LEASE, limit=self._batch, topics=self._topics, but=self._but)
            )
            if claimed:
                await self._claimed(u, claimed)
                await u.commit()
        return claimed

    async def _deliver(self, message: OutboxMessage) -> None:
        try:
            await self._hand_over(message)
        except NotSent as kept:
            await self._finish(message, OutboxState.NOT_SENT, kept.why)
        except DeliveryFailed as failed:
            await self._failed(message, str(failed), lasting=failed.lasting)
        except DomainError as error:
            # What the message is about is gone or cannot be read now.
            await self._failed(message, error.code, lasting=error.code == "not_found")
        except (KeyError, ValueError, TypeError) as error:
            # A payload that nobody can write from stays visible instead of stopping the queue.
            log.exception("outbox message cannot be written", message=message.id, topic=message.topic)
            await self._failed(message, f"cannot be written: {type(error).__name__}", lasting=True)
        else:
            await self._finish(message, OutboxState.DELIVERED, None)

    async def _failed(self, message: OutboxMessage, why: str, *, lasting: bool) -> None:
        log.warning("outbox message not delivered", message=message.id, topic=message.topic, why=why)
        over = lasting or message.attempts + 1 >= MAX_ATTEMPTS
        await self._finish(message, OutboxState.FAILED if over else OutboxState.PENDING, why)

    async def _finish(self, message: OutboxMessage, state: OutboxState, why: str | None) -> None:
        async with self._uow() as u:
            row = await u.outbox.get(message.id)
            now = self._clock()
            row.attempts += 1
            row.state, row.last_error, row.claimed_until = state, why, None
            if state is OutboxState.PENDING:
                row.due_at = now + min(LONGEST_WAIT, FIRST_WAIT * 4 ** (row.attempts - 1))
            if state is OutboxState.DELIVERED:
                row.delivered_at = now
                # What was personal in it has arrived and is not needed here any more.
                row.payload = {key: value for key, value in row.payload.items() if key.endswith("_id")}
            await u.commit()
