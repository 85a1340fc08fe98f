"""How well a publisher's stream arrives: extended sequence numbers, loss and jitter (RFC 3550 appendix A)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiortc.rtp import RtcpReceiverInfo, clamp_packets_lost

from signaling.media import native

_HALF = 0x8000


class PlainArrivals:
    """Extended sequence numbers and jitter: what is done per packet. `clock_rate` in Hz."""

    __slots__ = ("_base", "_clock_rate", "_jitter", "_transit", "highest", "received")

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._base = -1
        self.highest = -1
        self.received = 0
        self._transit: float | None = None
        self._jitter = 0.0

    def add(self, sequence: int, timestamp: int, arrival: float) -> int:
        """Take one packet in; returns its index, the extended sequence number.

        The first packet's index is above 65,535, so that packets older than the first never get a negative one.
        """
        self.received += 1
        highest = self.highest
        if highest < 0:
            self._base = self.highest = index = sequence + 0x10000
            self._transit = arrival * self._clock_rate - timestamp
            return index
        delta = (sequence - highest) & 0xFFFF
        index = highest + delta if delta < _HALF else highest + delta - 0x10000
        if index > highest:
            self.highest = index
        transit = arrival * self._clock_rate - timestamp
        difference = abs(transit - self._transit) if self._transit is not None else 0.0
        self._transit = transit
        if difference < self._clock_rate * 10:  # a timestamp that jumped or wrapped says nothing about the network
            self._jitter += (difference - self._jitter) / 16
        return index

    def place(self, sequence: int) -> int:
        """The index of a packet that came another way (RTX): it counts neither as received nor for jitter.

        Only after the first `add`. RFC 4588 section 6.3: statistics of the original stream do not count repairs.
        """
        delta = (sequence - self.highest) & 0xFFFF
        return self.highest + delta if delta < _HALF else self.highest + delta - 0x10000


if TYPE_CHECKING:
    Arrivals = PlainArrivals
else:
    Arrivals = native.module.Arrivals if native.module is not None else PlainArrivals


class Reception(Arrivals):
    """One source's reception statistics. `clock_rate` in Hz."""

    __slots__ = ("_expected_prior", "_lsr", "_lsr_arrival", "_received_prior")

    def __init__(self, clock_rate: int) -> None:
        super().__init__(clock_rate)
        self._expected_prior = 0
        self._received_prior = 0
        self._lsr = 0
        self._lsr_arrival = 0.0

    def sender_report(self, ntp: int, arrival: float) -> None:
        """Remember the publisher's last sender report (64-bit NTP time) for LSR and DLSR (section 6.4.1)."""
        self._lsr = (ntp >> 16) & 0xFFFFFFFF
        self._lsr_arrival = arrival

    @property
    def expected(self) -> int:
        """Packets that should have come, by the sequence numbers."""
        return self.highest - self._base + 1 if self.received else 0

    @property
    def jitter(self) -> int:
        """Interarrival jitter in timestamp units (section 6.4.1)."""
        return int(self._jitter)

    def report(self, ssrc: int, now: float) -> RtcpReceiverInfo:
        """The report block about `ssrc` (section 6.4.1); the fraction lost counts from the previous report."""
        expected = self.expected
        expected_interval = expected - self._expected_prior
        lost_interval = expected_interval - (self.received - self._received_prior)
        self._expected_prior = expected
        self._received_prior = self.received
        fraction = 0
        if expected_interval > 0 and lost_interval > 0:
            fraction = min(255, (lost_interval << 8) // expected_interval)
        delay = int((now - self._lsr_arrival) * 65536) & 0xFFFFFFFF if self._lsr else 0
        return RtcpReceiverInfo(
            ssrc=ssrc,
            fraction_lost=fraction,
            packets_lost=clamp_packets_lost(expected - self.received),
            highest_sequence=(self.highest - 0x10000) & 0xFFFFFFFF,
            jitter=self.jitter & 0xFFFFFFFF,
            lsr=self._lsr,
            dlsr=delay,
        )
