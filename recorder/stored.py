"""A recording that was never sealed, as far as it is stored: its segments, its chain, and who wrote it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recorder.access import read_data_key, read_opening, segment_names
from recorder.blobs import BlobStore
from recorder.documents import WRITER, read_document, signed_bytes
from recorder.errors import RecordingDamaged
from recorder.keys import KeyRing
from recorder.log import read_records
from recorder.manifest import Takeover, chain_link, chain_root, writer_number
from recorder.segment import (
    SegmentEntry,
    chain_after,
    check_footer,
    footer,
    read_chunks,
    read_closed,
    read_header,
    segment_name,
    segment_number,
)
from recorder.summary import RecordingSummary


class StoredLog:
    """Reads what there is when it is made. RecordingDamaged, KeyUnavailable, RecordingNotFound; changes nothing.

    `wall_offset_ns` is what the last record's wall clock was ahead of its monotonic clock.
    """

    def __init__(self, store: BlobStore, keys: KeyRing, key: Ed25519PrivateKey, recording_id: str) -> None:
        self._store = store
        self._key = key
        self._public = key.public_key()
        self._recording_id = recording_id
        self.opening = read_opening(store, recording_id, self._public)
        self.data_key = read_data_key(store, recording_id, keys, self._public)
        self._cipher = AESGCM(self.data_key)
        self.summary = RecordingSummary()
        self.segments: list[SegmentEntry] = []
        self.chain = chain_root(self.opening)
        self.takeovers: list[Takeover] = []
        self._cuts: dict[int, dict[str, Any]] = {}
        self.heard_events = 0
        self.wall_offset_ns: int | None = None
        self._pending = self._writers()
        for name in segment_names(store, recording_id):
            self._take(store.get(name))

    @property
    def last_ns(self) -> int:
        """The latest time that is recorded."""
        return self.summary.last_ns or int(self.opening["started_mono_ns"])

    def salvage(self, writer: int | None = None) -> Mapping[str, Any]:
        """Close what is left of the open segment. Gives where the cut is and what was thrown away.

        With `writer`, as that writer's: whoever left it may still have it open, so it is copied and taken away.
        """
        lost = 0
        # The latest writer's first: of two that left a segment of the same number only one stands on this chain.
        for name in sorted(self._store.unfinished(self._recording_id), key=_writer_of, reverse=True):
            if writer is not None and _writer_of(name) >= writer:
                continue
            data = self._store.read_unfinished(name)
            if segment_number(name) != len(self.segments) + 1:
                lost += len(data)
                self._store.discard(name)  # half a document, or what came too late: not the next segment
                continue
            try:
                chunks, end = read_chunks(data, self._cipher, len(data))
                chunks = chunks if self._fits(data) else []
            except RecordingDamaged:  # not even its header was written
                chunks, end = [], 0
            if not chunks:
                lost += len(data)
                self._store.discard(name)
                continue
            lost += len(data) - end
            self._close(name, data[:end], writer)
        return {"dropped_bytes": lost, "last_ns": self.summary.last_ns, "segment": len(self.segments)}

    def pass_on(self, from_ns: int, to_ns: int, dropped_bytes: int) -> None:
        """Link every change of writers that has written nothing yet to the chain's end."""
        while self._pending:
            number, sha256 = self._pending.pop(0)
            self._link(number, sha256, {"from_ns": from_ns, "to_ns": to_ns, "dropped_bytes": dropped_bytes})

    def _writers(self) -> list[tuple[int, bytes]]:
        """The later writers, each with the digest that its document gives the chain."""
        found: list[tuple[int, bytes]] = []
        for name in self._store.names(self._recording_id):
            number = writer_number(name)
            if number is not None:
                body = read_document(self._store.get(name), WRITER, self._public)
                if body.get("recording_id") != self._recording_id or body.get("writer") != number:
                    raise RecordingDamaged(f"the document of writer {number} is another's")
                found.append((number, hashlib.sha256(signed_bytes(WRITER, body)).digest()))
        if [number for number, _ in found] != list(range(2, len(found) + 2)):
            raise RecordingDamaged("a writer's document is missing")
        return found

    def _fits(self, data: bytes) -> bool:
        """Whether an open segment stands on the chain as it is, or as it is after changes of writers."""
        chain, before = self.chain, read_header(data).before
        for _, sha256 in self._pending:
            if chain == before:
                return True
            chain = chain_link(chain, sha256)
        return chain == before

    def _close(self, name: str, body: bytes, writer: int | None) -> None:
        digest = hashlib.sha256(body).digest()
        chain = chain_after(read_header(body).before, digest)
        number = len(self.segments) + 1
        tail = footer(self._recording_id, number, digest, chain, self._key)
        if writer is None:
            self._store.finish(name, len(body), tail)
        else:
            copy = self._store.append(segment_name(self._recording_id, number), writer)
            copy.write(body + tail)
            copy.commit()
            self._store.discard(name)
        self._take(body + tail)

    def _take(self, data: bytes) -> None:
        """Count a closed segment in. RecordingDamaged unless it is the next one of this recording's chain."""
        header = read_header(data)
        number = len(self.segments) + 1
        changes: list[tuple[int, bytes]] = []
        chain = self.chain
        while header.before != chain and self._pending:
            changes.append(self._pending.pop(0))
            chain = chain_link(chain, changes[-1][1])
        if (header.recording_id, header.number, header.before) != (self._recording_id, number, chain):
            raise RecordingDamaged(f"segment {number} is not the next of its chain")
        sha256, after = check_footer(data, header, self._public)
        for writer, document in changes:
            self._link(writer, document, {"from_ns": self.last_ns, "to_ns": header.mono_ns, "dropped_bytes": 0})
        self._read(data, header.mono_ns, sha256, after)
        self.chain = bytes.fromhex(after)

    def _read(self, data: bytes, opened_ns: int, sha256: str, after: str) -> None:
        first_ns = last_ns = opened_ns
        count = 0
        for chunk in read_closed(data, self._cipher):
            for record in read_records(chunk):
                self.summary.feed(record)
                first_ns, last_ns = min(first_ns, record.mono_ns), max(last_ns, record.mono_ns)
                self.wall_offset_ns = record.wall_ns - record.mono_ns
                count += 1
            self.summary.gap_records(last_ns)  # for its count; the log has these records already
        self.segments.append(SegmentEntry(len(self.segments) + 1, len(data), sha256, after, first_ns, last_ns, count))
        self.heard_events = max((int(event["sequence"]) for event in self.summary.events), default=0)

    def _link(self, number: int, sha256: bytes, cut: Mapping[str, int]) -> None:
        self.chain = chain_link(self.chain, sha256)
        self.takeovers.append(Takeover(number, len(self.segments), sha256.hex(), **cut))


def _writer_of(unfinished: str) -> int:
    return int(unfinished.partition("+")[2] or 1)
