"""The made material is what it says: zones that fit the standard, films and sound that decode."""

from __future__ import annotations

import itertools
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media_factory import (
    DocumentFields,
    PortraitMissing,
    camera_mjpeg,
    camera_y4m,
    make_td3_page,
    portrait_path,
    speech_like_wav,
    zone_lines,
)


@pytest.fixture(scope="module", autouse=True)
def portraits() -> None:
    try:
        portrait_path("astronaut")
        portrait_path("admiral")
    except PortraitMissing as error:
        pytest.skip(str(error))


def test_the_example_of_the_standard_comes_out() -> None:
    # ICAO Doc 9303-4, appendix B.
    fields = DocumentFields("Eriksson", "Anna Maria", number="L898902C3", optional="ZE184226B").with_(
        expires=DocumentFields().expires.replace(year=2012)
    )
    assert zone_lines("TD3", fields) == [
        "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<",
        "L898902C36UTO7408122F1204159ZE184226B<<<<<10",
    ]


def test_the_same_seed_makes_the_same_page() -> None:
    assert make_td3_page("astronaut", seed=3) == make_td3_page("astronaut", seed=3)
    assert make_td3_page("astronaut", seed=3) != make_td3_page("astronaut", seed=4)


@pytest.mark.parametrize("kind", ["mjpeg", "y4m"])
def test_a_camera_file_is_a_film_of_somebody_who_moves(tmp_path: Path, kind: str) -> None:
    make = camera_mjpeg if kind == "mjpeg" else camera_y4m
    path = make(tmp_path / f"camera.{kind}", "admiral", seconds=1.0)
    with av.open(str(path), format="mjpeg" if kind == "mjpeg" else "yuv4mpegpipe") as film:
        frames = [frame.to_ndarray(format="gray") for frame in film.decode(video=0)]
    assert len(frames) == 15
    assert frames[0].shape == (480, 640)
    moved = [float(np.abs(a.astype(int) - b.astype(int)).mean()) for a, b in itertools.pairwise(frames)]
    assert all(0.5 < change < 30 for change in moved)


def test_the_sound_has_syllables_and_pauses(tmp_path: Path) -> None:
    path = speech_like_wav(tmp_path / "voice.wav", seconds=4, pitch=120)
    with wave.open(str(path)) as sound:
        assert (sound.getnchannels(), sound.getsampwidth(), sound.getframerate()) == (1, 2, 48_000)
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(float)
    assert len(samples) == 4 * 48_000
    loudness = np.sqrt((samples.reshape(-1, 960) ** 2).mean(axis=1))
    assert loudness.max() > 2000
    assert 0.02 < (loudness < 200).mean() < 0.6
    spectrum = np.abs(np.fft.rfft(samples))
    frequencies = np.fft.rfftfreq(len(samples), 1 / 48_000)
    voice = spectrum[(frequencies > 100) & (frequencies < 4000)].sum() / spectrum.sum()
    assert voice > 0.6
