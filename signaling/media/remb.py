"""How much a publisher may send: the receive-side estimate (draft-alvestrand-rmcat-remb-03)."""

from __future__ import annotations

from aiortc.rate import RemoteBitrateEstimator

from signaling.media.rtp import RtpView

FLOOR = 100_000
CEILING = 2_000_000


class UplinkEstimate:
    """A publisher's available bitrate, in bit/s, estimated from abs-send-time and arrival times.

    aiortc's estimator (libwebrtc's delay-based one) is asked once per video frame and not once per packet: it groups
    packets of 5 ms anyway, a frame leaves its sender within that, and it costs more than forwarding a packet does.
    """

    def __init__(self, *, ceiling: int = CEILING) -> None:
        self._estimator = RemoteBitrateEstimator()
        self._ceiling = ceiling
        self._bytes = 0
        self._estimate: int | None = None

    def add(self, view: RtpView) -> None:
        """Take in one packet; a frame is complete with its marker bit."""
        self._bytes += len(view.packet)
        if not view.marker or view.send_time is None:
            return
        result = self._estimator.add(int(view.arrival * 1000), view.send_time, self._bytes, view.ssrc)
        self._bytes = 0
        if result is not None:
            self._estimate = result[0]

    def bitrate(self, downlinks: list[int]) -> int:
        """What to allow the publisher: his uplink's estimate, and no more than the slowest of `downlinks` takes.

        Between FLOOR and the ceiling; the ceiling while nothing is known.
        """
        limits = [self._ceiling, *downlinks]
        if self._estimate is not None:
            limits.append(self._estimate)
        return max(FLOOR, min(limits))
