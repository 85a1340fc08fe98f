"""Real Opus and VP8 for servers that decode: what timetables.py describes, made by aiortc's encoders."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from aiortc.codecs.opus import OpusEncoder
from aiortc.codecs.vpx import Vp8Encoder

from tests.support.load.engine import Packet, Timetable

_SECONDS = 2
_FPS = 30
_BITRATE = 600_000


def real_voice() -> Timetable:
    """A tone in packets of 20 ms."""
    encoder = OpusEncoder()
    packets: list[Packet] = []
    for number in range(_SECONDS * 50):
        times = np.arange(number * 960, (number + 1) * 960) / 48000
        wave = (np.sin(2 * np.pi * 440 * times) * 8000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2).reshape(1, -1), "s16", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, number * 960, Fraction(1, 48000)
        for payload in encoder.encode(frame)[0]:
            packets.append(Packet(len(packets) / 50, len(packets) * 960, payload, stamped=False))
    return Timetable(packets, len(packets) / 50, 48000)


def real_picture() -> Timetable:
    """A moving picture with noise, 640 x 480, one keyframe at the start of each cycle."""
    encoder = Vp8Encoder()
    encoder.target_bitrate = _BITRATE
    noise = np.random.default_rng(7)
    packets: list[Packet] = []
    for number in range(_SECONDS * _FPS):
        picture = np.full((480, 640, 3), 90, np.uint8)
        left = number * 8 % 500
        picture[100:240, left : left + 140] = noise.integers(0, 255, (140, 140, 3), np.uint8) // 4 + 120
        frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = number * 3000, Fraction(1, 90000)
        payloads, _ = encoder.encode(frame, force_keyframe=number == 0)
        for part, payload in enumerate(payloads):
            at = number / _FPS + min(part * 0.002, 0.03)
            packets.append(Packet(at, number * 3000, payload, part == len(payloads) - 1, stamped=False))
    return Timetable(packets, float(_SECONDS), 90000)
