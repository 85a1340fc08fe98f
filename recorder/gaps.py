"""What is missing of a track: sequence numbers that never came, that came late, and why.

RTP sequence numbers are 16 bits and wrap (RFC 3550 section 5.1); here they are counted on as whole numbers from the
track's first packet. A missing number is *noticed* at once, and *recovered* when it comes after all (retransmission)
or given up as *lost* after `PATIENCE_NS`. What the relay held back on purpose (hold, mute) is *withheld*, not lost. A
far jump back that goes on is a *restart*: another stream on the same track.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PATIENCE_NS = 12_000_000_000  # longer than the relay keeps asking
_WRAP = 1 << 16
_HALF = 1 << 15
_MISORDER = 3000  # how far back a late packet may lie; more than a track sends in PATIENCE_NS is a restart


class GapChange(StrEnum):
    """What became of missing packets."""

    NOTICED = "noticed"
    RECOVERED = "recovered"
    LOST = "lost"
    WITHHELD = "withheld"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Gap:
    """A change to the packets `first` to `last`, both included, counted on from the track's first packet's number.

    `mono_ns` is when it happened; `since_ns` when the packets were first missed. A restart's range are the numbers that
    the counting passed over.
    """

    change: GapChange
    first: int
    last: int
    mono_ns: int
    since_ns: int

    @property
    def packets(self) -> int:
        """How many packets it is about."""
        return self.last - self.first + 1

    def to_json(self) -> dict[str, int | str]:
        """As it stands in a GAP record."""
        return {
            "change": self.change.value,
            "first": self.first,
            "last": self.last,
            "packets": self.packets,
            "since_ns": self.since_ns,
        }


class SequenceTracker:
    """Follows one track's sequence numbers. `changes` collects what happened until somebody takes it."""

    __slots__ = (
        "_bad", "_expected", "_missing", "_next", "_withheld", "changes", "duplicates", "last_ns", "lost", "received",
        "recovered", "restarts", "withheld",
    )  # fmt: skip

    def __init__(self) -> None:
        self._expected = -1  # 16 bits; -1 before the first packet
        self._next = 0  # the same number, counted on
        self._missing: list[list[int]] = []  # [first, last, since_ns], in order
        self._withheld = False
        self._bad = -1
        self.changes: list[Gap] = []
        self.received = 0
        self.recovered = 0
        self.duplicates = 0
        self.lost = 0
        self.withheld = 0
        self.restarts = 0
        self.last_ns = 0

    def packet(self, number: int, mono_ns: int) -> int:
        """A packet with this 16-bit number came. Gives its number counted on (a duplicate's too)."""
        self.received += 1
        self.last_ns = mono_ns
        if number == self._expected:
            self._expected = (number + 1) & 0xFFFF
            counted = self._next
            self._next = counted + 1
            self._withheld = False
            return counted
        return self._out_of_line(number, mono_ns)

    def expects(self, number: int) -> bool:
        """Whether a packet with this 16-bit number is the next in order."""
        return number == self._expected

    def go_on(self, packets: int, last_ns: int) -> None:
        """So many packets (at least one) came in order, the first of them the one that is expected."""
        self.received += packets
        self.last_ns = last_ns
        self._expected = (self._expected + packets) & 0xFFFF
        self._next += packets
        self._withheld = False

    def withhold(self) -> None:
        """From here on the relay holds packets back; the next jump forward is its doing."""
        self._withheld = self._expected >= 0

    def expire(self, now_ns: int, patience_ns: int = PATIENCE_NS) -> None:
        """Give up what has been missing for `patience_ns`. With 0: everything that is missing."""
        missing = self._missing
        while missing and now_ns - missing[0][2] >= patience_ns:
            first, last, since = missing.pop(0)
            self.lost += last - first + 1
            self.changes.append(Gap(GapChange.LOST, first, last, now_ns, since))

    def take(self) -> list[Gap]:
        """The changes since the last call."""
        changes, self.changes = self.changes, []
        return changes

    def _out_of_line(self, number: int, mono_ns: int) -> int:
        if self._expected < 0:
            self._next = number  # counting on from the first packet's own number
            return self._advance(number, number)
        ahead = (number - self._expected) % _WRAP
        if ahead < _HALF:
            return self._jump(number, self._next + ahead, mono_ns)
        behind = _WRAP - ahead
        counted = self._next - behind
        if self._late(counted, mono_ns):
            return counted
        if number == self._bad or self._withheld:
            return self._restart(number, mono_ns)
        if behind <= _MISORDER:
            self.duplicates += 1
            return counted
        # RFC 3550 appendix A.1: one far-off packet proves nothing, a second one in order after it does.
        self._bad = (number + 1) & 0xFFFF
        self.duplicates += 1
        return counted

    def _advance(self, number: int, counted: int) -> int:
        self._expected = (number + 1) & 0xFFFF
        self._next = counted + 1
        self._withheld = False
        self._bad = -1
        return counted

    def _jump(self, number: int, counted: int, mono_ns: int) -> int:
        first, last = self._next, counted - 1
        if self._withheld:
            self.withheld += last - first + 1
            self.changes.append(Gap(GapChange.WITHHELD, first, last, mono_ns, mono_ns))
        else:
            self._missing.append([first, last, mono_ns])
            self.changes.append(Gap(GapChange.NOTICED, first, last, mono_ns, mono_ns))
        return self._advance(number, counted)

    def _late(self, counted: int, mono_ns: int) -> bool:
        missing = self._missing
        for position in range(len(missing) - 1, -1, -1):
            first, last, since = missing[position]
            if first <= counted <= last:
                rest = [[first, counted - 1, since], [counted + 1, last, since]]
                missing[position : position + 1] = [part for part in rest if part[0] <= part[1]]
                self.recovered += 1
                self.changes.append(Gap(GapChange.RECOVERED, counted, counted, mono_ns, since))
                return True
        return False

    def _restart(self, number: int, mono_ns: int) -> int:
        # The new numbers go on above the old ones, with the same low 16 bits.
        counted = self._next + (number - self._next) % _WRAP
        self.restarts += 1
        self.changes.append(Gap(GapChange.RESTART, self._next, counted - 1, mono_ns, mono_ns))
        return self._advance(number, counted)
