"""One reading through a recording: tracks with their clocks, what is missing, events, loudness.

What playback and remuxing start from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from recorder.errors import RecordingDamaged
from recorder.gaps import GapChange, SequenceTracker
from recorder.log import Record, RecordKind, scan
from recorder.rtp import HEADER_BYTES, parse_rtp, sender_reports
from recorder.speech import AudioActivity
from recorder.summary import RecordingSummary
from recorder.sync import Report, SenderClock, TrackClock, counted_on
from recorder.vp8 import key_frame_size, read_descriptor

_NEVER_NS = 1 << 62
_NEVER_CAME = frozenset({GapChange.LOST, GapChange.WITHHELD, GapChange.RESTART})
_SAMPLE_NS = 55_000_000  # a voice's loudness is looked at every third packet of 20 ms
_SIZE_NS = 60_000_000_000
_RTP, _RTCP = int(RecordKind.RTP), int(RecordKind.RTCP)


class IndexedTrack:
    """One track. `absent` are ranges of packet numbers that never came; `size` in pixels of the largest key frame of
    the first minute: a picture that comes in layers begins small.
    """

    def __init__(self, number: int, info: Mapping[str, Any]) -> None:
        self.number = number
        self.info = dict(info)
        self.participant_id = str(info.get("participant_id", ""))
        self.side = str(info.get("side", ""))
        self.kind = str(info.get("kind", ""))
        self.rate = int(info.get("clock_rate") or (48000 if self.kind == "audio" else 90000))
        self.sequence = SequenceTracker()
        self.absent: list[tuple[int, int]] = []
        self.lost: list[tuple[int, int, int]] = []  # (first, last, when missed in ns)
        self.reports: list[Report] = []
        self.first_timestamp = 0
        self.first_ns = self.last_ns = 0
        self.size: tuple[int, int] | None = None
        self._sampled_ns = 0
        self.activity = AudioActivity() if self.kind == "audio" else None

    def packet(self, packet: bytes, mono_ns: int) -> None:
        """Count one RTP packet in."""
        if len(packet) < HEADER_BYTES:
            return
        if self.sequence.received == 0:
            self.first_ns = mono_ns
            self.first_timestamp = int.from_bytes(packet[4:8], "big")
        self.last_ns = mono_ns
        self.sequence.packet(packet[2] << 8 | packet[3], mono_ns)
        if self.activity is not None:
            if mono_ns - self._sampled_ns >= _SAMPLE_NS:
                self._sampled_ns = mono_ns
                self._look_inside(packet, mono_ns)
        elif self.kind == "video" and (self.size is None or mono_ns - self.first_ns < _SIZE_NS):
            self._look_inside(packet, mono_ns)

    def report(self, compound: bytes, mono_ns: int) -> None:
        """Take the sender reports of a compound RTCP packet that are this track's."""
        for report in sender_reports(compound):
            if report.ssrc == self.info.get("ssrc", report.ssrc):
                near = self.reports[-1].timestamp if self.reports else self.first_timestamp
                timestamp = counted_on(report.timestamp, near)
                self.reports.append(Report(report.ntp, timestamp, mono_ns / 1e9))

    def clock(self, sender: SenderClock | None) -> TrackClock:
        """A new clock for a reading of this track."""
        reports = self.reports if sender is not None else []
        return TrackClock(self.rate, self.first_timestamp, self.first_ns / 1e9, reports, sender)

    def finish(self) -> None:
        """Everything was read: what is still missing never came."""
        self.sequence.expire(_NEVER_NS, 0)
        for gap in self.sequence.take():
            if gap.change is GapChange.LOST:
                self.lost.append((gap.first, gap.last, gap.since_ns))
            if gap.change in _NEVER_CAME and gap.last >= gap.first:
                self.absent.append((gap.first, gap.last))
        self.absent.sort()

    def _look_inside(self, packet: bytes, mono_ns: int) -> None:
        try:
            parsed = parse_rtp(packet)
        except RecordingDamaged:
            return
        if self.activity is not None:
            self.activity.packet(mono_ns, parsed.payload, parsed.extension)
            return
        descriptor = read_descriptor(parsed.payload)
        if descriptor is not None and descriptor.begins_frame:
            size = key_frame_size(parsed.payload[descriptor.size :])
            if size is not None and (self.size is None or size[0] * size[1] > self.size[0] * self.size[1]):
                self.size = size


