"""Pictures from strangers: what is taken, what is refused, and that the limits are real."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visitserver.identity.limits import MAX_BYTES, WORDS
from visitserver.identity.worker.images import ImageDecoder, jpeg
from visitserver.services.ports.identity_engine import ImageRefused


@pytest.fixture(scope="module")
def decoder() -> Iterator[ImageDecoder]:
    decoder = ImageDecoder()
    yield decoder
    decoder.close()


def picture(width: int = 320, height: int = 240, mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(1)
    rgb = Image.fromarray(rng.integers(0, 255, (height, width, 3), np.uint8).astype(np.uint8))
    return rgb.convert(mode)


def file(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def refused(decoder: ImageDecoder, data: bytes) -> str:
    with pytest.raises(ImageRefused) as error:
        decoder.decode(data, 1000)
    assert error.value.detail == WORDS[error.value.code]
    return error.value.code


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("JPEG", mode) for mode in ("RGB", "L", "CMYK")),
        *(("PNG", mode) for mode in ("RGB", "RGBA", "L", "P", "1", "I;16")),
        ("WEBP", "RGB"),
        ("WEBP", "RGBA"),
    ],
)
def test_ordinary_pictures(decoder: ImageDecoder, kind: str, mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.linspace(0, 65535, 320 * 240).reshape(240, 320).astype(np.uint16))
    else:
        image = picture(mode=mode)
    decoded = decoder.decode(file(image, kind), 1000)
    assert decoded.shape == (240, 320, 3)
    assert decoded.std() > 10


def test_large_ones_come_smaller(decoder: ImageDecoder) -> None:
    assert decoder.decode(file(picture(3000, 1500)), 1000).shape == (500, 1000, 3)


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (1, 1)), (6, (0, 1)), (8, (1, 0))])
def test_the_orientation_of_the_camera_is_honoured(
    decoder: ImageDecoder, orientation: int, corner: tuple[int, int]
) -> None:
    image = Image.new("RGB", (200, 100), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 60, 40))
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decoder.decode(file(image, quality=95, exif=exif), 1000)
    assert decoded.shape[:2] == ((100, 200) if orientation in (1, 3) else (200, 100))
    place = tuple(10 if side == 0 else -10 for side in corner)
    assert decoded[place].mean() > 200
    assert decoded[decoded.shape[0] // 2, decoded.shape[1] // 2].mean() < 50


def test_nothing_but_pixels_comes_through(decoder: ImageDecoder) -> None:
    exif = Image.Exif()
    exif[0x010E] = "SECRET PLACE"
    data = file(picture(), exif=exif, comment=b"SECRET COMMENT") + b"<script>SECRET</script>PK\x03\x04SECRET"
    clean = jpeg(decoder.decode(data, 1000))
    assert b"SECRET" not in clean
    with Image.open(io.BytesIO(clean)) as again:
        assert not again.getexif()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"%PDF-1.7\n" + b"\xff\xd8\xff\xe0",
        b"<html><script>alert(1)</script></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"GIF89a" + bytes(100),
        b"PK\x03\x04" + bytes(100),
        b"RIFF\x00\x00\x00\x00WAVEfmt " + bytes(100),
        b"%PDF-1.4 " + file(Image.new("RGB", (100, 100))),
        b"GIF89a" + file(Image.new("RGB", (100, 100)), "PNG"),
    ],
)
def test_what_is_no_picture(decoder: ImageDecoder, data: bytes) -> None:
    assert refused(decoder, data) == "not_a_picture"


def test_truncated_at_any_place(decoder: ImageDecoder) -> None:
    for kind in ("JPEG", "PNG", "WEBP"):
        data = file(picture(200, 200), kind)
        for part in (0.02, 0.1, 0.5, 0.9, 0.98):
            assert refused(decoder, data[: int(len(data) * part)]) in ("truncated", "broken", "not_a_picture")


def test_more_bytes_than_allowed(decoder: ImageDecoder) -> None:
    assert refused(decoder, b"\xff\xd8\xff" + bytes(MAX_BYTES)) == "too_large"


def test_a_pixel_bomb_is_refused_by_its_header(decoder: ImageDecoder) -> None:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    def bomb(width: int, height: int) -> bytes:
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        rows = zlib.compress(bytes(1 + 3 * min(width, 30_000)) * min(height, 2000), 9)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")

    for width, height in ((30_000, 30_000), (11_000, 11_000), (200_000, 70), (2**31 - 1, 2**31 - 1)):
        assert refused(decoder, bomb(width, height)) in ("too_many_pixels", "broken", "not_a_picture")


def test_a_picture_of_25_megapixels_is_taken(decoder: ImageDecoder) -> None:
    data = file(Image.new("RGB", (6000, 4100), (90, 120, 150)), "PNG")
    assert decoder.decode(data, 2600).shape == (1777, 2600, 3)


def test_too_small(decoder: ImageDecoder) -> None:
    assert refused(decoder, file(picture(40, 400))) == "too_small"


def test_moving_pictures(decoder: ImageDecoder) -> None:
    frames = [picture(100, 100), picture(100, 100).rotate(90)]
    for kind in ("PNG", "WEBP"):
        assert refused(decoder, file(frames[0], kind, save_all=True, append_images=frames[1:])) == "animated"


def test_damage_anywhere_ends_in_a_refusal_or_a_picture(decoder: ImageDecoder) -> None:
    rng = np.random.default_rng(7)
    for kind in ("JPEG", "PNG", "WEBP"):
        whole = bytearray(file(picture(160, 120), kind))
        for _ in range(40):
            damaged = bytearray(whole)
            for place in rng.integers(0, len(whole), 6):
                damaged[place] = int(rng.integers(0, 256))
            try:
                assert decoder.decode(bytes(damaged), 500).shape[2] == 3
            except ImageRefused as error:
                assert error.code in WORDS


def test_the_process_is_limited_and_comes_back(decoder: ImageDecoder) -> None:
    decoder.decode(file(picture()), 500)
    process = decoder._process
    assert process is not None
    text = Path(f"/proc/{process.pid}/limits").read_text()
    for name, most in (("Max address space", 2 << 30), ("Max open files", 16), ("Max processes", 0)):
        line = next(line for line in text.splitlines() if line.startswith(name))
        assert int(line[len(name) :].split()[0]) <= most, line
    process.kill()
    process.wait()
    assert decoder.decode(file(picture()), 500).shape == (240, 320, 3)


def test_a_decoder_that_hangs_is_ended() -> None:
    decoder = ImageDecoder(wall_seconds=0.0)
    try:
        assert refused(decoder, file(picture(2000, 2000))) == "too_slow"
    finally:
        decoder.close()
