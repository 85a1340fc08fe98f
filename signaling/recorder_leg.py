"""What a room needs of a recorder. The recorder itself is another room of the house; signaling never imports it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from signaling.capabilities import RecordingWarrant
from signaling.media.leg import Leg


class SealSummary(Protocol):
    """What a sealed recording amounts to."""

    @property
    def recording_id(self) -> str: ...
    @property
    def segments(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def duration_ms(self) -> int: ...
    @property
    def head_sha256(self) -> str: ...


class RecorderLeg(Leg, Protocol):
    """A leg that writes what it hears."""

    failed: Callable[[str], None] | None
    """Set by the room; called once, on the event loop's thread, with a short cause when the leg stops writing."""

    @property
    def attached(self) -> bool:
        """Whether the leg is writing."""
        ...

    async def seal(self, reason: str) -> SealSummary:
        """Write what is left, sign and close the recording. Raises OSError when it cannot."""
        ...


RecorderFactory = Callable[[RecordingWarrant], Awaitable[RecorderLeg]]
