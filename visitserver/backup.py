"""Backup and restore of the embedded default: SQLite and recordings. Keys are kept apart on purpose."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import make_url

from visitserver.config import Settings
from visitserver.domain.errors import Conflict, Invalid

Progress = Callable[[str], None]

DATABASE: Final = "database.sqlite3"
MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
_CHUNK: Final = 1 << 20


def write_backup(settings: Settings, destination: Path, *, progress: Progress) -> str:
    """Write a consistent copy of everything but the keys to the tar file `destination`; a line that sums it up.

    The database is copied as of one moment (SQLite `VACUUM INTO`) before the files, so every file that it names is in
    the archive or was deleted by its retention since. Raises Conflict when `destination` exists, Invalid for
    PostgreSQL, whose own tools do this better.
    """
    database = _database(settings)
    if destination.exists():
        raise Conflict(f"{destination} exists already.", code="backup_exists")
    partial = destination.with_name(destination.name + ".partial")
    hashes: dict[str, str] = {}
    with tempfile.TemporaryDirectory(dir=destination.parent) as folder, tarfile.open(partial, "w") as archive:
        snapshot = Path(folder) / DATABASE
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
            connection.execute("VACUUM INTO ?", (str(snapshot),))
        progress("database copied")
        _add(archive, snapshot, DATABASE, hashes)
        for prefix, root in _roots(settings):
            files = [path for path in sorted(root.rglob("*")) if path.is_file()]
            for number, path in enumerate(files, 1):
                _add(archive, path, f"{prefix}/{path.relative_to(root)}", hashes)
                if number % 500 == 0:
                    progress(f"{prefix}: {number} of {len(files)} files")
            progress(f"{prefix}: {len(files)} files")
        manifest = Path(folder) / MANIFEST
        manifest.write_text(json.dumps({"format": FORMAT, "sha256": hashes}, sort_keys=True))
        archive.add(manifest, MANIFEST)
    partial.replace(destination)
    return f"{len(hashes)} files, {destination.stat().st_size} bytes. Back up the keys as well, somewhere else."


def read_backup(settings: Settings, source: Path, *, progress: Progress) -> str:
    """Unpack `source` into the places that `settings` name, which must be empty; a line that sums it up.

    Every file's SHA-256 is checked before anything is put in place. Raises Conflict when something is there already,
    Invalid for an archive that is not whole.
    """
    database = _database(settings)
    targets = {DATABASE: database, **dict(_roots(settings))}
    for path in targets.values():
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            raise Conflict(f"{path} is not empty.", code="restore_target")
    database.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=database.parent) as folder:
        unpacked = Path(folder)
        try:
            with tarfile.open(source) as archive:
                archive.extractall(unpacked, filter="data")
            manifest: dict[str, Any] = json.loads((unpacked / MANIFEST).read_text())
            listed: dict[str, str] = manifest["sha256"]
        except (OSError, tarfile.TarError, ValueError, KeyError) as error:
            raise Invalid(f"{source} is not a backup.", code="backup_format") from error
        if manifest.get("format") != FORMAT:
            raise Invalid(f"{source} was made by another version.", code="backup_format")
        found = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()} - {MANIFEST}
        if found != set(listed):
            raise Invalid(f"{source} lacks files, or has too many.", code="backup_damaged")
        for name, digest in listed.items():
            if _sha256(unpacked / name) != digest:
                raise Invalid(f"{name} in {source} is damaged.", code="backup_damaged")
        progress(f"{len(listed)} files checked")
        for name, target in targets.items():
            if (unpacked / name).exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                if target.is_dir():
                    target.rmdir()
                (unpacked / name).rename(target)
    return f"{len(listed)} files restored. Put the keys in place before you start the server."


def _database(settings: Settings) -> Path:
    url = make_url(settings.database.url.get_secret_value())
    if url.get_backend_name() != "sqlite" or not url.database:
        raise Invalid("This copies SQLite. Use pg_dump and pg_restore for PostgreSQL.", code="backup_database")
    return Path(url.database)


def _roots(settings: Settings) -> Iterator[tuple[str, Path]]:
    yield "recordings", settings.recorder.directory


def _add(archive: tarfile.TarFile, path: Path, name: str, hashes: dict[str, str]) -> None:
    # A segment that is being written grows while we read it: what is hashed must be what is archived.
    with tempfile.NamedTemporaryFile(dir=Path(str(archive.name)).parent) as copy:
        try:
            shutil.copyfile(path, copy.name)
        except FileNotFoundError:
            return  # deleted by its retention meanwhile
        hashes[name] = _sha256(Path(copy.name))
        archive.add(copy.name, name, recursive=False)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
