"""What a recording holds, counted while it is written and again, from the log, when a cut one is recovered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from recorder.events import PAUSES, gate_after, in_clear, muted_by
from recorder.gaps import Gap, GapChange, SequenceTracker
from recorder.log import Record, RecordKind
from recorder.tape import RTP_HEADER, Run

MAX_LISTED_GAPS = 2000  # in the manifest; the log has them all
_PAUSE_TYPES = frozenset(kind.value for kind in PAUSES)


class TrackSummary:
    """One track: its TrackInfo as JSON, and what came of it. Times in ns, monotonic."""

    __slots__ = ("ended_ns", "first_ns", "index", "info", "media_bytes", "sequence")

    def __init__(self, index: int, info: Mapping[str, Any], mono_ns: int) -> None:
        self.index = index
        self.info = dict(info)
        self.first_ns = mono_ns
        self.ended_ns: int | None = None
        self.media_bytes = 0
        self.sequence = SequenceTracker()

    def to_json(self) -> dict[str, Any]:
        """As it stands in the manifest."""
        sequence = self.sequence
        return {
            **self.info,
            "bytes": self.media_bytes,
            "duplicates": sequence.duplicates,
            "first_ns": self.first_ns,
            "index": self.index,
            "last_ns": max(sequence.last_ns, self.first_ns),
            "lost": sequence.lost,
            "packets": sequence.received,
            "recovered": sequence.recovered,
            "restarts": sequence.restarts,
            "withheld": sequence.withheld,
        }


class RecordingSummary:
    """Fed record by record. Not thread-safe: the writer's thread owns it."""

    def __init__(self) -> None:
        self.tracks: dict[int, TrackSummary] = {}
        self.events: list[dict[str, Any]] = []
        self.notes: list[dict[str, Any]] = []
        self.pauses: list[dict[str, Any]] = []
        self.gaps: list[dict[str, Any]] = []
        self.gap_count = 0
        self.first_ns: int | None = None
        self.last_ns = 0

    def feed(self, record: Record) -> None:
        """Count one record of a log that is read back."""
        kind, index, mono_ns, _, payload = record
        if kind == RecordKind.RTP:
            self.rtp(index, payload, mono_ns)
        elif kind == RecordKind.TRACK:
            self.track(index, record.json(), mono_ns)
        elif kind == RecordKind.TRACK_END:
            self.track_end(index, mono_ns)
        elif kind == RecordKind.EVENT:
            self.event(record.json(), mono_ns)
        elif kind == RecordKind.NOTE:
            self.note(record.json(), mono_ns)
        self.at(mono_ns)

    def at(self, mono_ns: int) -> None:
        """Something was recorded at this time."""
        if self.first_ns is None:
            self.first_ns = mono_ns
        if mono_ns > self.last_ns:
            self.last_ns = mono_ns

    def track(self, index: int, info: Mapping[str, Any], mono_ns: int) -> None:
        """A track began."""
        self.tracks[index] = TrackSummary(index, info, mono_ns)

    def track_end(self, index: int, mono_ns: int) -> None:
        """A track is over."""
        track = self.tracks.get(index)
        if track is not None:
            track.ended_ns = mono_ns

    def rtp(self, index: int, packet: bytes, mono_ns: int) -> None:
        """One RTP packet. Too short a packet is kept in the log but has no sequence number to follow."""
        track = self.tracks.get(index)
        if track is None or len(packet) < RTP_HEADER:
            return
        track.media_bytes += len(packet)
        track.sequence.packet(packet[2] << 8 | packet[3], mono_ns)

    def runs(self, runs: Sequence[Run]) -> bool:
        """Packets of several tracks, each track's in order.

        False, and nothing is counted, unless every run goes on where its track is.
        """
        tracks = self.tracks
        if not all(run[0] not in tracks or tracks[run[0]].sequence.expects(run[1]) for run in runs):
            return False
        for index, _, packets, octets, last_ns in runs:
            track = tracks.get(index)
            if track is not None:
                track.media_bytes += octets
                track.sequence.go_on(packets, last_ns)
        return True

    def event(self, event: Mapping[str, Any], mono_ns: int) -> None:
        """Something happened to the call."""
        self.events.append({**in_clear(event), "at_ns": mono_ns})
        gate = gate_after(event)
        if gate is not None:
            if self.pauses and "to_ns" not in self.pauses[-1]:
                self.pauses[-1]["to_ns"] = mono_ns
            if event.get("type") in _PAUSE_TYPES:
                self.pauses.append({"cause": str(event.get("type")), "from_ns": mono_ns})
        for index in self.withheld_by(event):
            self.tracks[index].sequence.withhold()

    def withheld_by(self, event: Mapping[str, Any]) -> list[int]:
        """The tracks from which the relay forwards nothing after `event`: all when the gate shuts, one when it is
        muted.
        """
        if gate_after(event) is False:
            return list(self.tracks)
        muted = muted_by(event)
        if muted is None:
            return []
        return [
            index
            for index, track in self.tracks.items()
            if (track.info.get("participant_id"), track.info.get("kind")) == muted
        ]

    def note(self, note: Mapping[str, Any], mono_ns: int) -> None:
        """A remark of the recorder's own."""
        self.notes.append({**note, "at_ns": mono_ns})

    def gap_records(self, now_ns: int, *, final: bool = False) -> list[tuple[int, bytes]]:
        """What changed about missing packets since the last call: (track, GAP record's payload).

        `final` gives all up as lost.
        """
        found: list[tuple[int, bytes]] = []
        for index, track in self.tracks.items():
            if final:
                track.sequence.expire(now_ns, 0)
            else:
                track.sequence.expire(now_ns)
            if track.sequence.changes:
                changes = track.sequence.take()
                self._list(index, changes)
                payload = json.dumps({"changes": [gap.to_json() for gap in changes]}, separators=(",", ":"))
                found.append((index, payload.encode("ascii")))
        return found

    def to_json(self) -> dict[str, Any]:
        """The manifest's part about what was recorded."""
        tracks = [track.to_json() for track in self.tracks.values()]
        participants = {(str(track.get("participant_id", "")), str(track.get("side", ""))): None for track in tracks}
        return {
            "codecs": sorted({str(track.get("codec", "")) for track in tracks}),
            "events": self.events,
            "gap_count": self.gap_count,
            "gaps": self.gaps,
            "notes": self.notes,
            "participants": [{"participant_id": who, "side": side} for who, side in participants],
            "pauses": self.pauses,
            "tracks": tracks,
        }

    def _list(self, index: int, changes: Iterable[Gap]) -> None:
        for gap in changes:
            if gap.change in (GapChange.LOST, GapChange.WITHHELD):
                self.gap_count += gap.change is GapChange.LOST
                if len(self.gaps) < MAX_LISTED_GAPS:
                    self.gaps.append({**gap.to_json(), "track": index})
