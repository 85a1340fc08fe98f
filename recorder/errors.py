"""What can go wrong with a recording; each error has a stable `code`."""

from __future__ import annotations

from typing import ClassVar


class RecorderError(Exception):
    """Base of all. The text carries identifiers and numbers, never personal data."""

    code: ClassVar[str] = "recorder_error"


class NotRecordable(RecorderError):
    """The call may not be recorded: its identifier is not an ordinary call's."""

    code = "not_recordable"


class RecordingExists(RecorderError):
    """A recording of this identifier was begun before and is not to be continued: sealed, or another call's."""

    code = "recording_exists"


class RecordingNotFound(RecorderError):
    """The store has no such recording."""

    code = "recording_not_found"


class RecordingBusy(RecorderError):
    """Another process is writing the recording now."""

    code = "recording_busy"


class WriterReplaced(RecorderError):
    """Another process writes the recording from here on: the call is its now. Nothing more may be written here."""

    code = "fenced"


class StorageFull(RecorderError):
    """The store is fuller than the limit above which no new recording may begin."""

    code = "storage_full"


class KeyUnavailable(RecorderError):
    """The data key cannot be had: destroyed, or its key-encryption key is not in the ring, or it was altered."""

    code = "key_unavailable"


class RecordingDamaged(RecorderError):
    """What is stored is not what was written."""

    code = "recording_damaged"


class RecordingHeld(RecorderError):
    """The recording is under legal hold and cannot be deleted."""

    code = "recording_held"


class RecordingDeleted(RecorderError):
    """The recording was deleted; only its tombstone is left."""

    code = "recording_deleted"


class NotSealed(RecorderError):
    """The recording is still being written, or was cut off and not recovered yet."""

    code = "not_sealed"


class SealFailed(RecorderError):
    """The recording could not be sealed now. `RecordingService.recover` seals what is stored of it later."""

    code = "seal_failed"
