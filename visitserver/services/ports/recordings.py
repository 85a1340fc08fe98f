"""What the recordings service needs: of the store, and of the archive where the recordings themselves lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.recordings import Recording, RecordingOpening, RecordingState


@dataclass(frozen=True, slots=True)
class RecordingFilter:
    """Which recordings: all conditions that are set. `since` is included, `until` is not (UTC, of `created_at`)."""

    prison_id: str | None = None
    prisoner_id: str | None = None
    contact_id: str | None = None
    call_id: str | None = None
    states: frozenset[RecordingState] = field(default_factory=frozenset)
    since: datetime | None = None
    until: datetime | None = None


class Recordings(Protocol):
    """Recordings and their openings. `get…` raises NotFound."""

    def add(self, item: Recording | RecordingOpening) -> None: ...

    async def get(self, recording_id: str, *, for_update: bool = False) -> Recording:
        """`for_update` keeps other transactions from changing it until this one ends."""
        ...

    async def find(self, recording_id: str, *, for_update: bool = False) -> Recording | None: ...

    async def recordings(self, wanted: RecordingFilter, page: PageRequest) -> Page[Recording]:
        """Newest first."""
        ...

    async def opening(self, opening_id: str) -> RecordingOpening | None: ...

    async def openings(self, recording_id: str, page: PageRequest) -> Page[RecordingOpening]:
        """Newest first."""
        ...

    async def unfinished(self, before: datetime, limit: int) -> Sequence[Recording]:
        """Recordings that are not sealed although their call should have ended before `before`."""
        ...

    async def expired(self, now: datetime, limit: int) -> Sequence[Recording]:
        """Sealed recordings, not on hold, that need not be kept any longer."""
        ...

    async def unerased(self, limit: int) -> Sequence[Recording]:
        """Deleted recordings of which the archive has not said yet that they are gone."""
        ...

    async def sample(self, limit: int, after: str) -> Sequence[Recording]:
        """Playable recordings in order of id after `after`: for the nightly check, which goes round and round."""
        ...


class SealedRecording(Protocol):
    """What the recorder says of a recording that it sealed (recorder.manifest.SealSummary)."""

    @property
    def recording_id(self) -> str: ...
    @property
    def call_id(self) -> str: ...
    @property
    def segments(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def duration_ms(self) -> int: ...
    @property
    def head_sha256(self) -> str: ...
    @property
    def gaps(self) -> int: ...
    @property
    def interrupted(self) -> bool: ...


class Verdict(Protocol):
    """Whether a recording is what was recorded (recorder.verify.VerifyReport)."""

    @property
    def valid(self) -> bool: ...
    @property
    def segment(self) -> int | None: ...
    @property
    def kind(self) -> str: ...
    @property
    def detail(self) -> str: ...


class TrackFile(Protocol):
    """A derived WebM, open for reading at any position. Blocking: read it in a thread."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        ...

    def seek(self, offset: int, whence: int = 0) -> int: ...
    def read(self, size: int = -1) -> bytes | None: ...
    def close(self) -> None: ...


class RecordingArchive(Protocol):
    """Where recordings lie (recorder.archive.Archive).

    Errors are RecorderErrors and OSErrors; see recording_errors.py.
    """

    async def sealed(self, recording_id: str) -> SealedRecording | None:
        """What is known of a sealed recording; None if it is absent, still open, or deleted."""
        ...

    async def verify(self, recording_id: str, expected_head: str | None) -> Verdict: ...

    async def timeline(self, recording_id: str) -> dict[str, Any]:
        """Make the recording playable if it is not yet; its time line (docs/recording-format.md)."""
        ...

    async def open_track(self, recording_id: str, number: int) -> TrackFile:
        """The derived WebM of track `number` of the time line, from 1."""
        ...

    async def place_hold(self, recording_id: str, actor: str, reason: str) -> None: ...

    async def lift_hold(self, recording_id: str) -> None: ...

    async def delete(self, recording_id: str, actor: str, reason: str, policy_version: str) -> object:
        """Destroy its key, leave a tombstone. Doing it again does no harm."""
        ...
