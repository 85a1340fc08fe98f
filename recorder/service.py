"""Recordings begun, recovered and sealed: what the application and the media node call."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakValueDictionary

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from recorder.access import read_opening
from recorder.blobs import BlobStore, Claim
from recorder.disk import DiskGuard, StorageState
from recorder.documents import OPENING, WRAPPED_KEY, sign_document
from recorder.errors import NotRecordable, RecorderError, RecordingBusy, RecordingExists, StorageFull
from recorder.keys import KEY_BYTES, KeyRing
from recorder.manifest import KEY_FILE, OPENING_FILE, SealSummary, opening_body
from recorder.recover import needs_recovery, recover_recording
from recorder.sink import SEGMENT_SECONDS, LogSink
from recorder.takeover import take_over
from recorder.tap import QUEUE_LIMIT, STALL_LIMIT, RecorderLeg
from recorder.verify import VerifyReport, verify
from recorder.writer import FLUSH_SECONDS, LogWriter
from signaling.capabilities import RecordingWarrant
from signaling.ids import OrdinaryCallId, parse_call_id

log = structlog.get_logger(__name__)


class RecordingService:
    """One per process.

    `store` and `keys` are ports; `signing_key` signs openings, heads and seals; `clock` is UTC-aware. With `continues`
    a recording that was begun elsewhere and not sealed is gone on with (takeover.py): only where one directory says
    which process has a call.
    """

    def __init__(
        self,
        store: BlobStore,
        keys: KeyRing,
        signing_key: Ed25519PrivateKey,
        clock: Callable[[], datetime],
        *,
        monotonic: Callable[[], float] = time.monotonic,
        guard: DiskGuard | None = None,
        segment_seconds: float = SEGMENT_SECONDS,
        flush_seconds: float = FLUSH_SECONDS,
        queue_limit: int = QUEUE_LIMIT,
        stall_limit: float = STALL_LIMIT,
        continues: bool = False,
    ) -> None:
        self.store = store
        self.keys = keys
        self.unrecovered: dict[str, str] = {}
        self._signing_key = signing_key
        self._clock = clock
        self._monotonic = monotonic
        self._guard = guard or DiskGuard()
        self._segment_seconds = segment_seconds
        self._flush_seconds = flush_seconds
        self._queue_limit = queue_limit
        self._stall_limit = stall_limit
        self._continues = continues
        # A leg lives as long as its writer's thread or its room; sealed ones go by themselves.
        self._legs: WeakValueDictionary[str, RecorderLeg] = WeakValueDictionary()

    @property
    def public_key(self) -> Ed25519PublicKey:
        """The key with which recordings are verified."""
        return self._signing_key.public_key()

    def storage_state(self) -> StorageState:
        """How full the store is: ok, alert, or full (then `start` refuses)."""
        return self._guard.state(self.store)

    async def start(self, warrant: RecordingWarrant) -> RecorderLeg:
        """Begin the recording that `warrant` (checked by its verifier) names, or go on with it.

        Raises NotRecordable unless the call is an ordinary one, StorageFull, RecordingExists (it is sealed, or this
        process writes it already), RecordingBusy, OSError; RecordingDamaged, KeyUnavailable where it is gone on with.
        """
        call_id = warrant.call_id
        _require_ordinary(call_id)
        state = self.storage_state()
        if state is not StorageState.OK:
            log.warning("recording storage is filling up", state=state.value)
        if state is StorageState.FULL:
            raise StorageFull("no new recording until storage is freed")
        loop = asyncio.get_running_loop()
        begun = await asyncio.to_thread(self._begin, warrant)
        sink, claim = begun.sink, begun.claim
        leg = RecorderLeg(
            warrant.recording_id,
            call_id,
            warrant.tracks,
            loop,
            queue_limit=self._queue_limit,
            stall_limit=self._stall_limit,
            monotonic=self._monotonic,
            first_track=begun.first_track,
            heard_events=begun.heard_events,
        )
        writer = LogWriter(
            sink,
            claim,
            warrant.recording_id,
            clock=self._clock,
            monotonic=self._monotonic,
            on_failure=leg.writer_failed,
            on_progress=leg.writer_progressed,
            flush_seconds=self._flush_seconds,
        )
        leg.bind(writer)
        writer.start()
        self._legs[warrant.recording_id] = leg
        log.info("recording started", call_id=str(call_id), recording_id=warrant.recording_id)
        return leg

    async def seal(self, recording_id: str, reason: str) -> SealSummary:
        """Seal a recording that this process began. KeyError if it did not; SealFailed."""
        leg = self._legs[recording_id]
        summary = await leg.seal(reason)
        self._legs.pop(recording_id, None)
        return summary

    async def close(self, reason: str = "shutdown") -> list[SealSummary]:
        """Seal everything that is being recorded here; what cannot be sealed is logged and left for a recovery."""
        sealed: list[SealSummary] = []
        for recording_id in list(self._legs):
            try:
                sealed.append(await self.seal(recording_id, reason))
            except RecorderError as error:
                self._legs.pop(recording_id, None)
                log.error("recording not sealed", recording_id=recording_id, code=error.code)
        return sealed

    async def recover(self) -> list[SealSummary]:
        """Seal what a crash left open; called when the process starts.

        What cannot be sealed is in `unrecovered`, by its code.
        """
        return await asyncio.to_thread(self._recover)

    async def verify(self, recording_id: str) -> VerifyReport:
        """Check a stored recording. RecordingNotFound if there is none."""
        return await asyncio.to_thread(verify, self.store, recording_id, self.public_key)

    async def recover_one(self, recording_id: str) -> SealSummary | None:
        """Seal one recording that its writer left open; None if there is nothing to be done, or somebody writes it.

        RecorderErrors of the recovery, OSError.
        """
        return await asyncio.to_thread(self._recover_one, recording_id)

    def _recover_one(self, recording_id: str) -> SealSummary | None:
        if not needs_recovery(self.store, recording_id):
            return None
        try:
            return recover_recording(self.store, self.keys, self._signing_key, recording_id, self._clock)
        except RecordingBusy:
            return None

    def _begin(self, warrant: RecordingWarrant) -> _Begun:
        recording_id = warrant.recording_id
        leg = self._legs.get(recording_id)
        if leg is not None and leg.writing:
            raise RecordingExists(recording_id)
        if self._continues and needs_recovery(self.store, recording_id):
            return self._go_on(warrant)
        claim = self.store.claim(recording_id)
        try:
            # A key alone was left by a process that died before the opening: nothing was ever recorded with it.
            if set(self.store.names(recording_id)) - {f"{recording_id}/{KEY_FILE}"}:
                raise RecordingExists(recording_id)
            data_key = os.urandom(KEY_BYTES)
            opening = opening_body(warrant, self._clock(), int(self._monotonic() * 1e9))
            wrapped = {"recording_id": recording_id, "wrapped": self.keys.wrap(data_key, recording_id).to_json()}
            # The key first: an opening without a key would be a recording that nobody can ever read.
            self.store.put(f"{recording_id}/{KEY_FILE}", sign_document(WRAPPED_KEY, wrapped, self._signing_key))
            self.store.put(f"{recording_id}/{OPENING_FILE}", sign_document(OPENING, opening, self._signing_key))
            sink = LogSink(
                self.store,
                opening,
                data_key,
                self._signing_key,
                segment_seconds=self._segment_seconds - self._flush_seconds,
            )
        except BaseException:
            claim.release()
            raise
        return _Begun(sink, claim)

    def _go_on(self, warrant: RecordingWarrant) -> _Begun:
        recording_id = warrant.recording_id
        opening = read_opening(self.store, recording_id, self.public_key)
        if opening["call_id"] != str(warrant.call_id):
            raise RecordingExists(recording_id)
        claim: Claim = _NoClaim()
        try:
            claim = self.store.claim(recording_id)
        except RecordingBusy:
            log.warning("the recording's old writer lives, but has lost the call", recording_id=recording_id)
        try:
            sink, stored = take_over(
                self.store,
                self.keys,
                self._signing_key,
                recording_id,
                self._clock,
                int(self._monotonic() * 1e9),
                segment_seconds=self._segment_seconds - self._flush_seconds,
            )
        except BaseException:
            claim.release()
            raise
        return _Begun(sink, claim, 1 + max(stored.summary.tracks, default=-1), stored.heard_events)

    def _recover(self) -> list[SealSummary]:
        sealed: list[SealSummary] = []
        for recording_id in self.store.prefixes():
            if not needs_recovery(self.store, recording_id):
                continue
            try:
                sealed.append(recover_recording(self.store, self.keys, self._signing_key, recording_id, self._clock))
                self.unrecovered.pop(recording_id, None)
            except RecordingBusy:
                continue  # another process is writing it now
            except (RecorderError, OSError) as error:
                code = error.code if isinstance(error, RecorderError) else "storage"
                self.unrecovered[recording_id] = code
                log.error("recording not recovered", recording_id=recording_id, code=code)
        return sealed


@dataclass(frozen=True, slots=True)
class _Begun:
    sink: LogSink
    claim: Claim
    first_track: int = 0
    heard_events: int = 0


class _NoClaim:
    """The old writer, which stands still, has the claim: what keeps it from writing is the new writer's document."""

    def release(self) -> None:
        pass


def _require_ordinary(call_id: str) -> None:
    """NotRecordable unless `call_id` is an ordinary call's.

    Its text decides, not the type that somebody claims for it.
    """
    try:
        ordinary = isinstance(parse_call_id(call_id), OrdinaryCallId)
    except ValueError as error:
        raise NotRecordable("not a call's identifier") from error
    if not ordinary:
        raise NotRecordable("a privileged call is never recorded")
