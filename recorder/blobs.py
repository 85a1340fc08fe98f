"""Where recordings lie: a port, and the folder that stands behind it by default.

Names are `<recording id>/<file>`. A store only ever adds whole objects (`put`, `Appender.commit`) or removes them;
what is being written is an *unfinished* object until it is committed, and survives the death of its writer up to the
last `write`. An object store adapter keeps its unfinished objects in a local folder and uploads at commit.

A recording may change hands (recorder/takeover.py): writers are numbered, each has unfinished objects of its own
(`000007.seg+2` is the second one's), and a commit never replaces an object: of two writers one finds that it is late.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from recorder.errors import RecordingBusy, RecordingNotFound

_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_OPEN = ".open"
_WRITER = "+"
_LOCK = ".lock"


class Appender(Protocol):
    """An object being written."""

    def write(self, data: bytes) -> None:
        """Append. OSError if the store cannot take it."""
        ...

    def commit(self) -> None:
        """Make it durable and visible under its name.

        FileExistsError if another writer was faster, FileNotFoundError if another has discarded it.
        """
        ...

    def abandon(self) -> None:
        """Stop writing; what was written stays as an unfinished object."""
        ...


class Claim(Protocol):
    """The right to write a recording; the death of the process gives it back."""

    def release(self) -> None:
        """Give it back."""
        ...


class BlobStore(Protocol):
    """Objects by name. OSError where the medium fails; RecordingNotFound where an object is not there."""

    def prefixes(self) -> Iterator[str]:
        """Every recording that has any object, in order of name."""
        ...

    def names(self, prefix: str) -> list[str]:
        """The full names of a recording's committed objects, in order. Empty if there are none."""
        ...

    def get(self, name: str) -> bytes:
        """A committed object's bytes."""
        ...

    def put(self, name: str, data: bytes) -> None:
        """Store durably, whole or not at all; replaces what was there."""
        ...

    def put_new(self, name: str, data: bytes) -> None:
        """Store durably, whole or not at all. FileExistsError if there is one: of several at once one succeeds."""
        ...

    def exists(self, name: str) -> bool:
        """Whether there is a committed object of this name."""
        ...

    def append(self, name: str, writer: int = 1) -> Appender:
        """Begin an object. FileExistsError if it is there, finished or not (by this writer)."""
        ...

    def unfinished(self, prefix: str) -> list[str]:
        """The names under which a recording has unfinished objects, in order; a later writer's end in `+2`, `+3`..."""
        ...

    def read_unfinished(self, name: str) -> bytes:
        """What was written of an unfinished object."""
        ...

    def finish(self, name: str, keep: int, tail: bytes) -> None:
        """Cut an unfinished object to its first `keep` bytes, add `tail`, commit it. Its writer must be dead."""
        ...

    def discard(self, name: str) -> None:
        """Remove an unfinished object."""
        ...

    def delete(self, name: str) -> None:
        """Remove a committed object; nothing happens if there is none."""
        ...

    def overwrite(self, name: str, data: bytes) -> None:
        """Write `data` over an object's own bytes, in place where the medium can, before it is deleted."""
        ...

    def claim(self, prefix: str) -> Claim:
        """The sole right to write a recording.

        RecordingBusy if another process, or another claim of this one, has it.
        """
        ...

    def used(self) -> float:
        """How full the store is, 0 to 1."""
        ...


