"""Verification of stored recordings.

The rules stand in recorder/standalone_verify.py, which goes with evidence bundles too.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from recorder.blobs import BlobStore
from recorder.errors import RecordingNotFound
from recorder.standalone_verify import VerifyReport, is_half_document, verify_files, verify_folder

__all__ = ["VerifyReport", "verify", "verify_path"]


def verify(
    store: BlobStore, recording_id: str, public_key: Ed25519PublicKey, *, expected_head: str | None = None
) -> VerifyReport:
    """Check the recording `recording_id` of `store`; `expected_head` is the head that the application's index has.

    RecordingNotFound if the store has nothing of it; OSError where the store fails.
    """
    names = [*store.names(recording_id), *(f"{name}.open" for name in store.unfinished(recording_id))]
    if not names:
        raise RecordingNotFound(recording_id)
    files = [name.rpartition("/")[2] for name in names]
    return verify_files(
        [name for name in files if not is_half_document(name)],
        lambda name: store.get(f"{recording_id}/{name}"),
        public_key,
        recording_id=recording_id,
        expected_head=expected_head,
    )


def verify_path(path: Path, public_key_pem: bytes, *, expected_head: str | None = None) -> VerifyReport:
    """Check the recording in the folder `path` with the PEM public key of the recorder.

    OSError, ValueError for a bad key.
    """
    return verify_folder(path, public_key_pem, expected_head=expected_head)
