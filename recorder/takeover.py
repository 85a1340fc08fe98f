"""A recording that changes hands: its call's node is gone or has lost the call, and another goes on with it.

The new writer first puts its numbered document (`writer-0002.json`) where only one can: from then on the old one,
should it still live, finds that it is late at its next step, and cannot commit anything. Then the new one salvages what
the old one had open, links its own document to the chain's end, marks the cut, and writes on. The time line goes on by
the wall clock: what lay between is a gap of known length.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recorder.access import read_data_key, read_opening
from recorder.blobs import BlobStore
from recorder.documents import WRITER, sign_document
from recorder.errors import RecordingBusy, RecordingExists, RecordingNotFound, WriterReplaced
from recorder.keys import KeyRing
from recorder.log import NO_TRACK, RecordKind
from recorder.manifest import writer_body, writer_file, writer_number
from recorder.recover import needs_recovery
from recorder.sink import Continued, LogSink
from recorder.stored import StoredLog
from recorder.tape import Item

log = structlog.get_logger(__name__)


def take_over(
    store: BlobStore,
    keys: KeyRing,
    signing_key: Ed25519PrivateKey,
    recording_id: str,
    clock: Callable[[], datetime],
    mono_ns: int,
    *,
    segment_seconds: float,
) -> tuple[LogSink, StoredLog]:
    """The sink that goes on with the recording, and what was recorded so far; `mono_ns` is this process's clock.

    RecordingBusy if another was faster, RecordingExists if it is sealed, KeyUnavailable; RecordingDamaged: then it is
    as it was, but that its old writer is none any more.
    """
    writer = 2 + max((number - 1 for name in store.names(recording_id) if (number := writer_number(name))), default=0)
    document = f"{recording_id}/{writer_file(writer)}"
    opening = read_opening(store, recording_id, signing_key.public_key())
    read_data_key(store, recording_id, keys, signing_key.public_key())  # what cannot be read is taken from nobody
    try:
        store.put_new(document, sign_document(WRITER, writer_body(opening, writer, clock()), signing_key))
    except (FileExistsError, FileNotFoundError) as error:  # the latter: one who was faster has cleared it away
        raise RecordingBusy(recording_id) from error
    try:
        stored = StoredLog(store, keys, signing_key, recording_id)
        dropped = int(stored.salvage(writer)["dropped_bytes"])
    except (FileExistsError, FileNotFoundError, RecordingNotFound) as error:
        raise RecordingBusy(recording_id) from error  # yet another takes it from us, or the old one was faster
    if not needs_recovery(store, recording_id):  # the old writer had sealed it before it could see the document
        store.delete(document)
        raise RecordingExists(recording_id)
    try:
        return _continue(stored, store, signing_key, clock, mono_ns, dropped, segment_seconds), stored
    except WriterReplaced as error:
        raise RecordingBusy(recording_id) from error


def _continue(
    stored: StoredLog,
    store: BlobStore,
    signing_key: Ed25519PrivateKey,
    clock: Callable[[], datetime],
    mono_ns: int,
    dropped: int,
    segment_seconds: float,
) -> LogSink:
    now_wall = int(clock().timestamp() * 1e9)
    offset = stored.wall_offset_ns
    if offset is None:
        started = datetime.fromisoformat(str(stored.opening["started_at"]))
        offset = int(started.timestamp() * 1e9) - int(stored.opening["started_mono_ns"])
    last_ns = stored.last_ns
    now_ns = max(last_ns, now_wall - offset)  # wall clocks of two machines may disagree: time never goes back
    shift_ns = now_ns - mono_ns
    stored.pass_on(last_ns, now_ns, dropped)
    before = Continued(stored.summary, stored.segments, stored.chain, stored.takeovers, shift_ns)
    sink = LogSink(store, stored.opening, stored.data_key, signing_key, segment_seconds=segment_seconds, before=before)
    ends: list[Item] = [
        (RecordKind.TRACK_END, index, {"track_id": str(track.info.get("track_id", ""))}, (last_ns - shift_ns) / 1e9)
        for index, track in stored.summary.tracks.items()
        if track.ended_ns is None
    ]
    change = {key: value for key, value in stored.takeovers[-1].to_json().items() if key != "sha256"}
    note: Item = (RecordKind.NOTE, NO_TRACK, {"note": "cut", **change}, mono_ns / 1e9)
    sink.write([*ends, note], mono_ns, now_wall - mono_ns)
    log.warning("recording goes on here", recording_id=stored.opening["recording_id"], writer=before.writer)
    return sink
