"""Pictures of documents that do not exist: a data page with a portrait and a zone in OCR-B.

Sizes are those of ISO/IEC 7810: ID-1 (TD1) 85.6 x 54 mm, ID-2 (TD2) 105 x 74 mm, ID-3 (TD3) 125 x 88 mm; the zone's
pitch is 2.54 mm (10 characters an inch) as ICAO Doc 9303-3 says.
"""

from __future__ import annotations

import io
import math
import random
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

import visitserver

from .portraits import open_portrait
from .zone import LENGTHS, DocumentFields, zone_lines

FONT = Path(visitserver.__file__).parent / "identity" / "worker" / "data" / "OCRB.otf"  # the one copy in the tree
PITCH_MM = 2.54
SIZES_MM = {
    "TD1": (85.6, 54.0),
    "TD2": (105.0, 74.0),
    "TD3": (125.0, 88.0),
    "MRV-A": (120.0, 80.0),
    "MRV-B": (105.0, 74.0),
}
LEVELS = ("clean", "mild", "medium")


def render_page(
    kind: str,
    fields: DocumentFields,
    portrait: Image.Image | str | None,
    *,
    pixels_per_char: float = 26.0,
    lines: list[str] | None = None,
    seed: int = 0,
) -> Image.Image:
    """The flat page as an RGB picture whose zone has `pixels_per_char` pixels from one character to the next.

    `portrait` is a picture, the name of one in `portraits`, or None for a page without a face (a card's back).
    `lines` replaces the zone that the fields give, to make pages that contradict themselves.
    """
    scale = pixels_per_char / PITCH_MM
    width_mm, height_mm = SIZES_MM[kind]
    size = (round(width_mm * scale), round(height_mm * scale))
    page = _background(size, seed)
    draw = ImageDraw.Draw(page)
    zone = lines if lines is not None else zone_lines(kind, fields)
    zone_top = height_mm - 6.35 * len(zone) - 4.0
    has_front = kind != "TD1" or portrait is not None
    if has_front:
        _front(draw, page, fields, portrait, scale, zone_top, width_mm)
    font = _fit(FONT, pixels_per_char)
    left = (width_mm - LENGTHS[kind] * PITCH_MM) / 2 * scale
    draw.rectangle((0, zone_top * scale - 0.5 * scale, size[0], size[1]), fill=(244, 246, 247))
    for row, text in enumerate(zone):
        baseline = (zone_top + 4.6 + row * 6.0) * scale
        for column, char in enumerate(text):
            draw.text(
                (left + (column + 0.5) * pixels_per_char, baseline), char, font=font, fill=(24, 24, 30), anchor="ms"
            )
    return page


def photograph(page: Image.Image, level: str, *, seed: int = 0, quality: int | None = None) -> bytes:
    """`page` as a phone would take it, as JPEG bytes. `level` is one of LEVELS; the same seed gives the same picture.

    clean: as from a scanner. mild: a desk around it, turned up to 2 degrees, a little blur, noise, uneven light.
    medium: seen at an angle, up to 5 degrees, blur, noise, a shadow, JPEG quality 60.
    """
    rng = random.Random(seed)
    noise = np.random.default_rng(seed)
    if level == "clean":
        return _jpeg(page, quality or 92)
    strong = level == "medium"
    if level not in LEVELS:
        raise ValueError(f"not a level: {level}")
    desk = Image.new("RGB", (round(page.width * 1.12), round(page.height * 1.16)), (112, 92, 74))
    desk.paste(page, ((desk.width - page.width) // 2, (desk.height - page.height) // 2))
    angle = rng.uniform(-5, 5) if strong else rng.uniform(-2, 2)
    taken = desk.rotate(angle, Image.Resampling.BICUBIC, fillcolor=(112, 92, 74))
    if strong:
        taken = _perspective(taken, rng)
    taken = taken.filter(ImageFilter.GaussianBlur(rng.uniform(0.7, 1.0) if strong else rng.uniform(0.3, 0.6)))
    pixels = np.asarray(taken, np.float32)
    rows, columns = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]].astype(np.float32)
    direction = rng.uniform(0, 2 * math.pi)
    slope = math.cos(direction) * columns / pixels.shape[1] + math.sin(direction) * rows / pixels.shape[0]
    light = 1.0 + (0.30 if strong else 0.15) * (slope - slope.mean())
    pixels = pixels * light[..., None] + noise.normal(0, 9 if strong else 5, pixels.shape)
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return _jpeg(picture, quality or (60 if strong else 82))


