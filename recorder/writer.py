"""The writer's thread: takes what the leg has collected, several times a second, and gives it to the sink."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import structlog

from recorder.blobs import Claim
from recorder.errors import SealFailed, WriterReplaced
from recorder.log import NO_TRACK, RecordKind
from recorder.manifest import SealSummary
from recorder.sink import LogSink
from recorder.tape import Item, Progress
from recorder.turns import Turns

log = structlog.get_logger(__name__)

FLUSH_SECONDS = 0.25


class LogWriter(Progress):
    """Owns the sink until the recording is sealed or has failed.

    `items` is filled by the event loop's thread and emptied here; `progress` is when (monotonic seconds) the last
    round was done. `on_failure(cause)` and `on_progress()` are called on this thread.
    """

    def __init__(
        self,
        sink: LogSink,
        claim: Claim,
        recording_id: str,
        *,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float],
        on_failure: Callable[[str], None],
        on_progress: Callable[[], None],
        flush_seconds: float = FLUSH_SECONDS,
    ) -> None:
        self.items: deque[Item] = deque()
        self.progress = monotonic()
        self.failure: str | None = None
        self._sink = sink
        self._claim = claim
        self._clock = clock
        self._monotonic = monotonic
        self._on_failure = on_failure
        self._on_progress = on_progress
        self._flush_seconds = flush_seconds
        self._log = log.bind(recording_id=recording_id)
        self._stopping = False
        self._pause = threading.Lock()  # held until the writer is to stop; an Event's wait would cost ten times as much
        self._pause.acquire()
        self._abandoned = False
        self._reason = "ended"
        self._summary: SealSummary | None = None
        self._thread = threading.Thread(target=self._run, name=f"recorder-{recording_id}", daemon=True)

    @property
    def running(self) -> bool:
        """Whether the thread is at work."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, reason: str) -> None:
        """Let the thread write what is collected, seal, and end. Does not wait."""
        if not self._stopping:
            self._reason = reason
            self._wake()

    def abandon(self) -> None:
        """Let the thread end at once and seal nothing: another process goes on with the recording."""
        self._abandoned = True
        if not self._stopping:
            self._wake()

    def _wake(self) -> None:
        self._stopping = True
        self._pause.release()

    def join(self, timeout: float) -> SealSummary:
        """Wait for the seal, at most `timeout` seconds. SealFailed if it could not be made, or not in time."""
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise SealFailed("the writer did not finish in time")
        if self._summary is None:
            raise SealFailed(self.failure or "the recording was not sealed")
        return self._summary

    def _run(self) -> None:
        turns = Turns(self._flush_seconds)
        try:
            while not self._pause.acquire(timeout=turns.wait(self._monotonic())):
                self.round()
            if self._abandoned:
                self._fail("fenced", WriterReplaced("the call is another node's"))
                return
            self.round()
            self._summary = self._sink.finish(self._reason, self._clock(), self._now_ns())
            self._log.info("recording sealed", segments=self._summary.segments, bytes=self._summary.bytes)
        except WriterReplaced as error:
            self._fail("fenced", error)
        except OSError as error:
            self._fail("storage", error)
        except Exception as error:  # whatever it is, the room must hear that nothing is recorded any more
            self._fail("internal", error)
        finally:
            turns.end()
            self._claim.release()

    def round(self) -> None:
        """Give what is collected to the sink. The thread's own; OSError."""
        batch = [self.items.popleft() for _ in range(len(self.items))]
        now_ns = self._now_ns()
        self._sink.write(batch, now_ns, int(self._clock().timestamp() * 1e9) - now_ns)
        self.progress = self._monotonic()
        self._on_progress()

    def _fail(self, cause: str, error: Exception) -> None:
        self.failure = cause
        self._log.error("recording failed", cause=cause, error=type(error).__name__, exc_info=cause == "internal")
        self._sink.abandon()
        self._on_failure(cause)

    def _now_ns(self) -> int:
        return int(self._monotonic() * 1e9)


def dropped_note(packets: int, first: float, last: float) -> Item:
    """The record that says that the leg had to drop packets between two arrivals (monotonic seconds)."""
    note: Mapping[str, Any] = {
        "first_ns": int(first * 1e9),
        "last_ns": int(last * 1e9),
        "note": "dropped",
        "packets": packets,
    }
    return (RecordKind.NOTE, NO_TRACK, note, last)
