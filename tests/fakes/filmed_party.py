"""A participant without a browser whom browsers can see and hear: a bare media client that sends a coded portrait."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from fractions import Fraction

import av
import cv2
import numpy as np
from aiortc.codecs.opus import OpusEncoder
from aiortc.codecs.vpx import Vp8Encoder

from tests.fakes.media_client import PARTY, MediaClient

FRAME = 0.2  # seconds between two pictures
VOICE = 0.02  # seconds of sound in a packet
SIZE = (320, 240)


def coded_pictures(picture: np.ndarray, count: int = 4) -> list[list[bytes]]:
    """VP8 payloads (with their descriptors) of `count` keyframes of a BGR picture, with a bar that moves."""
    encoder = Vp8Encoder()
    encoder.target_bitrate = 400_000
    frames = []
    for number in range(count):
        seen = cv2.resize(picture, SIZE)
        seen[-12:, number * SIZE[0] // count : (number + 1) * SIZE[0] // count] = 255
        frame = av.VideoFrame.from_ndarray(seen, "bgr24").reformat(format="yuv420p")
        frame.pts, frame.time_base = number * round(90000 * FRAME), Fraction(1, 90000)
        payloads, _ = encoder.encode(frame, force_keyframe=True)
        frames.append(payloads)
    return frames


def coded_silence() -> bytes:
    """An Opus packet of 20 ms of silence."""
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.int16), "s16", "stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
    payloads, _ = OpusEncoder().encode(frame)
    return bytes(payloads[0])


class FilmedParty(MediaClient):
    """Sends its picture five times a second and its voice all the time, from `start` until `close`.

    `level` is how loud it says it is, in -dBov (RFC 6464); 127 is silence.
    """

    def __init__(self, picture: np.ndarray, lines: Sequence[tuple[str, str]] = PARTY) -> None:
        super().__init__(lines)
        self.level = 127
        self._pictures = coded_pictures(picture)
        self._silence = coded_silence()
        self._filming: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Send from now on."""
        self._filming = asyncio.get_running_loop().create_task(self._film())

    async def _film(self) -> None:
        began = asyncio.get_running_loop().time()
        every = round(FRAME / VOICE)
        for number in itertools.count():
            self.send_rtp("audio", self._silence, number * round(48000 * VOICE), level=self.level)
            if number % every == 0:
                timestamp = number * round(90000 * VOICE) & 0xFFFFFFFF
                payloads = self._pictures[number // every % len(self._pictures)]
                for position, payload in enumerate(payloads):
                    self.send_rtp("video", payload, timestamp, marker=int(position == len(payloads) - 1))
            await asyncio.sleep(max(0.0, began + (number + 1) * VOICE - asyncio.get_running_loop().time()))

    async def stop(self) -> None:
        """Send nothing more, and no checks either: as when the network is gone."""
        self.stop_checks()
        if self._filming is not None:
            self._filming.cancel()
            await asyncio.gather(self._filming, return_exceptions=True)
            self._filming = None

    async def close(self) -> None:
        """Leave."""
        await self.stop()
        await super().close()
