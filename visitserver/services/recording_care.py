"""What is done for recordings at night: find those that are missing, delete those that are old, verify a sample."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from visitserver.domain.actors import system_actor
from visitserver.domain.errors import DomainError, NotFound
from visitserver.domain.recordings import RecordingState
from visitserver.services.recording_errors import archive_errors

if TYPE_CHECKING:
    from visitserver.domain.clock import Clock
    from visitserver.services.ports.recordings import RecordingArchive, Verdict
    from visitserver.services.ports.uow import UnitOfWorkFactory
    from visitserver.services.recordings import RecordingsService

log = structlog.get_logger(__name__)

BATCH = 100
OVERDUE = timedelta(minutes=30)  # after the call's end, before an unsealed recording is looked for
_ACTOR = system_actor("recording_care")


@dataclass(frozen=True, slots=True)
class MissingReport:
    """Recordings that should have been there:

    `found` were sealed without anybody being told, `missing` are not there.
    """

    found: tuple[str, ...]
    missing: tuple[str, ...]


class RecordingCare:
    """The jobs. Each does a batch; whoever schedules it calls it again while there is work."""

    def __init__(
        self, uow: UnitOfWorkFactory, archive: RecordingArchive, recordings: RecordingsService, clock: Clock
    ) -> None:
        self._uow = uow
        self._archive = archive
        self._recordings = recordings
        self._clock = clock
        self._sampled = ""

    async def check_missing(self) -> MissingReport:
        """Calls that should have a recording and have none: what the archive has is registered, the rest is marked as
        missing. What cannot be said now is looked at again the next time.
        """
        async with self._uow(read_only=True) as u:
            overdue = await u.recordings.unfinished(self._clock() - OVERDUE, BATCH)
            wanted = [recording.id for recording in overdue]
        found: list[str] = []
        missing: list[str] = []
        for recording_id in wanted:
            try:
                sealed = await self._recordings.seal_known(_ACTOR, recording_id)
                if not sealed:
                    await self._recordings.failed(_ACTOR, recording_id, "missing")
            except DomainError as error:
                # A damaged one, or an archive that is away: the others must not wait for it.
                log.error("recording not looked for", recording_id=recording_id, code=error.code)
                continue
            if sealed:
                found.append(recording_id)
            else:
                log.error("recording missing", recording_id=recording_id)
                missing.append(recording_id)
        return MissingReport(tuple(found), tuple(missing))

    async def delete_expired(self, reason: str = "retention") -> tuple[str, ...]:
        """Delete a batch of recordings whose time is over; the ids of those that are gone.

        What a crash cut off between the row and the archive is finished first.
        """
        async with self._uow(read_only=True) as u:
            deleted = [recording.id for recording in await u.recordings.unerased(BATCH)]
            expired = [recording.id for recording in await u.recordings.expired(self._clock(), BATCH)]
        deleted += [recording_id for recording_id in expired if await self._mark_deleted(recording_id, reason)]
        return tuple([recording_id for recording_id in deleted if await self._erase(recording_id)])

    async def verify_sample(self, size: int = 20) -> dict[str, Verdict]:
        """Verify the next `size` recordings, going round; the verdicts on those that are not valid."""
        async with self._uow(read_only=True) as u:
            rows = await u.recordings.sample(size, self._sampled)
        self._sampled = rows[-1].id if len(rows) == size else ""
        bad: dict[str, Verdict] = {}
        for row in rows:
            verdict = await self._recordings.verify(_ACTOR, row.id)
            if not verdict.valid:
                log.error("recording damaged", recording_id=row.id, kind=verdict.kind, segment=verdict.segment)
                bad[row.id] = verdict
        return bad

    async def _mark_deleted(self, recording_id: str, reason: str) -> bool:
        async with self._uow() as u:
            recording = await u.recordings.get(recording_id, for_update=True)
            # Looked at again under the lock: a hold may have been placed since the list was read.
            if recording.state is not RecordingState.SEALED:
                return False
            recording.delete(self._clock(), reason)
            data = {"call_id": recording.call_id, "reason": reason, "policy_version": recording.policy_version}
            u.audit.append("recording.deleted", _ACTOR, recording_id, data, prison_id=recording.prison_id)
            await u.commit()
        return True

    async def _erase(self, recording_id: str) -> bool:
        async with self._uow(read_only=True) as u:
            recording = await u.recordings.get(recording_id)
        reason = recording.deletion_reason or ""
        try:
            with archive_errors():
                await self._archive.delete(recording_id, _ACTOR.reference, reason, recording.policy_version)
        except NotFound:
            pass  # nothing of it is there: it is as gone as it can be
        except DomainError as error:
            log.error("recording not erased", recording_id=recording_id, code=error.code)
            return False
        async with self._uow() as u:
            recording = await u.recordings.get(recording_id, for_update=True)
            recording.erased_at = self._clock()
            await u.commit()
        return True
