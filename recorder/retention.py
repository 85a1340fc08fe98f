"""The end of a recording: legal hold stops it, deletion destroys the data key and leaves a signed tombstone.

Destroying the wrapped key makes every copy of the ciphertext, on whatever medium, unreadable; the segments are
removed as well. What an SSD keeps of the overwritten key file is still under the key-encryption key; rotate that to
be rid of it for good.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from recorder.access import read_manifest
from recorder.blobs import BlobStore
from recorder.documents import LEGAL_HOLD, TOMBSTONE, read_document, sign_document
from recorder.errors import RecordingDamaged, RecordingHeld, RecordingNotFound
from recorder.manifest import HOLD_FILE, KEY_FILE, MANIFEST_FILE, OPENING_FILE, TOMBSTONE_FILE


class StoredState(StrEnum):
    """What the store says of a recording. The application's own states (PENDING, PAUSED ...) are above this."""

    ABSENT = "absent"
    OPEN = "open"  # being written, or cut off and not recovered yet
    SEALED = "sealed"
    HELD = "legal_hold"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is left of a deleted recording.

    `actor` is an identifier, `reason` and `policy_version` say why it was right.
    """

    recording_id: str
    call_id: str
    head: str
    segments: int
    duration_ms: int
    started_at: str
    deleted_at: str
    actor: str
    reason: str
    policy_version: str


def stored_state(store: BlobStore, recording_id: str) -> StoredState:
    """Where a recording stands, by the documents that are there."""
    names = {name.rpartition("/")[2] for name in store.names(recording_id)}
    for file, state in (
        (TOMBSTONE_FILE, StoredState.DELETED),
        (HOLD_FILE, StoredState.HELD),
        (MANIFEST_FILE, StoredState.SEALED),
        (OPENING_FILE, StoredState.OPEN),
    ):
        if file in names:
            return state
    return StoredState.ABSENT


def place_hold(
    store: BlobStore,
    recording_id: str,
    key: Ed25519PrivateKey,
    clock: Callable[[], datetime],
    *,
    actor: str,
    reason: str,
) -> None:
    """Put a sealed recording under legal hold; a second hold replaces the first.

    NotSealed, RecordingDeleted, RecordingNotFound.
    """
    read_manifest(store, recording_id, key.public_key())
    body = {"actor": actor, "held_at": clock().isoformat(), "reason": reason, "recording_id": recording_id}
    store.put(f"{recording_id}/{HOLD_FILE}", sign_document(LEGAL_HOLD, body, key))


def release_hold(store: BlobStore, recording_id: str) -> None:
    """Lift the legal hold, if there is one."""
    store.delete(f"{recording_id}/{HOLD_FILE}")


def delete_recording(
    store: BlobStore,
    recording_id: str,
    key: Ed25519PrivateKey,
    clock: Callable[[], datetime],
    *,
    actor: str,
    reason: str,
    policy_version: str,
) -> Tombstone:
    """Destroy the data key, leave a tombstone, remove the rest; may be repeated after a crash in the middle.

    RecordingHeld under legal hold; NotSealed while it is open; RecordingNotFound.
    """
    state = stored_state(store, recording_id)
    if state is StoredState.HELD:
        raise RecordingHeld(recording_id)
    if state is StoredState.DELETED:
        tombstone = read_tombstone(store, recording_id, key.public_key())
    else:
        tombstone = _tombstone_of(
            read_manifest(store, recording_id, key.public_key()), clock(), actor, reason, policy_version
        )
        body = {name: getattr(tombstone, name) for name in Tombstone.__slots__}
        # The tombstone first: gone without a trace is worse than having to be removed once more.
        store.put(f"{recording_id}/{TOMBSTONE_FILE}", sign_document(TOMBSTONE, body, key))
    _destroy_key(store, recording_id)
    for name in [*store.names(recording_id)]:
        if not name.endswith(f"/{TOMBSTONE_FILE}"):
            store.delete(name)
    return tombstone


def read_tombstone(store: BlobStore, recording_id: str, key: Ed25519PublicKey) -> Tombstone:
    """The tombstone of a deleted recording. RecordingNotFound, RecordingDamaged."""
    body = read_document(store.get(f"{recording_id}/{TOMBSTONE_FILE}"), TOMBSTONE, key)
    try:
        return Tombstone(**body)
    except TypeError as error:
        raise RecordingDamaged("not a tombstone") from error


def _tombstone_of(
    manifest: Mapping[str, Any], now: datetime, actor: str, reason: str, policy_version: str
) -> Tombstone:
    opening = manifest["opening"]
    return Tombstone(
        recording_id=str(opening["recording_id"]),
        call_id=str(opening["call_id"]),
        head=str(manifest["head"]),
        segments=len(manifest["segments"]),
        duration_ms=int(manifest["duration_ms"]),
        started_at=str(opening["started_at"]),
        deleted_at=now.isoformat(),
        actor=actor,
        reason=reason,
        policy_version=policy_version,
    )


def _destroy_key(store: BlobStore, recording_id: str) -> None:
    """Overwrite the wrapped key, then remove it."""
    name = f"{recording_id}/{KEY_FILE}"
    try:
        size = len(store.get(name))
    except RecordingNotFound:
        return
    store.overwrite(name, bytes(size))
    store.delete(name)
