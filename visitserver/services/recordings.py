"""Recordings in use: registered as calls are recorded, listed, opened with a reason, held, verified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from visitserver.domain.errors import Conflict, Invalid, NotFound
from visitserver.domain.recordings import UNFINISHED, Recording, RecordingOpening, RecordingState
from visitserver.services.access_checks import need_reason, own_prison
from visitserver.services.ports.recordings import RecordingFilter
from visitserver.services.recording_errors import archive_errors

if TYPE_CHECKING:
    from visitserver.domain.actors import Actor
    from visitserver.domain.clock import Clock
    from visitserver.domain.paging import Page, PageRequest
    from visitserver.services.ports.recordings import RecordingArchive, SealedRecording, TrackFile, Verdict
    from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

OPENING_LASTS = timedelta(hours=8)


@dataclass(frozen=True, slots=True)
class Playback:
    """An opened recording: under `opening.id` its tracks are served. `timeline` is JSON (docs/recording-format.md)."""

    recording: Recording
    opening: RecordingOpening
    timeline: dict[str, Any]


class RecordingsService:
    """`retention` is how long a recording is kept after its seal unless a legal hold stops that."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        archive: RecordingArchive,
        clock: Clock,
        new_id: Callable[[str], str],
        *,
        retention: timedelta = timedelta(days=90),
    ) -> None:
        self._uow = uow
        self._archive = archive
        self._clock = clock
        self._new_id = new_id
        self._retention = retention

    # --- as the call goes on --------------------------------------------------------------------------------------

    def expect(
        self,
        u: UnitOfWork,
        *,
        call_id: str,
        prison_id: str,
        prisoner_id: str,
        booking_id: str | None,
        policy_version: str,
        expected_end: datetime,
    ) -> Recording:
        """A call is to be recorded: a PENDING recording, in the transaction of whoever opens the call. Its id goes
        into the warrant.

        Invalid for a privileged call: nothing of it may be recorded.
        """
        if not call_id.startswith("call_"):
            raise Invalid("A privileged call is never recorded.", code="privileged_call")
        recording = Recording(
            id=self._new_id("rec"),
            call_id=call_id,
            prison_id=prison_id,
            prisoner_id=prisoner_id,
            policy_version=policy_version,
            state=RecordingState.PENDING,
            created_at=self._clock(),
            expected_end=expected_end,
            booking_id=booking_id,
        )
        u.recordings.add(recording)
        return recording

    async def started(self, recording_id: str) -> None:
        """The recorder is attached. Told twice, it changes nothing. NotFound."""
        async with self._uow() as u:
            recording = await u.recordings.get(recording_id, for_update=True)
            if recording.state is RecordingState.PENDING:
                recording.move(RecordingState.RECORDING)
                recording.started_at = self._clock()
                await u.commit()

    async def paused(self, recording_id: str, is_paused: bool) -> None:
        """The call is held, or goes on. Told twice, or too late, it changes nothing. NotFound."""
        before, after = RecordingState.RECORDING, RecordingState.PAUSED
        if not is_paused:
            before, after = after, before
        async with self._uow() as u:
            recording = await u.recordings.get(recording_id, for_update=True)
            if recording.state is before:
                recording.move(after)
                await u.commit()

    async def sealed(self, actor: Actor, summary: SealedRecording, request_id: str | None = None) -> None:
        """The recorder has sealed it, or a recovery has. Told twice, it changes nothing.

        NotFound; Conflict (code `recording_head`) if it was registered with another head: then something is very wrong.
        """
        async with self._uow() as u:
            recording = await u.recordings.get(summary.recording_id, for_update=True)
            if recording.head_sha256 is not None:
                if recording.head_sha256 != summary.head_sha256:
                    raise Conflict("The recording was sealed with another head.", code="recording_head")
                return
            recording.move(RecordingState.SEALED)
            recording.sealed_at = self._clock()
            recording.started_at = recording.started_at or recording.sealed_at
            recording.retain_until = recording.sealed_at + self._retention
            recording.head_sha256 = summary.head_sha256
            recording.segments, recording.size = summary.segments, summary.bytes
            recording.duration_ms, recording.gaps = summary.duration_ms, summary.gaps
            recording.interrupted = summary.interrupted
            recording.failure = None
            data = {"call_id": recording.call_id, "head": summary.head_sha256, "interrupted": summary.interrupted}
            u.audit.append("recording.sealed", actor, recording.id, data, request_id, prison_id=recording.prison_id)
            await u.commit()

    async def seal_known(self, actor: Actor, recording_id: str, request_id: str | None = None) -> bool:
        """Register what the archive has of a recording that was sealed; whether it has it.

        For who only knows the id.
        """
        with archive_errors():
            summary = await self._archive.sealed(recording_id)
        if summary is None:
            return False
        await self.sealed(actor, summary, request_id)
        return True

    async def failed(self, actor: Actor, recording_id: str, cause: str, request_id: str | None = None) -> None:
        """The recording stopped unasked, or could not be sealed. After the seal it changes nothing. NotFound."""
        async with self._uow() as u:
            recording = await u.recordings.get(recording_id, for_update=True)
            if recording.state not in UNFINISHED:
                return
            recording.move(RecordingState.FAILED)
            recording.failure = cause[:64]
            data = {"call_id": recording.call_id, "cause": cause[:64]}
            u.audit.append("recording.failed", actor, recording.id, data, request_id, prison_id=recording.prison_id)
            await u.commit()

    # --- as people use it -----------------------------------------------------------------------------------------

    async def list(self, actor: Actor, wanted: RecordingFilter, page: PageRequest) -> Page[Recording]:
        """The recordings of the actor's prison, newest first. NotFound for another prison's."""
        own_prison(actor, wanted.prison_id)
        async with self._uow(read_only=True) as u:
            return await u.recordings.recordings(wanted, page)

    async def get(self, actor: Actor, recording_id: str) -> Recording:
        """One recording. NotFound."""
        async with self._uow(read_only=True) as u:
            return await _own(u, actor, recording_id)

    async def openings(self, actor: Actor, recording_id: str, page: PageRequest) -> Page[RecordingOpening]:
        """Who opened a recording and why, newest first. NotFound."""
        async with self._uow(read_only=True) as u:
            await _own(u, actor, recording_id)
            return await u.recordings.openings(recording_id, page)

    async def open_for_playback(
        self, actor: Actor, recording_id: str, reason: str, request_id: str | None = None
    ) -> Playback:
        """Open a recording. The opening, its reason and the audit row are on disk before anything of it is read.

        NotFound; Invalid without a reason; Conflict if it is not sealed, was deleted, or is damaged; Unavailable.
        """
        text = need_reason(reason)
        async with self._uow() as u:
            recording = await _own(u, actor, recording_id)
            if not recording.playable:
                raise Conflict(f"The recording is {recording.state}.", code="recording_state")
            now = self._clock()
            opening = RecordingOpening(
                id=self._new_id("opn"),
                recording_id=recording.id,
                actor=actor.reference,
                reason=text,
                opened_at=now,
                expires_at=now + OPENING_LASTS,
            )
            u.recordings.add(opening)
            data = {"call_id": recording.call_id, "opening_id": opening.id}
            u.audit.append("recording.opened", actor, recording.id, data, request_id, prison_id=recording.prison_id)
            await u.commit()
        with archive_errors():
            timeline = await self._archive.timeline(recording_id)
        return Playback(recording, opening, timeline)

    async def open_track(self, actor: Actor, recording_id: str, number: int, opening_id: str) -> TrackFile:
        """Track `number` of an opened recording; whoever takes it closes it.

        NotFound unless this actor opened it lately.
        """
        async with self._uow(read_only=True) as u:
            recording = await _own(u, actor, recording_id)
            opening = await u.recordings.opening(opening_id)
        if opening is None or opening.recording_id != recording_id or opening.actor != actor.reference:
            raise NotFound("There is no such recording.")
        if opening.expires_at <= self._clock():
            raise Conflict("The recording was opened too long ago. Open it again.", code="opening_expired")
        if not recording.playable:
            raise Conflict(f"The recording is {recording.state}.", code="recording_state")
        with archive_errors():
            return await self._archive.open_track(recording_id, number)

    async def verify(self, actor: Actor, recording_id: str, request_id: str | None = None) -> Verdict:
        """Check every byte against the chain, and the chain's head against the one registered here.

        NotFound, Unavailable.
        """
        recording = await self.get(actor, recording_id)
        with archive_errors():
            verdict = await self._archive.verify(recording_id, recording.head_sha256)
        async with self._uow() as u:
            data = {"valid": verdict.valid, "kind": verdict.kind, "segment": verdict.segment}
            u.audit.append("recording.verified", actor, recording_id, data, request_id, prison_id=recording.prison_id)
            await u.commit()
        return verdict

    async def place_hold(self, actor: Actor, recording_id: str, reason: str, request_id: str | None = None) -> None:
        """Legal hold: retention does not touch it until the hold is lifted. NotFound, Invalid, Conflict."""
        text = need_reason(reason)
        async with self._uow() as u:
            recording = await _own(u, actor, recording_id, for_update=True)
            recording.place_hold(self._clock(), actor.reference, text)
            data = {"call_id": recording.call_id}
            u.audit.append(
                "recording.hold_placed", actor, recording_id, data, request_id, prison_id=recording.prison_id
            )
            await u.commit()
        # The row above is what deletion asks; the archive's own mark is for who has only the files.
        with archive_errors():
            await self._archive.place_hold(recording_id, actor.reference, text)

    async def lift_hold(self, actor: Actor, recording_id: str, reason: str, request_id: str | None = None) -> None:
        """Lift the legal hold; retention runs again. NotFound, Invalid, Conflict."""
        text = need_reason(reason)
        async with self._uow() as u:
            recording = await _own(u, actor, recording_id, for_update=True)
            recording.lift_hold(text)
            data = {"call_id": recording.call_id}
            u.audit.append(
                "recording.hold_lifted", actor, recording_id, data, request_id, prison_id=recording.prison_id
            )
            await u.commit()
        with archive_errors():
            await self._archive.lift_hold(recording_id)


async def _own(u: UnitOfWork, actor: Actor, recording_id: str, *, for_update: bool = False) -> Recording:
    recording = await u.recordings.get(recording_id, for_update=for_update)
    own_prison(actor, recording.prison_id)
    return recording
