"""Made sound and pictures as RTP payloads, for stacks that have no encoder of their own."""

from __future__ import annotations

import base64
import json
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np

WIDTH, HEIGHT = 320, 240
FRAMES, RATE = 60, 30  # two seconds
TONE = 440  # hertz
_MOST = 1100  # bytes of VP8 in a packet


@cache
def _packets() -> tuple[dict[str, Any], ...]:
    made = [*_pictures(), *_sounds()]
    return tuple(sorted(made, key=lambda packet: float(packet["at"])))


def _pictures() -> list[dict[str, Any]]:
    """VP8 (RFC 7741), a keyframe twice a second; a bar that moves over grey."""
    encoder = av.CodecContext.create("libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"  # type: ignore[attr-defined]
    encoder.time_base = Fraction(1, RATE)
    encoder.bit_rate = 300_000
    encoder.options = {"deadline": "realtime", "cpu-used": "8", "g": "15", "lag-in-frames": "0"}
    made = []
    for number in range(FRAMES):
        grey = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        grey[:HEIGHT, number * 4 : number * 4 + 40] = 220
        frame = av.VideoFrame.from_ndarray(grey, format="yuv420p")
        frame.pts = number
        for packet in encoder.encode(frame):  # type: ignore[attr-defined]
            data = bytes(packet)
            pieces = [data[at : at + _MOST] for at in range(0, len(data), _MOST)]
            for place, piece in enumerate(pieces):
                payload = (b"\x10" if place == 0 else b"\x00") + piece
                made.append(_packet("video", 1000 * number / RATE, payload, marker=place == len(pieces) - 1))
    return made


def _sounds() -> list[dict[str, Any]]:
    """Opus (RFC 7587), 20 ms a packet; a tone."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48000, "stereo", "s16"  # type: ignore[attr-defined]
    encoder.time_base = Fraction(1, 48000)
    made = []
    for number in range(FRAMES * 1000 // RATE // 20):
        times = (np.arange(960) + number * 960) / 48000
        wave = (np.sin(2 * np.pi * TONE * times) * 8000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, number * 960, Fraction(1, 48000)
        for packet in encoder.encode(frame):  # type: ignore[attr-defined]
            made.append(_packet("audio", len(made) * 20.0, bytes(packet), marker=False))
    return made


def _packet(kind: str, at: float, payload: bytes, *, marker: bool) -> dict[str, Any]:
    return {"kind": kind, "at": at, "marker": marker, "payload": base64.b64encode(payload).decode()}


def payload_starts(kind: str) -> set[str]:
    """The first twelve bytes of every payload of one kind, hexadecimal: what a receiver is asked for."""
    return {base64.b64decode(packet["payload"])[:12].hex() for packet in _packets() if packet["kind"] == kind}


def write_footage(path: Path) -> None:
    """Write the footage as JSON: `length` in milliseconds, and `packets` with the milliseconds at which each is due."""
    path.write_text(json.dumps({"length": 1000 * FRAMES / RATE, "packets": _packets()}))
