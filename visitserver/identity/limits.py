"""Limits of pictures, known on both sides of the process boundary."""

from __future__ import annotations

from typing import Final

MAX_BYTES: Final = 10 * 1024 * 1024
MAX_PIXELS: Final = 25_000_000
MAX_SIDE: Final = 12_000
MIN_SIDE: Final = 64
DECODE_CPU_SECONDS: Final = 2
DECODE_WALL_SECONDS: Final = 10.0
"""Only a backstop: on a busy machine two seconds of work can take longer."""
DECODE_MEMORY: Final = 256 * 1024 * 1024
DOCUMENT_SIDE: Final = 2600
"""Documents are scaled down to this longest side, in pixels: 44 characters then have more than 40 pixels each."""
SELFIE_SIDE: Final = 1280

WORDS: Final = {
    "too_large": "This picture has more than 10 megabytes. Choose a smaller one.",
    "not_a_picture": "This is not a picture that we can read. Use a JPEG, PNG or WebP picture.",
    "too_many_pixels": "This picture is larger than 25 megapixels. Choose a smaller one.",
    "too_small": "This picture is too small to see anything. Take it again from closer.",
    "animated": "This picture moves. Send a still one.",
    "truncated": "This picture is not complete. Send it again.",
    "broken": "This picture is damaged. Take it again.",
    "too_slow": "This picture could not be read in time. Take it again.",
    "too_much_memory": "This picture is too complicated to read. Take it again.",
}
"""Plain words for each code of ImageRefused."""
