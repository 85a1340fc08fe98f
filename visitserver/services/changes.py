"""Changes that bookings rest on: noted in the change's own transaction, worked off as soon as it is committed.

Whoever changes a right, a prisoner, a station, a block or an appointment does two things:

    self._changes.note(u, ChangeKind.BLOCK_ADDED, by=actor, prison_id=..., from_=..., to=...)   # before the commit
    await self._changes.after_commit()                                                          # after it

Only one's own changes are worked off at once, and only where they are few: nobody's request waits for an import's.
The rest, and what a crash left between the two, a job finds (`ChangeWorker.finish`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final

import structlog

from signaling.ids import new_id
from visitserver.domain.actors import SYSTEM, Actor
from visitserver.domain.changes import Change, ChangeKind
from visitserver.domain.clock import Clock
from visitserver.services.ports.uow import UnitOfWork

__all__ = ["ChangeKind", "Changes"]

log = structlog.get_logger(__name__)

FEW: Final = 5
"""Changes of one transaction that are worked off at once."""
_noted: ContextVar[tuple[str, ...]] = ContextVar("noted", default=())
"""What this task has noted since it last worked off, FEW + 1 at most. What was rolled back is found nowhere."""


class Changes:
    """Notes changes. `work_off` is who does what follows from them, given the ids of one's own, or None when they are
    more than FEW (ChangeWorker.work_off); without one they wait for a process that has it."""

    def __init__(
        self, clock: Clock, work_off: Callable[[Sequence[str] | None], Awaitable[object]] | None = None
    ) -> None:
        self._clock = clock
        self._work_off = work_off

    def note(
        self,
        u: UnitOfWork,
        kind: ChangeKind,
        *,
        by: Actor = SYSTEM,
        prison_id: str | None = None,
        prisoner_id: str | None = None,
        contact_id: str | None = None,
        relationship_id: str | None = None,
        station_id: str | None = None,
        template_id: str | None = None,
        from_: datetime | None = None,
        to: datetime | None = None,
        **attributes: Any,
    ) -> None:
        """Write into this transaction that something has changed, for whom, and (UTC) for bookings of which time.

        Bookings are touched that fit every id given; `prison_id` counts only alone. `by` is the person who made the
        change: where it ends a call, it is they who end it. `attributes` are references and codes, never names.
        """
        change = Change(
            id=new_id("chg"),
            at=self._clock(),
            kind=kind,
            by=by.reference,
            prison_id=prison_id,
            prisoner_id=prisoner_id,
            contact_id=contact_id,
            relationship_id=relationship_id,
            station_id=station_id,
            template_id=template_id,
            from_at=from_,
            to_at=to,
            attributes=attributes,
        )
        u.flags.add(change)
        _noted.set((*_noted.get(), change.id)[-FEW - 1 :])

    async def after_commit(self) -> None:
        """Work off what this task has noted: end the calls it ends, flag the bookings it flags. Never raises: what
        fails here, the job does."""
        noted = _noted.get()
        _noted.set(())
        if self._work_off is None or not noted:
            return
        try:
            await self._work_off(noted if len(noted) <= FEW else None)
        except Exception:
            log.exception("noted changes not worked off yet")
