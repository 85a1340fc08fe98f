"""Who is talking, from the audio level that each packet's header carries (RFC 6464)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from signaling.media import native

SILENT = 127
_THRESHOLD = 60  # -dBov: quieter than this is background
_HOLD = 0.6  # seconds without speech before it counts as over
_REPEAT = 1.0  # seconds between reports while speech goes on
_ENOUGH = 4  # loud packets in a row (80 ms at 20 ms each) before it counts as speech
_SMOOTHING = 0.04  # of each packet in the mean loudness: about half a second


class PlainLevels:
    """What is done with each packet's audio level. Whoever derives from it has `_speaks` and `stop`."""

    def __init__(self) -> None:
        self._loud = 0
        self._peak = SILENT
        self.talking = False
        self.loudness = 0.0
        self._since = 0.0
        self._last_loud = 0.0
        self._last_report = 0.0

    def level(self, value: int, now: float) -> None:
        """One packet's level byte: its voice bit is not trusted, browsers set it unevenly (RFC 6464 section 3)."""
        level = value & 0x7F
        self.loudness += (SILENT - level - self.loudness) * _SMOOTHING
        if level < _THRESHOLD:
            self._loud += 1
            self._last_loud = now
            if level < self._peak:
                self._peak = level
            if self._loud >= _ENOUGH and (not self.talking or now - self._last_report >= _REPEAT):
                self._speaks(now)
            return
        if now - self._last_loud >= _HOLD:
            self._loud = 0
            self._peak = SILENT
            if self.talking:
                self.stop()

    def _speaks(self, now: float) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        """Speech is over."""
        raise NotImplementedError


if TYPE_CHECKING:
    Levels = PlainLevels
else:
    Levels = native.module.Levels if native.module is not None else PlainLevels


class TalkingDetector(Levels):
    """Turns audio levels into "talks" and "has stopped".

    `report(level)` is called with the loudest level (in -dBov, 0 to 126) when speech starts and every second while
    it goes on, and with SILENT when it is over. Times are seconds of one monotonic clock.

    `talking` says whether speech goes on, `loudness` how loud it has been of late, in dB above silence (0 to 127).
    """

    def __init__(self, report: Callable[[int], None]) -> None:
        super().__init__()
        self._report = report

    @property
    def spoken(self) -> float:
        """Seconds from the beginning of the present speech to its last loud packet."""
        return self._last_loud - self._since if self.talking else 0.0

    def _speaks(self, now: float) -> None:
        if not self.talking:
            self.talking = True
            self._since = now
        self._last_report = now
        peak, self._peak = self._peak, SILENT
        self._report(peak)

    def tick(self, now: float) -> None:
        """Notice silence when no packet comes any more (Opus DTX sends few or none)."""
        if self.talking and now - self._last_loud >= _HOLD:
            self.stop()

    def stop(self) -> None:
        """Speech is over, whatever the levels say: the gate closed, the track was muted or ended."""
        self._loud = 0
        self._peak = SILENT
        self.loudness = 0.0
        if self.talking:
            self.talking = False
            self._report(SILENT)
