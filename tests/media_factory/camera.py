"""Files for Chromium's fake camera and microphone, made from a still portrait: nothing is downloaded, nobody is filmed.

Chromium takes `--use-file-for-fake-video-capture=FILE` (`.mjpeg` or `.y4m`, looped) and
`--use-file-for-fake-audio-capture=FILE.wav`.
"""

from __future__ import annotations

import math
import wave
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from .portraits import open_portrait

Frame = npt.NDArray[np.uint8]
SIZE = (640, 480)
RATE = 15


def camera_frames(
    portrait: Image.Image | str, *, seconds: float = 12.0, rate: int = RATE, size: tuple[int, int] = SIZE, seed: int = 0
) -> Iterator[Frame]:
    """BGR frames of somebody who sits before a wall and moves a little, as people do. The last leads back to the first.

    `size` is (width, height) in pixels; the face is about a third of the height.
    """
    picture = open_portrait(portrait) if isinstance(portrait, str) else portrait
    face = np.asarray(picture.convert("RGB"))[:, :, ::-1]
    width, height = size
    noise = np.random.default_rng(seed)
    wall = _wall(size)
    count = max(2, round(seconds * rate))
    base = 0.92 * height / face.shape[0]
    for number in range(count):
        phase = 2 * math.pi * number / count
        # Whole numbers of swings, so that the film loops without a jump.
        scale = base * (1 + 0.02 * math.sin(2 * phase))
        angle = 1.8 * math.sin(3 * phase)
        move = cv2.getRotationMatrix2D((face.shape[1] / 2, face.shape[0] / 2), angle, scale)
        move[0, 2] += width / 2 - face.shape[1] / 2 + 0.02 * width * math.sin(phase)
        move[1, 2] += height - 0.5 * scale * face.shape[0] - face.shape[0] / 2 + 0.01 * height * math.sin(2 * phase)
        seen = cv2.warpAffine(face, move, size, flags=cv2.INTER_AREA)
        mask = cv2.warpAffine(np.full(face.shape[:2], 255, np.uint8), move, size)
        soft = cv2.GaussianBlur(mask, (0, 0), 2)[..., None].astype(np.float32) / 255
        frame = wall * (1 - soft) + seen.astype(np.float32) * soft
        light = 1 + 0.03 * math.sin(phase)
        frame = frame * light + noise.normal(0, 1.5, frame.shape)
        yield np.clip(frame, 0, 255).astype(np.uint8)


def camera_mjpeg(path: Path, portrait: Image.Image | str, *, quality: int = 88, **how: float | int) -> Path:
    """Write the frames as concatenated JPEGs (what Chromium calls .mjpeg); returns `path`. About 3 MB for 12 s."""
    with path.open("wb") as out:
        for frame in camera_frames(portrait, **how):  # type: ignore[arg-type]
            done, data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if not done:
                raise RuntimeError("a frame does not encode")
            out.write(data.tobytes())
    return path


def camera_y4m(path: Path, portrait: Image.Image | str, *, rate: int = RATE, **how: float | int) -> Path:
    """Write the frames as YUV4MPEG2, 4:2:0, uncompressed (about 7 MB a second at 640 x 480); returns `path`."""
    frames = camera_frames(portrait, rate=rate, **how)  # type: ignore[arg-type]
    with path.open("wb") as out:
        for number, frame in enumerate(frames):
            if number == 0:
                out.write(f"YUV4MPEG2 W{frame.shape[1]} H{frame.shape[0]} F{rate}:1 Ip A1:1 C420jpeg\n".encode())
            out.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_BGR2YUV_I420).tobytes())
    return path


def speech_like_wav(
    path: Path, *, seconds: float = 12.0, pitch: float = 120.0, seed: int = 0, rate: int = 48_000
) -> Path:
    """Write sound with the rhythm and the spectrum of speech, mono 16 bit; returns `path`.

    A buzz of `pitch` Hz (two speakers are told apart by it: 120 and 210, say) through formants that change from
    syllable to syllable, about four a second, with pauses: it passes voice detection as speech does.
    """
    rng = np.random.default_rng(seed)
    count = round(seconds * rate)
    time = np.arange(count) / rate
    glide = pitch * (1 + 0.08 * np.sin(2 * np.pi * 0.4 * time) + 0.03 * np.sin(2 * np.pi * 1.7 * time))
    phase = 2 * np.pi * np.cumsum(glide) / rate
    sound = np.zeros(count)
    place = 0
    while place < count:
        length = round(rng.uniform(0.14, 0.30) * rate)
        span = slice(place, min(place + length, count))
        if rng.random() > 0.18:
            formants = rng.uniform((300, 900, 2200), (800, 2000, 2900))
            here = np.zeros(span.stop - span.start)
            for harmonic in range(1, int(3800 / pitch)):
                frequency = harmonic * pitch
                gain = sum(math.exp(-(((frequency - formant) / 170) ** 2)) for formant in formants) + 0.02
                here += gain / harmonic**0.5 * np.sin(harmonic * phase[span])
            sound[span] = here * np.hanning(len(here)) ** 0.5
        place += length
    sound += rng.normal(0, 0.002, count)
    scaled = (sound / np.abs(sound).max() * 0.5 * 32767).astype("<i2")
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(scaled.tobytes())
    return path


def _wall(size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """A dim room behind the person: a wall that darkens to one side, and the edge of a shelf."""
    width, height = size
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :, None]
    wall = np.broadcast_to(np.array([118, 130, 138], np.float32) * (1.05 - 0.25 * x), (height, width, 3)).copy()
    wall[: height // 5, int(width * 0.78) :] *= 0.7
    return wall
