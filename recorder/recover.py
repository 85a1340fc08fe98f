"""After a crash: what is stored of an unsealed recording is salvaged, the cut is marked, and the rest is sealed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recorder.blobs import BlobStore
from recorder.keys import KeyRing
from recorder.log import NO_TRACK, RecordKind
from recorder.manifest import MANIFEST_FILE, OPENING_FILE, TOMBSTONE_FILE, SealSummary
from recorder.sink import Continued, LogSink
from recorder.stored import StoredLog

log = structlog.get_logger(__name__)


def needs_recovery(store: BlobStore, recording_id: str) -> bool:
    """Whether a recording was begun and never sealed. (It may be being written at this moment: claim it first.)"""
    names = set(store.names(recording_id))
    finished = {f"{recording_id}/{MANIFEST_FILE}", f"{recording_id}/{TOMBSTONE_FILE}"}
    return f"{recording_id}/{OPENING_FILE}" in names and not finished & names


def recover_recording(
    store: BlobStore,
    keys: KeyRing,
    signing_key: Ed25519PrivateKey,
    recording_id: str,
    clock: Callable[[], datetime],
) -> SealSummary:
    """Salvage and seal one recording.

    RecordingBusy if somebody writes it; RecordingDamaged or KeyUnavailable leave it untouched.
    """
    claim = store.claim(recording_id)
    try:
        return _recover(StoredLog(store, keys, signing_key, recording_id), store, signing_key, clock)
    finally:
        claim.release()


def _recover(
    stored: StoredLog, store: BlobStore, signing_key: Ed25519PrivateKey, clock: Callable[[], datetime]
) -> SealSummary:
    cut = {**stored.salvage(), "recovered_at": clock().isoformat()}
    last_ns = stored.last_ns
    stored.pass_on(last_ns, last_ns, 0)
    before = Continued(stored.summary, stored.segments, stored.chain, stored.takeovers)
    sink = LogSink(store, stored.opening, stored.data_key, signing_key, before=before)
    # The monotonic clock of the process that died is gone: its last record is the latest time it can name.
    now = int(clock().timestamp() * 1e9)
    sink.write([(RecordKind.NOTE, NO_TRACK, {"note": "cut", **cut}, last_ns / 1e9)], last_ns, now - last_ns)
    summary = sink.finish("interrupted", clock(), last_ns, cut)
    log.warning("recording recovered", recording_id=summary.recording_id, segments=summary.segments)
    return summary
