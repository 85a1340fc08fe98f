"""Opening what is stored: documents, data key, and the log's records of closed segments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from recorder.blobs import BlobStore
from recorder.documents import MANIFEST, OPENING, WRAPPED_KEY, read_document
from recorder.errors import KeyUnavailable, NotSealed, RecordingDeleted, RecordingNotFound
from recorder.keys import KeyRing, WrappedKey
from recorder.log import Record, read_records
from recorder.manifest import KEY_FILE, MANIFEST_FILE, OPENING_FILE, TOMBSTONE_FILE
from recorder.segment import read_closed, segment_number


def read_opening(store: BlobStore, recording_id: str, key: Ed25519PublicKey) -> dict[str, Any]:
    """The opening's body. RecordingNotFound, RecordingDamaged."""
    return read_document(store.get(f"{recording_id}/{OPENING_FILE}"), OPENING, key)


def read_manifest(store: BlobStore, recording_id: str, key: Ed25519PublicKey) -> dict[str, Any]:
    """The manifest's body. NotSealed while there is none, RecordingDeleted, RecordingNotFound, RecordingDamaged."""
    names = set(store.names(recording_id))
    if f"{recording_id}/{TOMBSTONE_FILE}" in names:
        raise RecordingDeleted(recording_id)
    if f"{recording_id}/{MANIFEST_FILE}" in names:
        return read_document(store.get(f"{recording_id}/{MANIFEST_FILE}"), MANIFEST, key)
    if f"{recording_id}/{OPENING_FILE}" in names:
        raise NotSealed(recording_id)
    raise RecordingNotFound(recording_id)


def read_data_key(store: BlobStore, recording_id: str, keys: KeyRing, key: Ed25519PublicKey) -> bytes:
    """The recording's data key (32 bytes). KeyUnavailable if it was destroyed or cannot be unwrapped."""
    try:
        body = read_document(store.get(f"{recording_id}/{KEY_FILE}"), WRAPPED_KEY, key)
    except RecordingNotFound as error:
        raise KeyUnavailable(f"{recording_id} has no key") from error
    if body.get("recording_id") != recording_id:
        raise KeyUnavailable("the key belongs to another recording")
    return keys.unwrap(WrappedKey.from_json(body.get("wrapped", {})), recording_id)


def segment_names(store: BlobStore, recording_id: str) -> list[str]:
    """The names of the closed segments, in order."""
    return [name for name in store.names(recording_id) if segment_number(name) is not None]


def plain_chunks(store: BlobStore, recording_id: str, data_key: bytes) -> Iterator[bytes]:
    """The log's decrypted chunks, a segment in memory at a time; those closed so far if the call goes on."""
    cipher = AESGCM(data_key)
    for name in segment_names(store, recording_id):
        yield from read_closed(store.get(name), cipher)


def records(store: BlobStore, recording_id: str, data_key: bytes) -> Iterator[Record]:
    """The log's records. RecordingDamaged where a segment is not as it was written."""
    for chunk in plain_chunks(store, recording_id, data_key):
        yield from read_records(chunk)
