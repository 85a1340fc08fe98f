"""Keys, signed documents, the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.blobs import FolderStore
from recorder.documents import MANIFEST, OPENING, canonical, read_document, sign_document
from recorder.errors import KeyUnavailable, RecordingBusy, RecordingDamaged, RecordingNotFound
from recorder.keys import LocalKeyRing, WrappedKey, new_key_line

KEY = Ed25519PrivateKey.generate()
BODY = {"b": [1, {"ä": "ö"}], "a": None, "c": True}


def test_a_wrapped_key_opens_with_its_own_context_and_key_alone() -> None:
    ring = LocalKeyRing.from_text(new_key_line("one"))
    wrapped = WrappedKey.from_json(ring.wrap(b"k" * 32, "rec_1").to_json())
    assert ring.unwrap(wrapped, "rec_1") == b"k" * 32
    for other, context in (
        (wrapped, "rec_2"),
        (replace(wrapped, ciphertext=wrapped.ciphertext[:-1] + bytes([wrapped.ciphertext[-1] ^ 1])), "rec_1"),
        (replace(wrapped, kek_id="two"), "rec_1"),
        (replace(wrapped, nonce=b""), "rec_1"),
    ):
        with pytest.raises(KeyUnavailable):
            ring.unwrap(other, context)


def test_an_older_key_still_opens_after_a_rotation() -> None:
    old = new_key_line("2025")
    wrapped = LocalKeyRing.from_text(old).wrap(b"k" * 32, "rec_1")
    ring = LocalKeyRing.from_text(f"# newest first\n{new_key_line('2026')}\n{old}\n")
    assert ring.unwrap(wrapped, "rec_1") == b"k" * 32
    assert ring.wrap(b"k" * 32, "rec_1").kek_id == "2026"


@pytest.mark.parametrize(
    "text",
    ["", "one", "one !!!", "one aGFsbG8=", f"{new_key_line('a')}\n{new_key_line('a')}"],
    ids=["empty", "no key", "not base64", "too short", "one name twice"],
)
def test_a_malformed_key_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="key"):
        LocalKeyRing.from_text(text)


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    path.write_text(new_key_line("one"))
    path.chmod(0o640)
    with pytest.raises(ValueError, match="0600"):
        LocalKeyRing.from_file(path)
    path.chmod(0o600)
    LocalKeyRing.from_file(path)


def test_a_document_comes_back_and_is_bound_to_its_type_and_signer() -> None:
    data = sign_document(MANIFEST, BODY, KEY)
    assert read_document(data, MANIFEST, KEY.public_key()) == BODY
    with pytest.raises(RecordingDamaged):
        read_document(data, OPENING, KEY.public_key())
    with pytest.raises(RecordingDamaged):
        read_document(data, MANIFEST, Ed25519PrivateKey.generate().public_key())


@settings(deadline=None)
@given(st.data())
def test_any_changed_bit_of_a_document_is_found(data: st.DataObject) -> None:
    document = bytearray(sign_document(MANIFEST, BODY, KEY))
    document[data.draw(st.integers(0, len(document) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(RecordingDamaged):
        read_document(bytes(document), MANIFEST, KEY.public_key())


def test_floats_have_no_canonical_text() -> None:
    with pytest.raises(TypeError):
        canonical({"a": [0.1]})


def test_an_unfinished_object_is_not_seen_until_it_is_committed(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    appender = store.append("rec_1/000001.seg")
    appender.write(b"abc")
    assert store.names("rec_1") == []
    assert store.unfinished("rec_1") == ["rec_1/000001.seg"]
    assert store.read_unfinished("rec_1/000001.seg") == b"abc"
    with pytest.raises(FileExistsError):
        store.append("rec_1/000001.seg")
    appender.commit()
    assert store.get("rec_1/000001.seg") == b"abc"
    assert store.unfinished("rec_1") == []
    assert list(store.prefixes()) == ["rec_1"]
    assert (tmp_path / "store" / "rec_1" / "000001.seg").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        store.append("rec_1/000001.seg")


@pytest.mark.parametrize(
    "name", ["../x/y", "rec_1/../../x", "rec_1/.lock", "/etc/passwd", "rec_1/", "rec_1/a/b", "rec_1/x.open"]
)
def test_a_name_cannot_leave_the_store(tmp_path: Path, name: str) -> None:
    store = FolderStore(tmp_path / "store")
    with pytest.raises(RecordingNotFound):
        store.get(name)
    with pytest.raises(RecordingNotFound):
        store.put(name, b"x")
    assert list(tmp_path.rglob("*")) == [tmp_path / "store"]


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "store")
    claim = store.claim("rec_1")
    with pytest.raises(RecordingBusy):
        store.claim("rec_1")
    claim.release()
    store.claim("rec_1").release()
