"""Recordings as the application knows them: their states, how long they are kept, who opened them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from visitserver.domain.errors import Conflict


class RecordingState(StrEnum):
    """Where a recording is in its life."""

    PENDING = "pending"  # the call is to be recorded and has not begun
    RECORDING = "recording"
    PAUSED = "paused"
    FINALISING = "finalising"
    SEALED = "sealed"
    LEGAL_HOLD = "legal_hold"
    DELETED = "deleted"
    FAILED = "failed"


_NEXT: Final[Mapping[RecordingState, frozenset[RecordingState]]] = MappingProxyType(
    {
        RecordingState.PENDING: frozenset({RecordingState.RECORDING, RecordingState.SEALED, RecordingState.FAILED}),
        RecordingState.RECORDING: frozenset(
            {RecordingState.PAUSED, RecordingState.FINALISING, RecordingState.SEALED, RecordingState.FAILED}
        ),
        RecordingState.PAUSED: frozenset(
            {RecordingState.RECORDING, RecordingState.FINALISING, RecordingState.SEALED, RecordingState.FAILED}
        ),
        RecordingState.FINALISING: frozenset({RecordingState.SEALED, RecordingState.FAILED}),
        # What failed to seal may be recovered later.
        RecordingState.FAILED: frozenset({RecordingState.SEALED}),
        RecordingState.SEALED: frozenset({RecordingState.LEGAL_HOLD, RecordingState.DELETED}),
        RecordingState.LEGAL_HOLD: frozenset({RecordingState.SEALED}),
        RecordingState.DELETED: frozenset(),
    }
)

UNFINISHED: Final = frozenset(
    {RecordingState.PENDING, RecordingState.RECORDING, RecordingState.PAUSED, RecordingState.FINALISING}
)
PLAYABLE: Final = frozenset({RecordingState.SEALED, RecordingState.LEGAL_HOLD})


@dataclass(eq=False)
class Recording:
    """One recording of one ordinary call. (A privileged call has none: not even a row that says so.)

    `expected_end` is when the call should be over; `retain_until` is set by the seal. `head_sha256` is the last value
    of the recording's chain: what is stored must end there. `failure` is a code. `hold_reason` has a line for every
    hold placed or lifted. `erased_at` is when the archive had destroyed a deleted one. Times are UTC.
    """

    id: str
    call_id: str
    prison_id: str
    prisoner_id: str
    policy_version: str
    state: RecordingState
    created_at: datetime
    expected_end: datetime
    booking_id: str | None = None
    started_at: datetime | None = None
    sealed_at: datetime | None = None
    head_sha256: str | None = None
    segments: int = 0
    size: int = 0
    duration_ms: int = 0
    gaps: int = 0
    interrupted: bool = False
    failure: str | None = None
    retain_until: datetime | None = None
    held_at: datetime | None = None
    held_by: str | None = None
    hold_reason: str | None = None
    deleted_at: datetime | None = None
    deletion_reason: str | None = None
    erased_at: datetime | None = None

    @property
    def playable(self) -> bool:
        """Whether it can be opened."""
        return self.state in PLAYABLE

    def move(self, state: RecordingState) -> None:
        """Go on to `state`. Conflict (code `recording_state`) where that cannot follow."""
        if state not in _NEXT[self.state]:
            raise Conflict(f"A recording that is {self.state} cannot become {state}.", code="recording_state")
        self.state = state

    def place_hold(self, at: datetime, by: str, reason: str) -> None:
        """Keep it until the hold is lifted, however old it gets. Conflict unless it is sealed."""
        self.move(RecordingState.LEGAL_HOLD)
        self.held_at, self.held_by = at, by
        self._note_hold(reason)

    def lift_hold(self, reason: str) -> None:
        """Let retention run again. Conflict unless it is held."""
        if self.state is not RecordingState.LEGAL_HOLD:
            raise Conflict("There is no legal hold on this recording.", code="recording_state")
        self.move(RecordingState.SEALED)
        self.held_at = self.held_by = None
        self._note_hold(reason)

    def _note_hold(self, reason: str) -> None:
        self.hold_reason = f"{self.hold_reason or ''}\n{reason}".strip()

    def delete(self, at: datetime, reason: str) -> None:
        """Mark it deleted. Conflict unless it is sealed: under a hold it is not."""
        self.move(RecordingState.DELETED)
        self.deleted_at, self.deletion_reason = at, reason


@dataclass(eq=False)
class RecordingOpening:
    """Somebody opened a recording, and said why.

    Its tracks are served under it until `expires_at`, to that person alone.
    """

    id: str
    recording_id: str
    actor: str
    reason: str
    opened_at: datetime
    expires_at: datetime
