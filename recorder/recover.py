"""After a crash: what is stored of an unsealed recording is salvaged, the cut is marked, and the rest is sealed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recorder.access import read_data_key, read_opening, segment_names
from recorder.blobs import BlobStore
from recorder.errors import RecordingDamaged
from recorder.keys import KeyRing
from recorder.log import NO_TRACK, RecordKind, read_records
from recorder.manifest import MANIFEST_FILE, OPENING_FILE, TOMBSTONE_FILE, SealSummary, chain_root
from recorder.segment import (
    SegmentEntry,
    chain_after,
    check_footer,
    footer,
    read_chunks,
    read_closed,
    read_header,
    segment_number,
)
from recorder.sink import LogSink
from recorder.summary import RecordingSummary

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
        return _Recovery(store, keys, signing_key, recording_id).run(clock)
    finally:
        claim.release()


class _Recovery:
    def __init__(self, store: BlobStore, keys: KeyRing, key: Ed25519PrivateKey, recording_id: str) -> None:
        self._store = store
        self._key = key
        self._public = key.public_key()
        self._recording_id = recording_id
        self._opening = read_opening(store, recording_id, self._public)
        self._data_key = read_data_key(store, recording_id, keys, self._public)
        self._cipher = AESGCM(self._data_key)
        self._summary = RecordingSummary()
        self._segments: list[SegmentEntry] = []
        self._chain = chain_root(self._opening)

    def run(self, clock: Callable[[], datetime]) -> SealSummary:
        for name in segment_names(self._store, self._recording_id):
            self._take(self._store.get(name))
        cut = {**self._salvage(), "recovered_at": clock().isoformat()}
        last_ns = self._summary.last_ns or int(self._opening["started_mono_ns"])
        sink = LogSink(
            self._store,
            self._opening,
            self._data_key,
            self._key,
            summary=self._summary,
            segments=self._segments,
        )
        # The monotonic clock of the process that died is gone: its last record is the latest time it can name.
        now = int(clock().timestamp() * 1e9)
        sink.write([(RecordKind.NOTE, NO_TRACK, {"note": "cut", **cut}, last_ns / 1e9)], last_ns, now - last_ns)
        summary = sink.finish("interrupted", clock(), last_ns, cut)
        log.warning("recording recovered", recording_id=self._recording_id, segments=summary.segments)
        return summary

    def _salvage(self) -> Mapping[str, Any]:
        """Close what is left of the open segment. Gives where the cut is and what was thrown away."""
        lost = 0
        for name in self._store.unfinished(self._recording_id):
            data = self._store.read_unfinished(name)
            if segment_number(name) != len(self._segments) + 1:
                lost += len(data)
                self._store.discard(name)  # half a document, not a segment
                continue
            try:
                chunks, end = read_chunks(data, self._cipher, len(data))
            except RecordingDamaged:  # not even its header was written
                chunks, end = [], 0
            lost += len(data) - end
            if not chunks:
                self._store.discard(name)
                continue
            digest, chain = _digest_of(data[:end])
            tail = footer(self._recording_id, len(self._segments) + 1, digest, chain, self._key)
            self._store.finish(name, end, tail)
            self._take(data[:end] + tail)
        return {"dropped_bytes": lost, "last_ns": self._summary.last_ns, "segment": len(self._segments)}

    def _take(self, data: bytes) -> None:
        """Count a closed segment in. RecordingDamaged unless it is the next one of this recording's chain."""
        header = read_header(data)
        expected = (self._recording_id, len(self._segments) + 1, self._chain)
        if (header.recording_id, header.number, header.before) != expected:
            raise RecordingDamaged(f"segment {len(self._segments) + 1} is not the next of its chain")
        sha256, chain = check_footer(data, header, self._public)
        first_ns = last_ns = header.mono_ns
        count = 0
        for chunk in read_closed(data, self._cipher):
            for record in read_records(chunk):
                self._summary.feed(record)
                first_ns, last_ns = min(first_ns, record.mono_ns), max(last_ns, record.mono_ns)
                count += 1
            self._summary.gap_records(last_ns)  # for its count; the log has these records already
        self._chain = bytes.fromhex(chain)
        self._segments.append(SegmentEntry(header.number, len(data), sha256, chain, first_ns, last_ns, count))


def _digest_of(body: bytes) -> tuple[bytes, bytes]:
    digest = hashlib.sha256(body).digest()
    return digest, chain_after(read_header(body).before, digest)
