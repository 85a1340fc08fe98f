"""Portraits of real people that come with well-known Python packages, for tests that must run everywhere.

`astronaut` is Eileen Collins (NASA, public domain; scikit-image's wheel), `admiral` is Grace Hopper (US Navy, public
domain; matplotlib's wheel). The packages are looked up, never imported.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

_PLACES = {
    "astronaut": ("skimage", "data/astronaut.png", (115, 0, 345, 300)),
    "admiral": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", (130, 20, 420, 400)),
}
NAMES = tuple(_PLACES)


class PortraitMissing(Exception):
    """The package that carries the portrait is not installed (make venv installs it)."""


def portrait_path(name: str) -> Path:
    """Where the portrait's file is. Raises PortraitMissing, or KeyError for a name not in NAMES."""
    package, inside, _ = _PLACES[name]
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / inside).is_file():
            return path
    raise PortraitMissing(f"{name}: {package} is not installed")


def open_portrait(name: str) -> Image.Image:
    """Head and shoulders as an RGB picture, upright, about 250 x 300 pixels."""
    with Image.open(portrait_path(name)) as picture:
        return picture.convert("RGB").crop(_PLACES[name][2])


def other_picture_of(name: str, *, seed: int = 0) -> Image.Image:
    """The same person as if taken another day: mirrored, other light, sharpness and size.

    One photograph of each person is all there is; this makes a comparison that is not of identical pixels. It is no
    measure of how well a model knows people: the face sets are for that.
    """
    rng = np.random.default_rng(seed)
    picture = open_portrait(name).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    picture = picture.rotate(rng.uniform(-4, 4), Image.Resampling.BICUBIC, fillcolor=(120, 120, 120))
    picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.75, 1.15))
    picture = ImageEnhance.Color(picture).enhance(rng.uniform(0.7, 1.1))
    factor = rng.uniform(0.9, 1.3)
    picture = picture.resize((round(picture.width * factor), round(picture.height * factor)), Image.Resampling.BICUBIC)
    return picture.filter(ImageFilter.GaussianBlur(0.4))
