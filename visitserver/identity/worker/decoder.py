"""The process that touches strangers' pictures first: Pillow alone, under limits, with nothing else in its memory.

Run as `python -m visitserver.identity.worker.decoder`: messages (frames.py) on stdin and stdout. A request's header has
`max_side`, its blob is the file; the answer has `width`, `height` and the RGB pixels, or `refused` and a code. The
picture is upright (EXIF orientation applied), without alpha or metadata, its longest side at most `max_side`.
"""

from __future__ import annotations

import io
import resource
import sys
import warnings
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps, JpegImagePlugin, PngImagePlugin, UnidentifiedImageError, WebPImagePlugin

from visitserver.identity import frames
from visitserver.identity.limits import (
    DECODE_CPU_SECONDS,
    DECODE_MEMORY,
    MAX_BYTES,
    MAX_PIXELS,
    MAX_SIDE,
    MIN_SIDE,
)

_PLUGINS: Final = (JpegImagePlugin, PngImagePlugin, WebPImagePlugin)  # the formats below, loaded before the limits
_FORMATS: Final = ("JPEG", "PNG", "WEBP")
_MAGIC: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF")


class Refused(Exception):
    """`args[0]` is a code of limits.WORDS."""


def decode(data: bytes, max_side: int) -> Image.Image:
    """The picture in a file. Raises Refused."""
    if len(data) > MAX_BYTES:
        raise Refused("too_large")
    # A file that begins as something else and hides a picture further on is not a picture.
    if not data.startswith(_MAGIC):
        raise Refused("not_a_picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=_FORMATS)
        width, height = picture.size
        if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
            raise Refused("too_many_pixels")
        if min(width, height) < MIN_SIDE:
            raise Refused("too_small")
        # A phone's JPEG may carry further frames (MPO); its first is the picture. Others with frames move.
        if picture.format in ("PNG", "WEBP") and getattr(picture, "n_frames", 1) > 1:
            raise Refused("animated")
        picture.draft("RGB", (max_side, max_side))
        picture.load()
        return _plain(picture, max_side)
    except (Refused, MemoryError):
        raise
    except UnidentifiedImageError:
        raise Refused("not_a_picture") from None
    except Image.DecompressionBombError:
        raise Refused("too_many_pixels") from None
    except (EOFError, OSError) as error:
        raise Refused("truncated" if "truncated" in str(error) or "premature" in str(error) else "broken") from None
    except Exception:
        # Pillow's parsers raise whatever a damaged file leads to (SyntaxError, struct.error, ValueError ...).
        raise Refused("broken") from None


def _plain(picture: Image.Image, max_side: int) -> Image.Image:
    if picture.mode not in ("RGB", "RGBA", "L", "LA"):
        if picture.mode.startswith("I"):
            # 16 bits a pixel: the upper eight.
            picture = picture.point(lambda value: value / 256).convert("L")
        else:
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    if max(picture.size) > max_side:
        picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("RGBA", "LA"):
        paper = Image.new("RGB", picture.size, (255, 255, 255))
        paper.paste(picture, mask=picture.getchannel("A"))
        return paper
    return picture.convert("RGB")


def _limit() -> None:
    """From here on: a little memory more than now, no files, no processes, no core dump."""
    Image.init()
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS * 2
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory = pages * resource.getpagesize() + DECODE_MEMORY
    for what, limit in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        resource.setrlimit(what, (limit, limit))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _allow_time() -> None:
    """Two seconds of this process's time for the next picture; then the kernel ends it (SIGXCPU)."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(usage.ru_utime + usage.ru_stime)
    resource.setrlimit(resource.RLIMIT_CPU, (spent + DECODE_CPU_SECONDS + 1, resource.RLIM_INFINITY))


def main() -> None:
    """Answer requests until stdin ends."""
    _limit()
    while (message := frames.read(sys.stdin.buffer)) is not None:
        header, blobs = message
        _allow_time()
        spoilt = False
        try:
            picture = decode(blobs[0], int(header["max_side"]))
            answer = frames.encode({"width": picture.width, "height": picture.height}, [picture.tobytes()])
        except Refused as refused:
            answer = frames.encode({"refused": refused.args[0]})
        except MemoryError:
            spoilt = True
            answer = frames.encode({"refused": "too_much_memory"})
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()
        if spoilt:
            return  # memory is in pieces: the next picture gets a fresh process


if __name__ == "__main__":
    main()
