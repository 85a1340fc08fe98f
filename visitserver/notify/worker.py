"""The outbox worker: delivers what was committed, with a bounded number of attempts that everybody can see.

A message is claimed in one transaction, delivered outside of any, and its result written in another. A worker that dies
between the two lets its claim lapse, and the message goes out again: a letter may come twice, with the same Message-ID,
but is never lost.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import structlog

from visitserver.domain.clock import Clock
from visitserver.domain.errors import DomainError
from visitserver.domain.outbox import OutboxMessage, OutboxState
from visitserver.notify.letters import Letters
from visitserver.notify.mail import DeliveryFailed, Mail, Mailer
from visitserver.services.ports.uow import UnitOfWorkFactory

log: Final = structlog.get_logger(__name__)

MAX_ATTEMPTS: Final = 8
FIRST_WAIT: Final = timedelta(seconds=30)
LONGEST_WAIT: Final = timedelta(hours=2)
LEASE: Final = timedelta(minutes=5)
NO_SERVER: Final = "not sent: no mail server configured"


class OutboxWorker:
    """Delivers messages. Without a `mailer` those that need one are kept, visibly not sent."""

    def __init__(
        self, uow: UnitOfWorkFactory, clock: Clock, letters: Letters, mailer: Mailer | None, *, batch: int = 20
    ) -> None:
        self._uow = uow
        self._clock = clock
        self._letters = letters
        self._mailer = mailer
        self._batch = batch

    async def run_once(self) -> int:
        """Deliver what is due, at most `batch` messages. Gives how many were dealt with, well or not."""
        async with self._uow() as u:
            claimed = list(await u.outbox.claim(self._clock(), lease=LEASE, limit=self._batch))
            if claimed:
                await u.commit()
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

    async def _deliver(self, message: OutboxMessage) -> None:
        try:
            async with self._uow(read_only=True) as u:
                mails = await self._letters.write(u, message)
            if mails and self._mailer is None:
                await self._finish(message, OutboxState.NOT_SENT, NO_SERVER)
                return
            for mail in mails:
                await self._send(mail)
        except DeliveryFailed as failed:
            await self._failed(message, str(failed), lasting=failed.lasting)
        except DomainError as error:
            # What the letter is about is gone or cannot be read now.
            await self._failed(message, error.code, lasting=error.code == "not_found")
        except (KeyError, ValueError, TypeError) as error:
            # A payload that nobody can write a letter from stays visible instead of stopping the queue.
            log.exception("outbox message cannot be written", message=message.id, topic=message.topic)
            await self._failed(message, f"cannot be written: {type(error).__name__}", lasting=True)
        else:
            await self._finish(message, OutboxState.DELIVERED, None)

    async def _send(self, mail: Mail) -> None:
        if self._mailer is None:
            raise DeliveryFailed(NO_SERVER, lasting=True)
        await self._mailer.send(mail)

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