def make_page(
    kind: str,
    portrait: Image.Image | str | None = "astronaut",
    fields: DocumentFields | None = None,
    *,
    level: str = "mild",
    pixels_per_char: float = 26.0,
    seed: int = 0,
    lines: list[str] | None = None,
) -> bytes:
    """A photographed page of `kind` as JPEG bytes: `render_page` and `photograph` in one step."""
    page = render_page(
        kind, fields or DocumentFields(), portrait, pixels_per_char=pixels_per_char, lines=lines, seed=seed
    )
    return photograph(page, level, seed=seed)


def make_td3_page(
    portrait: Image.Image | str | None = "astronaut",
    fields: DocumentFields | None = None,
    *,
    level: str = "mild",
    pixels_per_char: float = 26.0,
    seed: int = 0,
) -> bytes:
    """A passport's data page as JPEG bytes, about 1,400 x 1,050 pixels at the default resolution."""
    return make_page("TD3", portrait, fields, level=level, pixels_per_char=pixels_per_char, seed=seed)


@lru_cache(maxsize=64)
def _fit(path: Path, pixels_per_char: float) -> ImageFont.FreeTypeFont:
    """The font at the size where one character advances by `pixels_per_char`."""
    at_100 = ImageFont.truetype(str(path), 100).getlength("<")
    return ImageFont.truetype(str(path), pixels_per_char * 100 / at_100)


def _background(size: tuple[int, int], seed: int) -> Image.Image:
    """A pale page with a guilloche-like pattern."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    phase = random.Random(seed).uniform(0, 6)
    wave = np.sin(x / 23 + 3 * np.sin(y / 61 + phase)) + np.sin(y / 17 + 2 * np.sin(x / 47))
    tint = np.stack([232 - 6 * wave, 238 - 3 * wave, 240 + 2 * wave], axis=-1)
    return Image.fromarray(np.clip(tint, 0, 255).astype(np.uint8))


def _front(
    draw: ImageDraw.ImageDraw,
    page: Image.Image,
    fields: DocumentFields,
    portrait: Image.Image | str | None,
    scale: float,
    zone_top: float,
    width_mm: float,
) -> None:
    label, value = ImageFont.load_default(2.1 * scale), ImageFont.load_default(3.0 * scale)
    draw.text((5 * scale, 2.5 * scale), "UTOPIA   SPECIMEN", font=ImageFont.load_default(4 * scale), fill=(60, 80, 120))
    photo_height = min(45.0, zone_top - 11.0)
    photo_width = photo_height * 35 / 45
    if portrait is not None:
        face = open_portrait(portrait) if isinstance(portrait, str) else portrait
        box = (round(photo_width * scale), round(photo_height * scale))
        page.paste(_cover(face, box), (round(5 * scale), round(9 * scale)))
    rows = (
        ("Surname", fields.family_name.upper()),
        ("Given names", fields.given_names.upper()),
        ("Nationality", fields.nationality),
        ("Date of birth", fields.birth_date.strftime("%d %b %Y").upper()),
        ("Sex", fields.sex),
        ("Date of expiry", fields.expires.strftime("%d %b %Y").upper()),
    )
    step = (zone_top - 10.0) / len(rows)
    left = (5 + photo_width + 5) * scale
    for number, (name, text) in enumerate(rows):
        top = (9 + number * step) * scale
        draw.text((left, top), name, font=label, fill=(90, 100, 130))
        draw.text((left, top + 2.4 * scale), text, font=value, fill=(20, 20, 30))
    draw.text(((width_mm - 32) * scale, 2.5 * scale), fields.number, font=value, fill=(20, 20, 30))


def _cover(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """`picture` scaled and cut at the edges so that it fills `size`."""
    factor = max(size[0] / picture.width, size[1] / picture.height)
    scaled = picture.resize(
        (math.ceil(picture.width * factor), math.ceil(picture.height * factor)), Image.Resampling.LANCZOS
    )
    left, top = (scaled.width - size[0]) // 2, (scaled.height - size[1]) // 2
    return scaled.crop((left, top, left + size[0], top + size[1]))


def _perspective(picture: Image.Image, rng: random.Random) -> Image.Image:
    """`picture` seen from slightly aside: each corner moves inwards by up to 2 %."""
    width, height = picture.size
    target = [(0, 0), (width, 0), (width, height), (0, height)]
    source = [
        (x + (-1 if x else 1) * -rng.uniform(0, 0.02) * width, y + (-1 if y else 1) * -rng.uniform(0, 0.02) * height)
        for x, y in target
    ]
    rows, right = [], []
    for (x, y), (u, v) in zip(target, source, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    coefficients = np.linalg.solve(np.array(rows, float), np.array(right, float))
    return picture.transform(
        (width, height),
        Image.Transform.PERSPECTIVE,
        tuple(coefficients),
        Image.Resampling.BICUBIC,
        fillcolor=(112, 92, 74),
    )


def _jpeg(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()
