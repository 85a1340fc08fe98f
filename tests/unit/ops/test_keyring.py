"""Keys are made once, whole, for their owner alone, and never overwritten."""

from pathlib import Path

import pytest

from visitserver.config import load_settings
from visitserver.keyring import KeyPaths, KeysMissing, load_keys, make_missing_keys


@pytest.fixture
def paths(tmp_path: Path) -> KeyPaths:
    settings = load_settings(
        overrides={
            "keys": {"directory": tmp_path / "keys"},
            "recorder": {"key_file": tmp_path / "r" / "ring", "signing_key_file": tmp_path / "r" / "sign.pem"},
            "identity": {"key_file": tmp_path / "identity.key"},
        },
        environ={},
    )
    return KeyPaths.of(settings)


def test_every_key_is_made_once_and_read_back(paths: KeyPaths) -> None:
    assert len(make_missing_keys(paths)) == 7
    first = load_keys(paths)
    assert make_missing_keys(paths) == []
    again = load_keys(paths)
    assert (first.audit, first.sealing, first.identity) == (again.audit, again.sealing, again.identity)
    assert first.tickets.private_bytes_raw() == again.tickets.private_bytes_raw()
    assert len({first.audit, first.sealing, first.identity}) == 3
    wrapped = first.recorder_ring.wrap(b"k" * 32, "rec_1")
    assert again.recorder_ring.unwrap(wrapped, "rec_1") == b"k" * 32


def test_only_the_owner_may_read_a_key(paths: KeyPaths) -> None:
    make_missing_keys(paths)
    for path in (paths.tickets_pem, paths.audit_key, paths.recorder_ring, paths.identity_key):
        assert path.stat().st_mode & 0o077 == 0
    paths.audit_key.chmod(0o644)
    with pytest.raises(KeysMissing, match="read by others"):
        load_keys(paths)


def test_a_missing_or_cut_key_is_named(paths: KeyPaths) -> None:
    with pytest.raises(KeysMissing, match="tickets"):
        load_keys(paths)
    make_missing_keys(paths)
    paths.identity_key.write_bytes(b"short")
    with pytest.raises(KeysMissing, match=r"identity\.key"):
        load_keys(paths)
