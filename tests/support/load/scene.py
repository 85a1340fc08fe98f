"""What a camera and a microphone would bring: something for an encoder to do, made without any material.

A picture is a textured wall with a textured head before it that sways and nods, and the noise of a camera. Textures
have the spectrum of natural images (amplitude falls with frequency: D. J. Field, J. Opt. Soc. Am. A 4, 1987), because
plain surfaces cost an encoder nothing. Against 90 frames of a real selfie video at the same size and bitrate, libvpx as
aiortc uses it spends a tenth less on these (docs/decisions/0115).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT, FPS = 640, 480, 30
RATE = 48_000  # samples a second
_HEAD = (320, 240)  # rows, columns
_NOISE = 1.0  # standard deviation of the luma

Plane = npt.NDArray[np.int16]


def pictures(count: int) -> Iterator[npt.NDArray[np.uint8]]:
    """So many frames as YUV 4:2:0, planes below one another: (HEIGHT * 3 / 2, WIDTH). The same at every call."""
    random = np.random.default_rng(7)
    wall = _texture(random, HEIGHT, WIDTH, mean=110, contrast=30)
    head = _texture(random, *_HEAD, mean=140, contrast=25)
    rows, columns = np.mgrid[0 : _HEAD[0], 0 : _HEAD[1]]
    face = ((rows / _HEAD[0] * 2 - 1) ** 2 + (columns / _HEAD[1] * 2 - 1) ** 2) < 1
    noise = np.rint(random.normal(0, _NOISE, (HEIGHT, WIDTH))).astype(np.int16)
    for number in range(count):
        turn = 2 * np.pi * number / (2 * FPS)
        left, top = 200 + round(30 * np.sin(turn)), 100 + round(8 * np.sin(2 * turn))
        luma = wall.copy()
        luma[top : top + _HEAD[0], left : left + _HEAD[1]][face] = head[face]
        chroma = 128 + (luma[::2, ::2] - 128) // 8
        luma += np.roll(noise, tuple(random.integers(0, (HEIGHT, WIDTH))), (0, 1))
        planes = np.concatenate([luma.ravel(), chroma.ravel(), (256 - chroma).ravel()])
        yield np.clip(planes, 0, 255).astype(np.uint8).reshape(HEIGHT * 3 // 2, WIDTH)


def _texture(random: np.random.Generator, height: int, width: int, *, mean: float, contrast: float) -> Plane:
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(random.standard_normal((height, width))) / frequency**1.2
    texture = np.fft.irfft2(spectrum, (height, width))
    made: Plane = np.rint(mean + contrast * texture / texture.std()).astype(np.int16)
    return made


def sound(seconds: float) -> npt.NDArray[np.int16]:
    """A voice-like tone with harmonics, in syllables, with breath: (1, samples), mono."""
    random = np.random.default_rng(7)
    times = np.arange(round(seconds * RATE)) / RATE
    pitch = 120 + 25 * np.sin(2 * np.pi * 0.5 * times)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = sum(np.sin(number * phase) / number for number in range(1, 20))
    syllables = 0.15 + 0.85 * np.sin(2 * np.pi * 2 * times) ** 2
    wave = 4000 * syllables * voice + random.normal(0, 200, times.shape)
    return np.clip(wave, -32768, 32767).astype(np.int16).reshape(1, -1)