class RecordingIndex:
    """What one reading found. Times in ns of the recorder's monotonic clock; `start_ns` is the opening's."""

    def __init__(self, start_ns: int, only: frozenset[str] | None = None) -> None:
        self.start_ns = start_ns
        self._only = only
        self.end_ns = start_ns
        self.tracks: dict[int, IndexedTrack] = {}
        self.summary = RecordingSummary()
        self.events: list[tuple[int, dict[str, Any]]] = []
        self._read_tracks: dict[int, IndexedTrack] = {}
        self._senders: dict[int, SenderClock | None] = {}

    @classmethod
    def build(cls, chunks: Iterable[bytes], start_ns: int, only: Iterable[str] | None = None) -> RecordingIndex:
        """Read a recording's plaintext chunks; with `only`, the packets of these participants alone are looked at.

        RecordingDamaged where the chunks are not records.
        """
        index = cls(start_ns, frozenset(only) if only is not None else None)
        for chunk in chunks:
            index._read(chunk)
        for track in index.tracks.values():
            track.finish()
        return index

    @property
    def duration_ms(self) -> int:
        """From the opening to the last record."""
        return (self.end_ns - self.start_ns) // 1_000_000

    def participants(self) -> dict[str, str]:
        """Participants who have a track, in order of their first, each with their side."""
        return {track.participant_id: track.side for track in self.tracks.values()}

    def sender(self, track: IndexedTrack) -> SenderClock | None:
        """The wall clock of the device that sent `track`; None if it sent no reports.

        A participant's tracks that overlap in time come from one device and share its clock. After a rejoin it may be
        another device.
        """
        if not self._senders:
            for group in self._devices():
                reports = [report for member in group for report in member.reports]
                clock = SenderClock(reports) if reports else None
                self._senders.update((member.number, clock) for member in group)
        return self._senders.get(track.number)

    def _devices(self) -> list[list[IndexedTrack]]:
        groups: list[list[IndexedTrack]] = []
        received = [track for track in self.tracks.values() if track.sequence.received]
        for track in sorted(received, key=lambda track: (track.participant_id, track.first_ns)):
            if (
                groups
                and groups[-1][0].participant_id == track.participant_id
                and track.first_ns < max(member.last_ns for member in groups[-1])
            ):
                groups[-1].append(track)
            else:
                groups.append([track])
        return groups

    def to_ms(self, mono_ns: int) -> int:
        """Milliseconds on the recording's time line."""
        return max(0, mono_ns - self.start_ns) // 1_000_000

    def _read(self, chunk: bytes) -> None:
        tracks = self._read_tracks
        for kind, number, mono_ns, wall_ns, start, end in scan(chunk):
            if mono_ns > self.end_ns:
                self.end_ns = mono_ns
            if kind == _RTP:
                track = tracks.get(number)
                if track is not None:
                    track.packet(chunk[start:end], mono_ns)
            elif kind == _RTCP:
                track = tracks.get(number)
                if track is not None:
                    track.report(chunk[start:end], mono_ns)
            else:
                self._other(Record(kind, number, mono_ns, wall_ns, chunk[start:end]))

    def _other(self, record: Record) -> None:
        if record.kind == RecordKind.GAP:
            return  # found again from the packets themselves
        if record.kind == RecordKind.TRACK:
            track = self.tracks[record.track] = IndexedTrack(record.track, record.json())
            if self._only is None or track.participant_id in self._only:
                self._read_tracks[record.track] = track
        elif record.kind == RecordKind.EVENT:
            self.events.append((record.mono_ns, record.json()))
            for number in self.summary.withheld_by(record.json()):
                self.tracks[number].sequence.withhold()
        self.summary.feed(record)
