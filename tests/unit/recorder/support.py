"""Recordings for tests: a laboratory with keys and a store, and publishers whose RTP real encoders made."""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from aiortc.codecs.opus import OpusEncoder
from aiortc.codecs.vpx import Vp8Encoder
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from recorder.blobs import FolderStore
from recorder.keys import LocalKeyRing, new_key_line
from recorder.log import NO_TRACK, RecordKind
from recorder.manifest import SealSummary
from recorder.service import RecordingService
from recorder.sink import LogSink
from recorder.tape import Item
from signaling.calls import SYSTEM, CallEvent, EventType
from signaling.capabilities import RecordingWarrant
from signaling.ids import OrdinaryCallId, new_call_id, new_id
from signaling.media.leg import Kind, Side, TrackInfo

NTP_1970 = 2_208_988_800.0
START = 5_000.0  # the monotonic clock when a test's recording begins
FPS = 15
AUDIO_MS = 20


def ordinary_call() -> OrdinaryCallId:
    """A new ordinary call's identifier."""
    call_id = new_call_id(privileged=False)
    assert isinstance(call_id, OrdinaryCallId)
    return call_id


def warrant(
    call_id: OrdinaryCallId | None = None, kinds: Sequence[Kind] = (Kind.AUDIO, Kind.VIDEO)
) -> RecordingWarrant:
    """A warrant for a new recording."""
    return RecordingWarrant(call_id or ordinary_call(), new_id("rec"), tuple(kinds), "1")


def track(
    kind: Kind, call_id: OrdinaryCallId, who: str = "par_a", side: Side = Side.FAMILY, ssrc: int = 1
) -> TrackInfo:
    """A published track."""
    audio = kind is Kind.AUDIO
    return TrackInfo(
        track_id=f"{who}-{kind}-{ssrc}",
        call_id=call_id,
        participant_id=who,
        side=side,
        kind=kind,
        codec="opus" if audio else "VP8",
        clock_rate=48000 if audio else 90000,
        payload_type=111 if audio else 96,
        ssrc=ssrc,
    )


def event(call_id: OrdinaryCallId, kind: EventType, sequence: int = 1, **data: Any) -> CallEvent:
    """A call's event."""
    return CallEvent(call_id, sequence, datetime.now(UTC), kind, SYSTEM, "test", data)


def rtp(
    number: int, timestamp: int, payload: bytes, *, ssrc: int = 1, marker: bool = False, level: int | None = None
) -> bytes:
    """One RTP packet; with `level` an audio level element (id 1) beside a `mid` of "0" (id 4)."""
    extension = b"" if level is None else struct.pack("!HHBBBB", 0xBEDE, 1, 0x10, level, 0x40, 0x30)
    head = struct.pack(
        "!BBHII", 0x90 if extension else 0x80, 96 | marker << 7, number & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc
    )
    return head + extension + payload


def sender_report(ssrc: int, ntp: float, timestamp: int) -> bytes:
    """A compound RTCP packet of one sender report."""
    seconds = int(ntp)
    fraction = int((ntp - seconds) * (1 << 32))
    return struct.pack("!BBHIIIIII", 0x80, 200, 6, ssrc, seconds, fraction, timestamp & 0xFFFFFFFF, 0, 0)


@dataclass(frozen=True, order=True)
class Sent:
    """Something that arrives at the relay."""

    arrival: float
    order: int
    track: TrackInfo = field(compare=False)
    packet: bytes = field(compare=False)
    rtcp: bool = field(compare=False, default=False)


class Laboratory:
    """A folder store, keys, and a service over them."""

    def __init__(self, root: Path, **options: Any) -> None:
        self.root = root / "recordings"
        self.store = FolderStore(self.root)
        self.keys = LocalKeyRing.from_text(new_key_line("kek-1"))
        self.signing_key = Ed25519PrivateKey.generate()
        self.public_pem = self.signing_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.now = START
        self.service = RecordingService(
            self.store, self.keys, self.signing_key, self.clock, monotonic=lambda: self.now, **options
        )

    def clock(self) -> datetime:
        """Wall time that goes with the laboratory's monotonic time."""
        return datetime(2026, 3, 1, 12, 0, tzinfo=UTC) + timedelta(seconds=self.now - START)

    def write(
        self,
        sent: Iterable[Sent],
        events: Iterable[tuple[float, CallEvent]] = (),
        *,
        call_id: OrdinaryCallId,
        seal: bool = True,
    ) -> tuple[str, SealSummary | None]:
        """Record what `sent` brings, in the time that it states, without threads; seal it unless told otherwise."""
        order = warrant(call_id)
        self.now = START
        begun = self.service._begin(order)
        sink, claim = begun.sink, begun.claim
        numbers: dict[str, int] = {}
        items: list[Item] = []
        for one in sorted(sent):
            number = numbers.get(one.track.track_id)
            if number is None:
                number = numbers[one.track.track_id] = len(numbers)
                info = {
                    key: str(value) if isinstance(value, str) else value for key, value in vars_of(one.track).items()
                }
                items.append((RecordKind.TRACK, number, info, one.arrival))
            items.append((RecordKind.RTCP if one.rtcp else RecordKind.RTP, number, one.packet, one.arrival))
        items.extend((RecordKind.EVENT, NO_TRACK, happened.to_json(), at) for at, happened in events)
        items.sort(key=lambda item: item[3])
        self.drive(sink, items)
        summary = None
        if seal:
            summary = sink.finish("ended", self.clock(), int(self.now * 1e9))
        else:
            sink.abandon()
        claim.release()
        return order.recording_id, summary

    def drive(self, sink: LogSink, items: Sequence[Item], step: float = 0.25) -> None:
        """Give `items` to `sink` in the rounds in which the writer's thread would."""
        offset = int(self.clock().timestamp() * 1e9) - int(self.now * 1e9)
        at = 0
        while at < len(items):
            self.now += step
            end = at
            while end < len(items) and items[end][3] <= self.now:
                end += 1
            sink.write(items[at:end], int(self.now * 1e9), offset)
            at = end


