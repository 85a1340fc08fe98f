"""Write the demonstration's material into a folder: `python -m tests.media_factory FOLDER`.

A passport page, a fake camera and a fake microphone for each of two people, for a browser started by hand:

    chromium --use-fake-device-for-media-stream --use-fake-ui-for-media-stream \\
        --use-file-for-fake-video-capture=FOLDER/astronaut.mjpeg --use-file-for-fake-audio-capture=FOLDER/astronaut.wav
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

from . import DocumentFields, camera_mjpeg, make_td3_page, speech_like_wav

PEOPLE = {
    "astronaut": (DocumentFields("Collins", "Eileen Marie", date(1956, 11, 19), number="U0001956C"), 210.0),
    "admiral": (DocumentFields("Hopper", "Grace Brewster", date(1946, 12, 9), number="U0001906H"), 180.0),
}


def main(folder: Path) -> None:
    """Write everything and say what."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (fields, pitch) in PEOPLE.items():
        page = folder / f"{name}-passport.jpg"
        page.write_bytes(make_td3_page(name, fields))
        camera = camera_mjpeg(folder / f"{name}.mjpeg", name)
        sound = speech_like_wav(folder / f"{name}.wav", pitch=pitch)
        print(f"{name}: {page} {camera} {sound}")
        print(f"    {fields.given_names} {fields.family_name}, born {fields.birth_date:%d.%m.%Y}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "var/material"))
