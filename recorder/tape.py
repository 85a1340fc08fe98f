"""What recording does for every packet: take it from the packet path, and lay a batch out as records.

`Tape` is the base of `tap.RecorderLeg`. With the extension in C (docs/decisions/0111) both are done there, in the same
way; everything that leads to a decision is in `RecorderLeg.on_rtp_slowly`, which `PlainTape` always calls.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from recorder.log import HEADER, RecordKind
from signaling.media import native

if TYPE_CHECKING:
    from collections.abc import Callable, Sized

    from signaling.media.leg import TrackInfo

# (RecordKind, track number, payload: bytes as they arrived or a JSON object, arrival in seconds of the monotonic clock)
Item = tuple[int, int, bytes | Mapping[str, Any], float]

# Packets of one track that came one after the other: (track number, the first one's sequence number, how many, their
# octets, the last one's time in ns)
Run = tuple[int, int, int, int, int]

# The index after the last item, the records, a run for each track (None: some track's packets are not in order), the
# earliest and the latest time in ns
Framed = tuple[int, bytes, "list[Run] | None", int, int]

RTP_HEADER = 12
_RTP = int(RecordKind.RTP)


class PlainProgress:
    """Of `writer.LogWriter`: when (monotonic seconds) it did its last round."""

    progress: float


class PlainTape:
    """Takes packets."""

    def watch(
        self,
        *,
        numbers: MutableMapping[str, int | None],
        items: Sized,
        writer: PlainProgress,
        limit: int,
        stall_limit: float,
    ) -> None:
        """Say what the quick way looks at.

        A packet of a track in `numbers` is appended to `items` while these are fewer than `limit` and the writer's last
        round was less than `stall_limit` seconds before the packet came.
        """

    def on_rtp(self, track: TrackInfo, packet: bytes, arrival: float) -> None:
        """See signaling.media.leg.Leg."""
        self.on_rtp_slowly(track, packet, arrival)

    def on_rtp_slowly(self, track: TrackInfo, packet: bytes, arrival: float) -> None:
        """The same, whatever there is to decide."""
        raise NotImplementedError


def frame_plain(items: list[Item], at: int, shift_ns: int, offset_ns: int) -> Framed:
    """The records of `items` from `at` up to the first one that holds JSON.

    `shift_ns` makes an arrival the recording's time, `offset_ns` that one nanoseconds since 1970.
    """
    pack = HEADER.pack
    parts: list[bytes] = []
    add = parts.append
    runs: dict[int, list[int]] = {}
    in_order = True
    first_ns = last_ns = 0
    for end in range(at, len(items)):
        kind, index, payload, arrival = items[end]
        if not isinstance(payload, bytes):
            break
        mono_ns = int(arrival * 1e9) + shift_ns
        size = len(payload)
        if kind == _RTP and size >= RTP_HEADER:
            number = payload[2] << 8 | payload[3]
            run = runs.get(index)
            if run is None:
                runs[index] = [number, 1, size, mono_ns]
            elif (run[0] + run[1]) & 0xFFFF == number:
                run[1] += 1
                run[2] += size
                run[3] = mono_ns
            else:
                in_order = False
        if end == at:
            first_ns = last_ns = mono_ns
        elif mono_ns > last_ns:
            last_ns = mono_ns
        elif mono_ns < first_ns:
            first_ns = mono_ns
        add(pack(kind, index, size, mono_ns, mono_ns + offset_ns))
        add(payload)
    found = [(index, *run) for index, run in runs.items()] if in_order else None
    return at + len(parts) // 2, b"".join(parts), found, first_ns, last_ns  # type: ignore[return-value]


def _load() -> Any | None:
    if not native.wanted():
        return None
    try:
        return import_module("recorder._tape")
    except ImportError:  # there was no compiler
        return None


module = _load()
frame: Callable[[list[Item], int, int, int], Framed] = frame_plain if module is None else module.frame

if TYPE_CHECKING:
    Tape = PlainTape
    Progress = PlainProgress
else:
    Tape = PlainTape if module is None else module.Tape
    Progress = PlainProgress if module is None else module.Progress
