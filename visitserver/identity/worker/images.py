"""Pictures from strangers into pixels, through the limited process of decoder.py; and pixels into clean JPEG."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
from typing import IO, Any, Final

import cv2
import numpy as np

from visitserver.identity import frames
from visitserver.identity.limits import DECODE_WALL_SECONDS, MAX_BYTES, WORDS
from visitserver.identity.worker.ocr import Picture
from visitserver.services.ports.identity_engine import ImageRefused

_JPEG_QUALITY: Final = 90


def refusal(code: str) -> ImageRefused:
    """The error for a code of limits.WORDS."""
    return ImageRefused(WORDS[code], code=code, field="picture")


class ImageDecoder:
    """Holds one decoder process, started when first needed and again after it ended."""

    def __init__(self, *, wall_seconds: float = DECODE_WALL_SECONDS) -> None:
        self._wall = wall_seconds
        self._process: subprocess.Popen[bytes] | None = None

    def decode(self, data: bytes, max_side: int) -> Picture:
        """The picture as BGR pixels, upright, longest side at most `max_side`. Raises ImageRefused."""
        if len(data) > MAX_BYTES:
            raise refusal("too_large")
        process = self._running()
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the decoder has no pipes")
        try:
            process.stdin.write(frames.encode({"max_side": max_side}, [data]))
            process.stdin.flush()
            answer = self._answer(process, process.stdout)
        except (BrokenPipeError, frames.FrameError):
            answer = None
        if answer is None:
            raise refusal(self._why_ended(process))
        header, blobs = answer
        if "refused" in header:
            raise refusal(str(header["refused"]) if header["refused"] in WORDS else "broken")
        width, height = int(header["width"]), int(header["height"])
        rgb = np.frombuffer(blobs[0], np.uint8).reshape(height, width, 3)
        return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8)

    def _answer(self, process: subprocess.Popen[bytes], stdout: IO[bytes]) -> tuple[dict[str, Any], list[bytes]] | None:
        ready, _, _ = select.select([stdout], [], [], self._wall)
        if not ready:
            process.kill()
            process.wait()
            self._process = None
            raise refusal("too_slow")
        return frames.read(stdout)  # type: ignore[arg-type]

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "visitserver.identity.worker.decoder"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        return self._process

    def _why_ended(self, process: subprocess.Popen[bytes]) -> str:
        ended = process.wait()
        self.close()
        if ended == -signal.SIGXCPU:
            return "too_slow"
        return "too_much_memory" if ended == -signal.SIGKILL else "broken"


def jpeg(picture: Picture) -> bytes:
    """BGR pixels as JPEG without any metadata."""
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise ValueError("not a picture to encode")
    return data.tobytes()
