"""Recordings whose call is over and whose writer died: sealed as they are, by a process that has nothing to record."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import structlog

from visitserver.domain.actors import system_actor
from visitserver.domain.errors import DomainError
from visitserver.services.recording_errors import archive_errors

if TYPE_CHECKING:
    from visitserver.domain.clock import Clock
    from visitserver.services.ports.recordings import SealedRecording
    from visitserver.services.ports.uow import UnitOfWorkFactory
    from visitserver.services.recordings import RecordingsService

log = structlog.get_logger(__name__)

BATCH = 100
OVERDUE = timedelta(minutes=5)
"""After the call's end: by then its node, or the one after it, has sealed what it records."""

_ACTOR = system_actor("recording_rescue")


class Recovering(Protocol):
    """What it needs of the recorder."""

    async def recover_one(self, recording_id: str) -> SealedRecording | None: ...


class RecordingRescue:
    """`run_once` is called now and then by a job. Sooner than the search for what is missing (recording_care.py)."""

    def __init__(
        self, uow: UnitOfWorkFactory, recorder: Recovering, recordings: RecordingsService, clock: Clock
    ) -> None:
        self._uow = uow
        self._recorder = recorder
        self._recordings = recordings
        self._clock = clock

    async def run_once(self) -> list[str]:
        """Seal a batch; the ids of those that were."""
        async with self._uow(read_only=True) as u:
            overdue = [recording.id for recording in await u.recordings.unfinished(self._clock() - OVERDUE, BATCH)]
        return [recording_id for recording_id in overdue if await self._rescue(recording_id)]

    async def _rescue(self, recording_id: str) -> bool:
        try:
            with archive_errors():
                summary = await self._recorder.recover_one(recording_id)
            if summary is None:
                return False
            await self._recordings.sealed(_ACTOR, summary)
        except DomainError as error:
            log.error("recording not rescued", recording_id=recording_id, code=error.code)
            return False
        log.warning("recording rescued", recording_id=recording_id)
        return True
