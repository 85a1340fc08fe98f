"""A backup is whole or it is refused, and a restore never overwrites anything."""

import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from visitserver.backup import read_backup, write_backup
from visitserver.config import Settings, load_settings
from visitserver.domain.errors import Conflict, Invalid


def settings_in(folder: Path) -> Settings:
    return load_settings(
        overrides={
            "database": {"url": f"sqlite+aiosqlite:///{folder}/db/visit.sqlite3"},
            "recorder": {"directory": folder / "recordings"},
            "keys": {"directory": folder / "keys"},
        },
        environ={},
    )


@pytest.fixture
def source(tmp_path: Path) -> Settings:
    settings = settings_in(tmp_path / "from")
    (tmp_path / "from" / "db").mkdir(parents=True)
    with closing(sqlite3.connect(tmp_path / "from" / "db" / "visit.sqlite3")) as connection:
        connection.execute("CREATE TABLE t (x INTEGER)")
        connection.execute("INSERT INTO t VALUES (42)")
        connection.commit()
    (tmp_path / "from" / "recordings" / "rec_1").mkdir(parents=True)
    (tmp_path / "from" / "recordings" / "rec_1" / "000001.seg").write_bytes(b"segment" * 1000)
    (tmp_path / "from" / "keys").mkdir()
    (tmp_path / "from" / "keys" / "tickets.pem").write_text("secret")
    return settings


def quiet(_line: str) -> None:
    """Progress that nobody reads."""


def test_what_was_backed_up_comes_back(source: Settings, tmp_path: Path) -> None:
    write_backup(source, tmp_path / "b.tar", progress=quiet)
    target = settings_in(tmp_path / "to")
    read_backup(target, tmp_path / "b.tar", progress=quiet)
    with closing(sqlite3.connect(tmp_path / "to" / "db" / "visit.sqlite3")) as connection:
        assert connection.execute("SELECT x FROM t").fetchall() == [(42,)]
    assert (tmp_path / "to" / "recordings" / "rec_1" / "000001.seg").read_bytes() == b"segment" * 1000
    with tarfile.open(tmp_path / "b.tar") as archive:
        assert not [name for name in archive.getnames() if "tickets" in name or "keys" in name]


def test_nothing_is_overwritten(source: Settings, tmp_path: Path) -> None:
    write_backup(source, tmp_path / "b.tar", progress=quiet)
    with pytest.raises(Conflict):
        write_backup(source, tmp_path / "b.tar", progress=quiet)
    with pytest.raises(Conflict):
        read_backup(source, tmp_path / "b.tar", progress=quiet)


@pytest.mark.parametrize("where", [0.3, 0.6])
def test_a_damaged_archive_is_refused_and_nothing_is_put_in_place(
    source: Settings, tmp_path: Path, where: float
) -> None:
    write_backup(source, tmp_path / "b.tar", progress=quiet)
    with tarfile.open(tmp_path / "b.tar") as archive:
        segment = archive.getmember("recordings/rec_1/000001.seg")
        offset = segment.offset_data + int(segment.size * where)
    raw = bytearray((tmp_path / "b.tar").read_bytes())
    raw[offset] ^= 1
    (tmp_path / "b.tar").write_bytes(raw)
    with pytest.raises(Invalid, match="damaged"):
        read_backup(settings_in(tmp_path / "to"), tmp_path / "b.tar", progress=quiet)
    assert not (tmp_path / "to" / "recordings").exists()


def test_postgresql_is_left_to_its_own_tools(tmp_path: Path) -> None:
    settings = load_settings(overrides={"database": {"url": "postgresql+asyncpg://h/d"}}, environ={})
    with pytest.raises(Invalid, match="pg_dump"):
        write_backup(settings, tmp_path / "b.tar", progress=quiet)
