"""Rights withdrawn before their warrants expire: said to every media node, and again until they have expired."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog

from signaling.errors import SignalingError
from visitserver.domain.paging import PageRequest
from visitserver.services.calls import WARRANT_LASTS
from visitserver.services.ports.audit import AuditFilter

if TYPE_CHECKING:
    from signaling.control import RoomControl
    from visitserver.domain.clock import Clock
    from visitserver.services.ports.uow import UnitOfWorkFactory

log = structlog.get_logger(__name__)


ACTIONS = ("account.suspended", "account.roles_changed")
PEOPLE = 100


class RevokingService:
    """`revoke` tells the nodes that live now. `run_once`, a job, tells those that were away or started since.

    The job reads the audit log's own rows of suspensions and lost roles, so it needs no list that could be lost.
    """

    def __init__(self, uow: UnitOfWorkFactory, control: RoomControl, clock: Clock) -> None:
        self._uow = uow
        self._control = control
        self._clock = clock

    async def revoke(self, person_id: str) -> None:
        """Whatever was issued to the person so far is good no more. Does not raise: the job says it again."""
        await self._tell(person_id, self._clock())

    async def run_once(self) -> int:
        """Say again what was withdrawn while a warrant from before may still be good; for how many people."""
        since = self._clock() - WARRANT_LASTS
        withdrawn: OrderedDict[str, datetime] = OrderedDict()
        async with self._uow(read_only=True) as u:
            for action in ACTIONS:
                page = PageRequest(PEOPLE)
                for row in (await u.audit.rows(AuditFilter(action=action, since=since), page)).items:
                    account = await u.accounts.account(row.object_id)
                    if account is not None and _is_loss(row.data):
                        withdrawn[account.person_id] = max(row.at, withdrawn.get(account.person_id, row.at))
        for person_id, at in withdrawn.items():
            await self._tell(person_id, at)
        return len(withdrawn)

    async def _tell(self, person_id: str, at: datetime) -> None:
        try:
            await self._control.revoke(person_id, at)
        except SignalingError as error:
            log.warning("withdrawn right not told to every node yet", person_id=person_id, code=error.code)


def _is_loss(data: Mapping[str, Any]) -> bool:
    """Whether a row tells of something taken away: a suspension (which has no data), or fewer roles."""
    return "before" not in data or bool(set(data["before"]) - set(data["after"]))
