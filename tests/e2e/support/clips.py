"""Files for Chromium's fake camera and microphone, made here: no picture of a person is needed."""

from __future__ import annotations

import math
import struct
import wave
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

Picture = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def colour_clip(path: Path, bgr: tuple[int, int, int], frames: int = 30, size: tuple[int, int] = (640, 480)) -> Path:
    """Write an .mjpeg of one colour with a bright bar that moves: who is seen can be told by the colour."""
    width, height = size

    def pictures() -> Iterable[Picture]:
        for number in range(frames):
            picture = np.full((height, width, 3), bgr, np.uint8)
            left = int(number / frames * (width - 40))
            picture[:, left : left + 40] = 255
            yield picture

    return _mjpeg(path, pictures())


def still_clip(path: Path, picture: Picture, frames: int = 30, sway: int = 6) -> Path:
    """Write an .mjpeg that shows `picture` (BGR) moved about by `sway` pixels, as a hand-held camera would."""
    height, width = picture.shape[:2]

    def pictures() -> Iterable[Picture]:
        for number in range(frames):
            angle = 2 * math.pi * number / frames
            shift = np.array([[1, 0, sway * math.cos(angle)], [0, 1, sway * math.sin(angle)]], np.float32)
            yield cv2.warpAffine(picture, shift, (width, height), borderMode=cv2.BORDER_REFLECT).astype(np.uint8)

    return _mjpeg(path, pictures())


def tone(path: Path, hertz: float = 440.0, seconds: float = 2.0, rate: int = 48_000, volume: float = 0.5) -> Path:
    """Write a mono 16-bit .wav with a tone (`volume` 0..1; 0 is silence)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (round(32_767 * volume * math.sin(2 * math.pi * hertz * n / rate)) for n in range(int(rate * seconds)))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return path


def _mjpeg(path: Path, pictures: Iterable[Picture]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for picture in pictures:
            encoded, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])
            if not encoded:
                raise ValueError(f"a picture of shape {picture.shape} could not be encoded")
            file.write(jpeg.tobytes())
    return path
