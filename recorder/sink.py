"""Turns batches of what arrived into segments and, at the end, the seal.

Synchronous; the writer's thread, or a recovery, drives it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recorder.blobs import Appender, BlobStore
from recorder.documents import MANIFEST, sign_document
from recorder.errors import WriterReplaced
from recorder.log import NO_TRACK, RecordKind
from recorder.log import frame as record
from recorder.manifest import (
    MANIFEST_FILE,
    SealSummary,
    Takeover,
    chain_root,
    manifest_body,
    summary_of,
    writer_file,
)
from recorder.segment import SegmentEntry, SegmentWriter, segment_name
from recorder.summary import RecordingSummary
from recorder.tape import Item, frame

SEGMENT_SECONDS = 2.0
_CLOCK_STEP_NS = 500_000_000
_CHUNK_RECORDS = 8192  # keeps a chunk far below what a segment takes


@dataclass(frozen=True, slots=True)
class Continued:
    """What a later writer goes on from: what was read of the log, the chain's value, and the changes of writers.

    `shift_ns` is what makes this process's monotonic clock the recording's.
    """

    summary: RecordingSummary
    segments: Sequence[SegmentEntry]
    chain: bytes
    takeovers: Sequence[Takeover] = ()
    shift_ns: int = 0

    @property
    def writer(self) -> int:
        """The number of the present writer."""
        return self.takeovers[-1].writer if self.takeovers else 1


class LogSink:
    """One recording's log. Not thread-safe; OSError where the store fails, and then nothing more may be written.

    WriterReplaced as soon as another process has taken the recording over.
    """

    def __init__(
        self,
        store: BlobStore,
        opening: Mapping[str, Any],
        data_key: bytes,
        signing_key: Ed25519PrivateKey,
        *,
        segment_seconds: float = SEGMENT_SECONDS,
        before: Continued | None = None,
    ) -> None:
        """A new recording, or the continuation of one."""
        if before is None:
            before = Continued(RecordingSummary(), (), chain_root(opening))
        self.summary = before.summary
        self._takeovers = before.takeovers
        self._writer = before.writer
        self._shift_ns = before.shift_ns
        self._store = store
        self._opening = dict(opening)
        self._recording_id = str(opening["recording_id"])
        self._successor = f"{self._recording_id}/{writer_file(before.writer + 1)}"
        self._manifest = f"{self._recording_id}/{MANIFEST_FILE}"
        self._cipher = AESGCM(data_key)
        self._key = signing_key
        self._segment_ns = int(segment_seconds * 1e9)
        self._segments = list(before.segments)
        self._chain = before.chain
        self._open: SegmentWriter | None = None
        self._first_ns = self._last_ns = 0
        self._records = 0
        self._offset_ns: int | None = None
        self.bytes_written = sum(segment.size for segment in self._segments)

    @property
    def segments(self) -> int:
        """How many segments are closed."""
        return len(self._segments)

    def write(self, items: list[Item], now_ns: int, offset_ns: int) -> None:
        """Append a batch.

        `now_ns` is the monotonic clock now; `offset_ns` what to add to it to get nanoseconds since 1970.
        """
        self._look_for_successor()
        now_ns += self._shift_ns
        offset_ns -= self._shift_ns
        for start in range(0, len(items), _CHUNK_RECORDS):
            self._write_chunk(items[start : start + _CHUNK_RECORDS], offset_ns)
        notes = self._clock_note(offset_ns, now_ns) if items else []
        gaps = self.summary.gap_records(now_ns)
        if gaps or notes:
            self._write_chunk([*notes, *_gap_items(gaps, now_ns - self._shift_ns)], offset_ns)
        if self._open is not None and now_ns - self._open.opened_ns >= self._segment_ns:
            self._close_segment()

    def finish(
        self, reason: str, sealed_at: datetime, now_ns: int, cut: Mapping[str, Any] | None = None
    ) -> SealSummary:
        """Close the last segment and write the signed manifest."""
        now_ns += self._shift_ns
        gaps = self.summary.gap_records(now_ns, final=True)
        if gaps:
            self._write_chunk(_gap_items(gaps, now_ns - self._shift_ns), self._offset_ns or 0)
        if self._open is not None:
            self._close_segment()
        body = manifest_body(
            self._opening,
            self._segments,
            self.summary.to_json(),
            last_ns=self.summary.last_ns,
            sealed_at=sealed_at,
            reason=reason,
            cut=cut,
            takeovers=self._takeovers,
            head=self._chain,
        )
        seal = self._store.append(self._manifest, self._writer)
        seal.write(sign_document(MANIFEST, body, self._key))
        self._look_for_successor()
        _commit(seal)
        for name in self._store.unfinished(self._recording_id):
            self._store.discard(name)  # what an earlier writer left behind
        return summary_of(body)

    def _look_for_successor(self) -> None:
        """Nobody may write on where another does, nor, as a later writer, what an earlier one has sealed meanwhile."""
        if self._store.exists(self._successor) or (self._writer > 1 and self._store.exists(self._manifest)):
            raise WriterReplaced(self._recording_id)

    def abandon(self) -> None:
        """Leave everything as it is, for a recovery."""
        if self._open is not None:
            self._open.abandon()
            self._open = None

    def _write_chunk(self, items: list[Item], offset_ns: int) -> None:
        if not items:
            return
        plain, first_ns, last_ns = self._frame(items, offset_ns)
        if self._open is None:
            self._begin_segment(first_ns, offset_ns)
        assert self._open is not None  # noqa: S101 (for the type checker; _begin_segment sets it)
        self._open.write_chunk(plain)
        self._records += len(items)
        self._last_ns = max(self._last_ns, last_ns)
        self.summary.at(first_ns)
        self.summary.at(last_ns)

    def _frame(self, items: list[Item], offset_ns: int) -> tuple[bytes, int, int]:
        """The records' bytes, and the times of the earliest and the latest."""
        shift = self._shift_ns
        parts: list[bytes] = []
        times: list[int] = []
        at = 0
        while at < len(items):
            end, records, runs, first_ns, last_ns = frame(items, at, shift, offset_ns)
            if end > at:
                parts.append(records)
                times += (first_ns, last_ns)
                if runs is None or not self.summary.runs(runs):
                    self._follow(items[at:end])
            if end < len(items):
                kind, index, payload, arrival = items[end]
                mono_ns = int(arrival * 1e9) + shift
                parts.append(self._frame_json(kind, index, payload, mono_ns, offset_ns))  # type: ignore[arg-type]
                times.append(mono_ns)
                end += 1
            at = end
        return b"".join(parts), min(times), max(times)

    def _follow(self, items: Iterable[Item]) -> None:
        """Count packets one by one: some of them are not in order."""
        for kind, index, payload, arrival in items:
            if kind == RecordKind.RTP and isinstance(payload, bytes):
                self.summary.rtp(index, payload, int(arrival * 1e9) + self._shift_ns)

    def _frame_json(self, kind: int, index: int, payload: Mapping[str, Any], mono_ns: int, offset_ns: int) -> bytes:
        shift = self._shift_ns
        if shift and "first_ns" in payload:  # a note of what was dropped, by this process's own clock
            payload = {**payload, **{key: payload[key] + shift for key in ("first_ns", "last_ns")}}
        self._note_json(kind, index, payload, mono_ns)
        text = json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
        return record(kind, index, mono_ns, mono_ns + offset_ns, text)

    def _note_json(self, kind: int, index: int, value: Mapping[str, Any], mono_ns: int) -> None:
        if kind == RecordKind.TRACK:
            self.summary.track(index, value, mono_ns)
        elif kind == RecordKind.TRACK_END:
            self.summary.track_end(index, mono_ns)
        elif kind == RecordKind.EVENT:
            self.summary.event(value, mono_ns)
        elif kind == RecordKind.NOTE:
            self.summary.note(value, mono_ns)

    def _clock_note(self, offset_ns: int, now_ns: int) -> list[Item]:
        before, self._offset_ns = self._offset_ns, offset_ns
        if before is None or abs(offset_ns - before) < _CLOCK_STEP_NS:
            return []
        step = {"note": "clock_step", "milliseconds": (offset_ns - before) // 1_000_000}
        return [(RecordKind.NOTE, NO_TRACK, step, (now_ns - self._shift_ns) / 1e9)]

    def _begin_segment(self, first_ns: int, offset_ns: int) -> None:
        number = len(self._segments) + 1
        self._open = SegmentWriter(
            self._store.append(segment_name(self._recording_id, number), self._writer),
            self._cipher,
            self._recording_id,
            number,
            self._chain,
            wall_ns=max(0, first_ns + offset_ns),
            mono_ns=first_ns,
        )
        self._first_ns = self._last_ns = first_ns
        self._records = 0

    def _close_segment(self) -> None:
        assert self._open is not None  # noqa: S101 (for the type checker; callers have looked)
        self._look_for_successor()
        try:
            entry = self._open.close(self._key, first_ns=self._first_ns, last_ns=self._last_ns, records=self._records)
        except (FileExistsError, FileNotFoundError) as error:
            raise WriterReplaced(self._recording_id) from error
        self._segments.append(entry)
        self._chain = bytes.fromhex(entry.chain)
        self.bytes_written += entry.size
        self._open = None


def _commit(appender: Appender) -> None:
    try:
        appender.commit()
    except (FileExistsError, FileNotFoundError) as error:
        raise WriterReplaced("another writer was faster") from error


def _gap_items(gaps: Iterable[tuple[int, bytes]], now_ns: int) -> list[Item]:
    return [(RecordKind.GAP, index, payload, now_ns / 1e9) for index, payload in gaps]