class FolderStore:
    """A folder per recording under `root`; made with mode 0700, files 0600."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def root(self) -> Path:
        """The folder."""
        return self._root

    def prefixes(self) -> Iterator[str]:
        """See BlobStore."""
        for entry in sorted(os.scandir(self._root), key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False) and _PREFIX.fullmatch(entry.name):
                yield entry.name

    def names(self, prefix: str) -> list[str]:
        """See BlobStore."""
        return [f"{prefix}/{name}" for name in self._files(prefix) if not name.endswith((_OPEN, _LOCK))]

    def get(self, name: str) -> bytes:
        """See BlobStore."""
        return self._read(self._path(name))

    def put(self, name: str, data: bytes) -> None:
        """See BlobStore."""
        path = self._path(name)
        self._make_folder(path.parent)
        half = path.with_name(f"{path.name}{_OPEN}")
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        half.replace(path)
        _sync_folder(path.parent)

    def put_new(self, name: str, data: bytes) -> None:
        """See BlobStore."""
        path = self._path(name)
        self._make_folder(path.parent)
        half = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}{_OPEN}")
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
            os.link(half, path)
        finally:
            os.close(descriptor)
            half.unlink(missing_ok=True)
        _sync_folder(path.parent)

    def exists(self, name: str) -> bool:
        """See BlobStore."""
        prefix, file = self._parts(name)
        return os.path.exists(f"{self._root}/{prefix}/{file}")  # noqa: PTH110 (asked at every round of every writer)

    def append(self, name: str, writer: int = 1) -> Appender:
        """See BlobStore."""
        path = self._path(name)
        self._make_folder(path.parent)
        if path.exists():
            raise FileExistsError(name)
        return _FileAppender(path, self._open_path(name if writer == 1 else f"{name}{_WRITER}{writer}"))

    def unfinished(self, prefix: str) -> list[str]:
        """See BlobStore."""
        return [f"{prefix}/{name.removesuffix(_OPEN)}" for name in self._files(prefix) if name.endswith(_OPEN)]

    def read_unfinished(self, name: str) -> bytes:
        """See BlobStore."""
        return self._read(self._open_path(name))

    def finish(self, name: str, keep: int, tail: bytes) -> None:
        """See BlobStore."""
        half = self._open_path(name)
        descriptor = os.open(half, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, keep)
            os.lseek(descriptor, keep, os.SEEK_SET)
            _write_all(descriptor, tail)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        half.replace(self._path(name.partition(_WRITER)[0]))
        _sync_folder(half.parent)

    def discard(self, name: str) -> None:
        """See BlobStore."""
        self._open_path(name).unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        """See BlobStore."""
        path = self._path(name)
        path.unlink(missing_ok=True)
        if path.parent.is_dir():
            _sync_folder(path.parent)

    def overwrite(self, name: str, data: bytes) -> None:
        """See BlobStore."""
        descriptor = os.open(self._path(name), os.O_WRONLY | os.O_CLOEXEC)
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def claim(self, prefix: str) -> Claim:
        """See BlobStore."""
        folder = self._folder(prefix)
        self._make_folder(folder)
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise RecordingBusy(prefix) from error
        return _FolderClaim(descriptor)

    def used(self) -> float:
        """See BlobStore."""
        usage = shutil.disk_usage(self._root)
        # As `df` counts: blocks reserved for root are not ours to use.
        return usage.used / (usage.used + usage.free)

    def _files(self, prefix: str) -> list[str]:
        folder = self._folder(prefix)
        return sorted(os.listdir(folder)) if folder.is_dir() else []  # noqa: PTH208 (names are all that is wanted)

    def _folder(self, prefix: str) -> Path:
        if not _PREFIX.fullmatch(prefix):
            raise RecordingNotFound("not a recording's identifier")
        return self._root / prefix

    def _path(self, name: str) -> Path:
        prefix, file = self._parts(name)
        return self._folder(prefix) / file

    @staticmethod
    def _parts(name: str) -> tuple[str, str]:
        prefix, _, file = name.partition("/")
        if not _NAME.fullmatch(file) or file.endswith(_OPEN):
            raise RecordingNotFound("not an object's name")
        if not _PREFIX.fullmatch(prefix):
            raise RecordingNotFound("not a recording's identifier")
        return prefix, file

    def _open_path(self, name: str) -> Path:
        committed, mark, writer = name.partition(_WRITER)
        path = self._path(committed)
        if mark and not (writer.isascii() and writer.isdigit()):
            raise RecordingNotFound("not an object's name")
        return path.with_name(f"{path.name}{mark}{writer}{_OPEN}")

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(self._root)

    @staticmethod
    def _read(path: Path) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            raise RecordingNotFound(f"{path.parent.name}/{path.name}") from error


class _FileAppender:
    """Writes `half`; commit syncs the data, then gives it the name `path`, unless there is one of that name."""

    def __init__(self, path: Path, half: Path) -> None:
        self._path = path
        self._half = half
        self._descriptor = os.open(self._half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes) -> None:
        _write_all(self._descriptor, data)

    def commit(self) -> None:
        os.fdatasync(self._descriptor)
        self.abandon()
        os.link(self._half, self._path)
        self._half.unlink(missing_ok=True)
        _sync_folder(self._path.parent)

    def abandon(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class _FolderClaim:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
