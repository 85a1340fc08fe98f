"""A recorder that remembers what it heard and fails when a test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from signaling.calls import CallEvent
from signaling.capabilities import RecordingWarrant
from signaling.media.leg import TrackInfo


@dataclass
class FakeSeal:
    recording_id: str
    call_id: str
    segments: int = 3
    bytes: int = 1000
    duration_ms: int = 6000
    head_sha256: str = "00" * 32
    gaps: int = 0
    tracks: int = 4


@dataclass
class FakeRecorderLeg:
    warrant: RecordingWarrant
    leg_id: str = "recorder"
    attached: bool = True
    failed: Callable[[str], None] | None = None
    recovered: Callable[[], None] | None = None
    events: list[CallEvent] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    sealed: list[str] = field(default_factory=list)
    seal_error: Exception | None = None
    raise_on_event: bool = False
    abandoned: bool = False
    may_seal: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_seal.set()

    def track_added(self, track: TrackInfo) -> None: ...

    def track_removed(self, track_id: str) -> None: ...

    def on_rtp(self, track: TrackInfo, packet: bytes, arrival: float) -> None: ...

    def on_rtcp(self, track: TrackInfo, packet: bytes, arrival: float) -> None: ...

    def on_event(self, event: CallEvent) -> None:
        if self.raise_on_event:
            raise RuntimeError("a broken leg")
        self.events.append(event)

    def close(self, reason: str) -> None:
        self.closed.append(reason)

    def abandon(self) -> None:
        self.attached = False
        self.abandoned = True

    async def seal(self, reason: str) -> FakeSeal:
        await self.may_seal.wait()
        if self.seal_error is not None:
            raise self.seal_error
        self.sealed.append(reason)
        return FakeSeal(self.warrant.recording_id, str(self.warrant.call_id))

    def fail(self, cause: str) -> None:
        """Stop writing, as a recorder on a full disk does."""
        self.attached = False
        assert self.failed is not None
        self.failed(cause)
