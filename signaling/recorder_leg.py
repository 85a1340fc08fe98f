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
    @property
    def gaps(self) -> int: ...
    @property
    def tracks(self) -> int: ...


PASSING_FAILURES = frozenset({"overflow", "stalled"})
"""Causes after which the same leg may come back and say `recovered`. After any other it is done for."""

FENCED = "fenced"
"""The cause that says that another process goes on with the recording: the call itself may be another node's."""


class RecorderLeg(Leg, Protocol):
    """A leg that writes what it hears."""

    failed: Callable[[str], None] | None
    """Set by the room; called once, on the event loop's thread, with a short cause when the leg stops writing."""

    recovered: Callable[[], None] | None
    """Set by the room; called when the leg writes again after one of `PASSING_FAILURES`."""

    @property
    def attached(self) -> bool:
        """Whether the leg is writing."""
        ...

    def abandon(self) -> None:
        """Stop at once and seal nothing: the call is another node's, which goes on with the recording."""
        ...

    async def seal(self, reason: str) -> SealSummary:
        """Write what is left, sign and close the recording. Raises OSError when it cannot."""
        ...


RecorderFactory = Callable[[RecordingWarrant], Awaitable[RecorderLeg]]
