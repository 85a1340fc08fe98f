"""The recorder's leg: what the room sees of a recording. Its packet path appends to a queue and returns."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import structlog

from recorder.log import NO_TRACK, RecordKind
from recorder.tape import Tape
from recorder.writer import LogWriter, dropped_note
from signaling.media.leg import Kind, TrackInfo

if TYPE_CHECKING:
    from recorder.manifest import SealSummary
    from signaling.calls import CallEvent
    from signaling.ids import OrdinaryCallId

log = structlog.get_logger(__name__)

QUEUE_LIMIT = 8192  # packets: 25 s of a call of two, ~10 MB
STALL_LIMIT = 1.2  # seconds without progress of the writer before it is suspected of standing still ...
STALL_PROOF = 0.3  # ... and seconds that it gets to show that it does not; the room has to hold the call within 2
SEAL_TIMEOUT = 30.0
_RTP = int(RecordKind.RTP)
_RTCP = int(RecordKind.RTCP)


class RecorderLeg(Tape):
    """Implements signaling.media.leg.Leg. Everything but `seal` is called on the event loop's thread and never waits.

    `failed(cause)` is called, on the loop, when nothing is recorded any more: `overflow` (the queue is full),
    `stalled` (the store does not take it), `storage` (it refused), `internal`, `fenced` (another process records the
    call). After `overflow` and `stalled` the leg may come back: `recovered()` says so. A cause that came before the
    callback was set is told when it is set.

    `first_track` and `heard_events` are for the continuation of a recording: the number of its next track, and the
    sequence of the last event of the call that it has.
    """

    def __init__(
        self,
        recording_id: str,
        call_id: OrdinaryCallId,
        kinds: Iterable[Kind],
        loop: asyncio.AbstractEventLoop,
        *,
        queue_limit: int = QUEUE_LIMIT,
        stall_limit: float = STALL_LIMIT,
        monotonic: Callable[[], float],
        first_track: int = 0,
        heard_events: int = 0,
    ) -> None:
        self.recording_id = recording_id
        self.call_id = call_id
        self._kinds = frozenset(kinds)
        self._loop = loop
        self._limit = queue_limit
        self._stall_limit = stall_limit
        self._monotonic = monotonic
        self._log = log.bind(call_id=str(call_id), recording_id=recording_id)
        self._numbers: dict[str, int | None] = {}  # None: a track that the warrant does not cover
        self._next_number = first_track
        self._heard_events = heard_events
        self._trouble: str | None = None
        self._closed = False
        self._dropped = 0
        self._dropped_from = self._dropped_to = 0.0
        self._suspected = self._suspected_at = -1.0
        self._failed: Callable[[str], None] | None = None
        self.recovered: Callable[[], None] | None = None

    def bind(self, writer: LogWriter) -> None:
        """Give the leg its writer; once, before anything else."""
        self._writer = writer
        self._items = writer.items
        self.watch(
            numbers=self._numbers, items=self._items, writer=writer, limit=self._limit, stall_limit=self._stall_limit
        )

    # --- what the room asks ---------------------------------------------------------------------------------------

    @property
    def leg_id(self) -> str:
        """See Leg."""
        return f"recorder:{self.recording_id}"

    @property
    def attached(self) -> bool:
        """Whether what comes now is being recorded."""
        return self._trouble is None and not self._closed

    @property
    def writing(self) -> bool:
        """Whether its writer is still at work."""
        return self._writer.running

    @property
    def trouble(self) -> str | None:
        """Why nothing is being recorded; None if all is well."""
        return self._trouble

    @property
    def failed(self) -> Callable[[str], None] | None:
        """Called with the cause when the recording stops unasked."""
        return self._failed

    @failed.setter
    def failed(self, callback: Callable[[str], None] | None) -> None:
        self._failed = callback
        if callback is not None and self._trouble is not None:
            self._loop.call_soon(callback, self._trouble)

    # --- Leg ------------------------------------------------------------------------------------------------------

    def track_added(self, track: TrackInfo) -> None:
        """See Leg. A track of another call, or of a kind that the warrant does not name, is not recorded."""
        if track.track_id in self._numbers:
            return
        if self._closed or self._writer.failure is not None:
            self._numbers[track.track_id] = None
            return
        if track.call_id != self.call_id or track.kind not in self._kinds or self._next_number >= NO_TRACK:
            self._log.warning("track not recorded", track_id=track.track_id)
            self._numbers[track.track_id] = None
            return
        number = self._numbers[track.track_id] = self._next_number
        self._next_number += 1
        info = {key: _plain(value) for key, value in dataclasses.asdict(track).items()}
        self._items.append((RecordKind.TRACK, number, info, self._monotonic()))

    def track_removed(self, track_id: str) -> None:
        """See Leg."""
        number = self._numbers.pop(track_id, None)
        if number is not None and not self._closed:
            self._items.append((RecordKind.TRACK_END, number, {"track_id": track_id}, self._monotonic()))

    def on_rtp_slowly(self, track: TrackInfo, packet: bytes, arrival: float) -> None:
        """See Tape."""
        try:
            number = self._numbers[track.track_id]
        except KeyError:
            number = self._late_track(track)
        if number is not None:
            if len(self._items) < self._limit and arrival - self._writer.progress < self._stall_limit:
                self._items.append((_RTP, number, packet, arrival))
            else:
                self._in_trouble((_RTP, number, packet, arrival))

    def on_rtcp(self, track: TrackInfo, packet: bytes, arrival: float) -> None:
        """See Leg."""
        number = self._numbers.get(track.track_id)
        if number is not None and len(self._items) < self._limit:
            self._items.append((_RTCP, number, packet, arrival))

    def on_event(self, event: CallEvent) -> None:
        """See Leg. Events are few and are kept even when packets are dropped."""
        if not self._closed and self._writer.failure is None and event.sequence > self._heard_events:
            self._items.append((RecordKind.EVENT, NO_TRACK, event.to_json(), self._monotonic()))

    def close(self, reason: str) -> None:
        """See Leg. Begins the seal; `seal` waits for it."""
        if not self._closed:
            self._closed = True
            self._take_nothing_more()
            self._note_drops()
            self._writer.stop(reason)

    def abandon(self) -> None:
        """Stop at once; what was written stays for whoever goes on with the recording."""
        if not self._closed:
            self._closed = True
            self._failed = None
            self._take_nothing_more()
            self._writer.abandon()

    async def seal(self, reason: str) -> SealSummary:
        """Close, and wait until the recording is sealed.

        SealFailed if it cannot be now: a later recovery seals what is stored.
        """
        self.close(reason)
        return await asyncio.to_thread(self._writer.join, SEAL_TIMEOUT)

    # --- trouble --------------------------------------------------------------------------------------------------

    def _take_nothing_more(self) -> None:
        for track_id in self._numbers:
            self._numbers[track_id] = None

    def _late_track(self, track: TrackInfo) -> int | None:
        self.track_added(track)
        return self._numbers[track.track_id]

    def _in_trouble(self, item: tuple[int, int, bytes, float]) -> None:
        """The queue is full or the writer stands still: keep what fits, count what does not, and say so once."""
        arrival = item[3]
        full = len(self._items) >= self._limit
        if not full:
            self._items.append(item)
            if not self._stands_still():
                return
        else:
            if self._dropped == 0:
                self._dropped_from = arrival
            self._dropped += 1
            self._dropped_to = arrival
        if self._trouble is None:
            self._fail("overflow" if full else "stalled")

    def _stands_still(self) -> bool:
        """Whether the writer had its chance.

        A process that was stopped as a whole comes back with a clock that jumped.
        """
        progress, now = self._writer.progress, self._monotonic()
        if progress != self._suspected:
            self._suspected, self._suspected_at = progress, now
        return now - self._suspected_at >= STALL_PROOF

    def writer_failed(self, cause: str) -> None:
        """The writer's thread gave up. Called on that thread."""
        self._tell(lambda: self._fail(cause))

    def writer_progressed(self) -> None:
        """The writer's thread did a round. Called on that thread."""
        if self._trouble is not None:
            self._tell(self._recover)

    def _tell(self, what: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(what)
        except RuntimeError:  # the loop is closed: there is nobody left to tell
            pass

    def _fail(self, cause: str) -> None:
        for_good = cause in ("storage", "internal", "fenced")
        if self._trouble == cause or (self._closed and not for_good):
            return
        self._trouble = cause
        if for_good:
            self._take_nothing_more()
            self._items.clear()
        self._log.error("recording stopped", cause=cause)
        if self._failed is not None:
            self._failed(cause)

    def _recover(self) -> None:
        if self._trouble not in ("overflow", "stalled") or self._closed or len(self._items) > self._limit // 2:
            return
        self._note_drops()
        self._log.warning("recording goes on", after=self._trouble)
        self._trouble = None
        if self.recovered is not None:
            self.recovered()

    def _note_drops(self) -> None:
        if self._dropped:
            self._items.append(dropped_note(self._dropped, self._dropped_from, self._dropped_to))
            self._dropped = 0


def _plain(value: object) -> str | int:
    """A TrackInfo's field as JSON: numbers, and text for enums and identifiers."""
    return value if isinstance(value, int) else str("" if value is None else value)
