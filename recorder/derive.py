"""Derived files of sealed recordings: made once in a process of their own, kept encrypted, opened for reading."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from recorder.access import plain_chunks, read_data_key, read_manifest
from recorder.blobs import BlobStore
from recorder.errors import RecordingNotFound
from recorder.index import RecordingIndex
from recorder.keys import KeyRing
from recorder.playback import ParticipantPart, base_timeline, participant_part, with_parts
from recorder.remux import remux
from recorder.sealedfile import SealedFile, derived_key

T = TypeVar("T")

_TIMELINE = "timeline"
_TIMEOUT = 600.0


@dataclass(frozen=True, slots=True)
class Derived:
    """A recording made playable: its time line (recorder/playback.py); track n of it is opened with
    `Deriver.open_track`.
    """

    recording_id: str
    timeline: dict[str, Any]


class Deriver:
    """Makes a recording playable and keeps what it made under `cache`.

    `store` must be picklable: the work is another process's.
    """

    def __init__(
        self, store: BlobStore, keys: KeyRing, public_key: Ed25519PublicKey, cache: Path, *, workers: int = 1
    ) -> None:
        self._store = store
        self._keys = keys
        self._public_key = public_key
        self._cache = cache
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Spawned: a forked copy of a process with media threads and sockets is not safe.
        self._workers = workers
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_settle, max_tasks_per_child=50)
        self._running: dict[str, asyncio.Task[None]] = {}

    async def warm(self) -> None:
        """Start the worker processes now: the first who opens a recording does not wait for that."""
        workers = range(self._workers)
        await asyncio.gather(*(asyncio.wrap_future(self._submit(_ready, number)) for number in workers))

    async def derive(self, recording_id: str) -> Derived:
        """The recording, playable; made now if it is not in the cache.

        NotSealed, RecordingDeleted, RecordingNotFound, RecordingDamaged, KeyUnavailable, TimeoutError.
        """
        data_key = await asyncio.to_thread(self._key, recording_id)
        if not self._path(recording_id, _TIMELINE).exists():
            # Two viewers who ask at once share the work.
            task = self._running.get(recording_id)
            if task is None:
                task = asyncio.create_task(self._make(recording_id, data_key))
                self._running[recording_id] = task
                task.add_done_callback(lambda _: self._running.pop(recording_id, None))
            await asyncio.shield(task)
        return Derived(recording_id, await asyncio.to_thread(self._timeline, recording_id, data_key))

    def open_track(self, recording_id: str, number: int) -> SealedFile:
        """The derived WebM of track `number` (from 1) for reading. RecordingNotFound unless `derive` made it."""
        key = derived_key(self._key(recording_id), recording_id)
        path = self._path(recording_id, f"{number}.webm")
        if not path.exists():
            raise RecordingNotFound(f"{recording_id} has no track {number}")
        return SealedFile(path, key, path.name, writing=False)

    def forget(self, recording_id: str) -> None:
        """Remove what was derived of a recording."""
        shutil.rmtree(self._cache / recording_id, ignore_errors=True)

    def close(self) -> None:
        """Stop the workers; what they are doing is finished first."""
        self._pool.shutdown(cancel_futures=True)

    def _submit(self, call: Callable[..., T], *args: Any) -> Future[T]:
        """A job for the pool, which starts a worker when it has too few. A worker begins with the signal mask of the
        thread that starts it: so Ctrl-C does not end it in the seconds before `_settle`, while it imports."""
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return self._pool.submit(call, *args)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    async def _make(self, recording_id: str, data_key: bytes) -> None:
        manifest = await asyncio.to_thread(read_manifest, self._store, recording_id, self._public_key)
        folder = self._cache / recording_id
        people = len(manifest["content"]["participants"])
        # One job per participant: they take both cores of a small machine.
        jobs = [
            asyncio.wrap_future(self._submit(derive_participant, self._store, manifest, data_key, folder, number))
            for number in range(1, max(1, people) + 1)
        ]
        async with asyncio.timeout(_TIMEOUT):
            made = await asyncio.gather(*jobs)
            whole = with_parts(made[0].base, [one.part for one in made if one.part is not None])
            await asyncio.to_thread(_write_timeline, folder, derived_key(data_key, recording_id), whole)

    def _key(self, recording_id: str) -> bytes:
        read_manifest(self._store, recording_id, self._public_key)  # sealed, and not deleted
        return read_data_key(self._store, recording_id, self._keys, self._public_key)

    def _timeline(self, recording_id: str, data_key: bytes) -> dict[str, Any]:
        path = self._path(recording_id, _TIMELINE)
        with SealedFile(path, derived_key(data_key, recording_id), path.name, writing=False) as file:
            value: dict[str, Any] = json.loads(file.read())
        return value

    def _path(self, recording_id: str, name: str) -> Path:
        return self._cache / recording_id / name


@dataclass(frozen=True, slots=True)
class _Made:
    """What a job found: the call as a whole, and its participant (None where nobody had a track)."""

    base: dict[str, Any]
    part: ParticipantPart | None


def derive_participant(store: BlobStore, manifest: dict[str, Any], data_key: bytes, folder: Path, number: int) -> _Made:
    """Write `<number>.webm` of the manifest's participant `number` (from 1) into `folder`; give its part of the time
    line.
    """
    opening = manifest["opening"]
    recording_id = str(opening["recording_id"])
    people = [str(person["participant_id"]) for person in manifest["content"]["participants"]]
    only = people[number - 1 : number]
    start_ns = int(opening["started_mono_ns"])
    index = RecordingIndex.build(plain_chunks(store, recording_id, data_key), start_ns, only=only)
    base = base_timeline(index, opening, manifest)
    if not only:
        return _Made(base, None)
    who = only[0]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _output(folder, f"{number}.webm", derived_key(data_key, recording_id)) as file:
        reports = remux(plain_chunks(store, recording_id, data_key), index, {who: file})
    return _Made(base, participant_part(index, number, who, reports.get(who)))


def _write_timeline(folder: Path, key: bytes, whole: dict[str, Any]) -> None:
    """Write the time line; it comes last, so that its being there says that all is there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    half = folder / f"{_TIMELINE}.half"
    with SealedFile(half, key, _TIMELINE, writing=True) as file:
        file.write(json.dumps(whole, separators=(",", ":")).encode())
    half.replace(folder / _TIMELINE)


def _settle() -> None:
    """The first thing a worker does: leave Ctrl-C to the application, which ends its workers in its own order, and see
    to it that the worker ends with an application that could not do that."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # half-made files are made again: the time line, which comes last, says what is whole


def _ready(number: int) -> int:
    """By the time this runs, the worker has imported what it needs."""
    return number


def _output(folder: Path, name: str, key: bytes) -> BinaryIO:
    return cast(BinaryIO, SealedFile(folder / name, key, name, writing=True))  # all of it that a muxer uses
