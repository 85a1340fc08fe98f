"""Derived WebM: what a participant sent, frame by frame as it was encoded, on the recording's time line. Nothing is
decoded or encoded.

One file per participant with its picture and its voice. All files begin where the recording begins and end where it
ends, so that they can be played side by side; holds and gaps keep their time (silence in the voice, a still picture).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO

import av
import av.container
import av.stream

from recorder.errors import RecordingDamaged
from recorder.gaps import SequenceTracker
from recorder.index import IndexedTrack, RecordingIndex
from recorder.log import Record, RecordKind, scan
from recorder.opus import SILENCE_MS, duration_ms, silence
from recorder.reorder import Reorder
from recorder.rtp import media_of
from recorder.vp8 import Frame, FrameAssembler

_MILLISECOND = Fraction(1, 1000)
_SLACK_MS = 2.0  # rounding of time stamps; less than the shortest packet
_INTERLEAVE_US = "20000000"  # longer than a late packet holds its track up
_RTP = int(RecordKind.RTP)


@dataclass(slots=True)
class RemuxReport:
    """What became of a participant's packets. `sizes` are (ms, width, height) whenever the picture's size changed."""

    participant_id: str
    side: str
    video_frames: int = 0
    video_left_out: int = 0
    audio_packets: int = 0
    silence_ms: int = 0
    duration_ms: int = 0
    synchronised: bool = True
    sizes: list[tuple[int, int, int]] = field(default_factory=list)


def remux(chunks: Iterable[bytes], index: RecordingIndex, outputs: Mapping[str, BinaryIO]) -> dict[str, RemuxReport]:
    """Write a WebM for every participant in `outputs` to its seekable binary file, in one reading of the plaintext
    `chunks`.

    `index` is of the same chunks. A participant who sent nothing gets no file, and no report. RecordingDamaged where
    the log is damaged.
    """
    writers = {who: _WebmWriter(index, who, file) for who, file in outputs.items() if who in index.participants()}
    readers: dict[int, _TrackReader] = {}
    for number, track in index.tracks.items():
        if track.participant_id in writers:
            readers[number] = _TrackReader(index, track, writers[track.participant_id])
    for chunk in chunks:
        for kind, number, mono_ns, _, start, end in scan(chunk):
            if kind == _RTP:
                if (reader := readers.get(number)) is not None:
                    reader.packet(chunk[start:end], mono_ns)
            elif kind == RecordKind.EVENT:
                event = Record(kind, number, mono_ns, 0, chunk[start:end]).json()
                for withheld in index.summary.withheld_by(event):
                    if withheld in readers:
                        readers[withheld].withhold()
    for reader in readers.values():
        reader.finish()
    return {who: writer.close() for who, writer in writers.items()}


class _WebmWriter:
    """One participant's file."""

    def __init__(self, index: RecordingIndex, participant_id: str, file: BinaryIO) -> None:
        tracks = [track for track in index.tracks.values() if track.participant_id == participant_id]
        self.report = RemuxReport(participant_id, tracks[0].side)
        self._end_ms = index.duration_ms
        self._container = av.open(file, "w", format="webm", options={"max_interleave_delta": _INTERLEAVE_US})
        self._audio = self._video = None
        size = next((track.size for track in tracks if track.size is not None), None)
        if size is not None:
            self._video = self._container.add_mux_stream("libvpx", width=size[0], height=size[1])
            self._video.time_base = _MILLISECOND
        if any(track.kind == "audio" and track.sequence.received for track in tracks):
            # Opened as an encoder for the header that it makes (RFC 7845 section 5.1); it never encodes.
            audio = self._container.add_stream("libopus", rate=48000)
            audio.codec_context.layout = "stereo"
            self._audio = audio
        self._audio_end = 0.0
        self._last_video = -1

    def audio(self, packet: bytes, at_ms: float) -> None:
        """One Opus packet that sounds from `at_ms`; silence fills what is before it."""
        length = duration_ms(packet)
        if not length or self._audio is None:
            return
        self._fill(at_ms)
        begin = max(at_ms, self._audio_end)
        self._mux(self._audio, packet, round(begin), True)
        self._audio_end = begin + length
        self.report.audio_packets += 1

    def video(self, frame: Frame, at_ms: float) -> None:
        """One VP8 frame that is shown from `at_ms`."""
        if self._video is None:
            return
        pts = max(0, round(at_ms), self._last_video + 1)
        self._last_video = pts
        if frame.keyframe and (not self.report.sizes or self.report.sizes[-1][1:] != (frame.width, frame.height)):
            self.report.sizes.append((pts, frame.width, frame.height))
        self._mux(self._video, frame.data, pts, frame.keyframe)
        self.report.video_frames += 1

    def close(self) -> RemuxReport:
        """Fill the voice up to the recording's end, write what the muxer holds back."""
        if self._audio is not None:
            self._fill(float(self._end_ms))
        if self._audio is not None or self._video is not None:
            self._container.close()
        self.report.duration_ms = max(round(self._audio_end), self._last_video, 0)
        return self.report

    def _fill(self, until_ms: float) -> None:
        if until_ms - self._audio_end + _SLACK_MS < SILENCE_MS or self._audio is None:
            return
        for packet, length in silence(until_ms - self._audio_end + _SLACK_MS):
            self._mux(self._audio, packet, round(self._audio_end), True)
            self._audio_end += length
            self.report.silence_ms += length

    def _mux(self, stream: av.stream.Stream, data: bytes, pts: int, keyframe: bool) -> None:
        packet = av.Packet(data)
        packet.stream = stream
        packet.time_base = _MILLISECOND
        packet.pts = packet.dts = pts
        packet.is_keyframe = keyframe
        self._container.mux_one(packet)


class _TrackReader:
    """One track's packets, put in order, timed and taken out of RTP."""

    def __init__(self, index: RecordingIndex, track: IndexedTrack, writer: _WebmWriter) -> None:
        self._writer = writer
        self._clock = track.clock(index.sender(track))
        self._start = index.start_ns / 1e9
        self._numbers = SequenceTracker()
        self._reorder: Reorder[tuple[bool, int, bytes, float]] = Reorder(track.absent)
        self._frames = FrameAssembler() if track.kind == "video" else None

    def packet(self, packet: bytes, mono_ns: int) -> None:
        try:
            marker, timestamp, payload = media_of(packet)
        except RecordingDamaged:
            return  # it was recorded as it came, but there is no media in it
        number = self._numbers.packet(packet[2] << 8 | packet[3], mono_ns)
        for gap, (last, stamp, media, arrival) in self._reorder.push(
            number, (marker, timestamp, payload, mono_ns / 1e9)
        ):
            if self._frames is not None:
                self._picture(self._frames, gap, last, stamp, media, arrival)
            elif media:
                at_ms = (self._clock.time(stamp, arrival) - self._start) * 1000
                self._writer.audio(media, at_ms if at_ms > 0 else 0.0)

    def withhold(self) -> None:
        """The relay forwards nothing of it from here on (the same turn as when it was recorded, so that numbers
        agree).
        """
        self._numbers.withhold()

    def finish(self) -> None:
        """Everything was read."""
        if self._frames is not None:
            self._writer.report.video_left_out += self._frames.left_out
        self._writer.report.synchronised &= self._clock.synchronised

    def _picture(
        self, frames: FrameAssembler, gap: bool, last: bool, timestamp: int, payload: bytes, arrival: float
    ) -> None:
        if gap:
            frames.gap()
        frame = frames.push(timestamp, last, payload)
        if frame is not None:
            self._writer.video(frame, (self._clock.time(frame.timestamp, arrival) - self._start) * 1000)