def vars_of(info: TrackInfo) -> dict[str, Any]:
    """A TrackInfo's fields."""
    return {name: getattr(info, name) for name in TrackInfo.__slots__}


@dataclass
class Publisher:
    """A participant with a camera and a microphone; every second second the picture is white and a tone sounds.

    `ntp_offset` is how far its wall clock is off, `delay` how long its packets travel, both in seconds; `drift` makes
    its clocks run fast.
    """

    call_id: OrdinaryCallId
    participant_id: str = "par_a"
    side: Side = Side.FAMILY
    ntp_offset: float = 0.0
    delay: float = 0.02
    first_ssrc: int = 100
    video_start: float = 0.0
    phase: float = 0.0
    fps: int = FPS
    bitrate: int = 300_000

    def __post_init__(self) -> None:
        self.audio = track(Kind.AUDIO, self.call_id, self.participant_id, self.side, self.first_ssrc)
        self.video = track(Kind.VIDEO, self.call_id, self.participant_id, self.side, self.first_ssrc + 1)
        self._order = itertools.count()

    def marked(self, seconds: float) -> bool:
        """Whether the picture is white and the tone sounds at this time of the call."""
        return int(seconds - self.phase) % 2 == 1 and seconds >= self.phase

    def send(self, seconds: float, *, size: tuple[int, int] = (160, 120), resize_at: float | None = None) -> list[Sent]:
        """What arrives of `seconds` of camera, microphone and reports."""
        return sorted([*self._pictures(seconds, size, resize_at), *self._voice(seconds), *self._reports(seconds)])

    def _sent(self, at: float, info: TrackInfo, packet: bytes, rtcp: bool = False) -> Sent:
        return Sent(START + at + self.delay, next(self._order), info, packet, rtcp)

    def _pictures(self, seconds: float, size: tuple[int, int], resize_at: float | None) -> Iterator[Sent]:
        encoder = Vp8Encoder()
        encoder.target_bitrate = self.bitrate
        number = 65_500  # wraps soon
        for count in range(int(self.video_start * self.fps), int(seconds * self.fps)):
            at = count / self.fps
            if resize_at is not None and at >= resize_at:
                size = (size[0] * 2, size[1] * 2)
                resize_at = None
            picture = np.full((size[1], size[0], 3), 235 if self.marked(at) else 20, np.uint8)
            picture[: size[1] // 4, : size[0] // 4] = (count * 9) % 200
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = count * (90000 // self.fps), Fraction(1, 90000)
            payloads, _ = encoder.encode(frame, force_keyframe=count % (2 * self.fps) == 0)
            for position, payload in enumerate(payloads):
                last = position == len(payloads) - 1
                packet = rtp(number, 7_000_000 + int(at * 90000), payload, ssrc=self.video.ssrc, marker=last)
                yield self._sent(at + position * 1e-4, self.video, packet)
                number += 1

    def _voice(self, seconds: float) -> Iterator[Sent]:
        encoder = OpusEncoder()
        samples = 48 * AUDIO_MS
        encoded = 0
        for count in range(int(seconds * 1000 / AUDIO_MS)):
            at = count * AUDIO_MS / 1000
            loud = self.marked(at)
            times = np.arange(count * samples, (count + 1) * samples) / 48000
            wave = (np.sin(2 * math.pi * 440 * times) * (12000 if loud else 0)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2).reshape(1, -1), "s16", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48000, count * samples, Fraction(1, 48000)
            payloads, _ = encoder.encode(frame)
            for payload in payloads:
                level = 10 if self.marked(encoded * AUDIO_MS / 1000) else 127
                stamp = 0xFFFFFFFF - 24000 + encoded * samples  # wraps after half a second
                packet = rtp(3000 + encoded, stamp, payload, ssrc=self.audio.ssrc, level=level)
                yield self._sent(encoded * AUDIO_MS / 1000, self.audio, packet)
                encoded += 1

    def _reports(self, seconds: float) -> Iterator[Sent]:
        for count in range(int(seconds * 2)):
            at = count / 2 + 0.05
            ntp = NTP_1970 + 1_700_000_000.0 + at + self.ntp_offset
            yield self._sent(at, self.video, sender_report(self.video.ssrc, ntp, 7_000_000 + int(at * 90000)), True)
            stamp = 0xFFFFFFFF - 24000 + int(at * 48000)
            yield self._sent(at, self.audio, sender_report(self.audio.ssrc, ntp, stamp), True)


def system_now() -> datetime:
    """The system's clock."""
    return datetime.now(UTC)
