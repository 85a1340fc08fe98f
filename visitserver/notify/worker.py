"""The letters' worker: delivers what was committed, with a bounded number of attempts that everybody can see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from visitserver.domain.clock import Clock
from visitserver.domain.outbox import OutboxMessage
from visitserver.domain.waitlist import NEWS_TOPICS
from visitserver.domain.webhooks import TOPIC as WEBHOOK
from visitserver.notify.delivering import MAX_ATTEMPTS as MAX_ATTEMPTS
from visitserver.notify.delivering import Deliveries, NotSent
from visitserver.notify.events import fan_out
from visitserver.notify.letters import Letters
from visitserver.notify.mail import Mailer
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

NO_SERVER: Final = "not sent: no mail server configured"


class OutboxWorker(Deliveries):
    """Delivers letters, and hands what webhooks want on to their worker.

    Without a `mailer` letters are kept, visibly not sent.
    """

    def __init__(
        self, uow: UnitOfWorkFactory, clock: Clock, letters: Letters, mailer: Mailer | None, *, batch: int = 20
    ) -> None:
        # A webhook's receiver that answers slowly must not hold up the families' letters: it has a worker of its own.
        # News of places are the waiting list's.
        super().__init__(uow, clock, batch=batch, but=(WEBHOOK, *NEWS_TOPICS))
        self._letters = letters
        self._mailer = mailer

    async def _claimed(self, u: UnitOfWork, messages: Sequence[OutboxMessage]) -> None:
        for message in messages:
            await fan_out(u, message)

    async def _hand_over(self, message: OutboxMessage) -> None:
        async with self._uow(read_only=True) as u:
            mails = await self._letters.write(u, message)
        if mails and self._mailer is None:
            raise NotSent(NO_SERVER)
        for mail in mails:
            if self._mailer is not None:
                await self._mailer.send(mail)
