"""Material for tests and the demonstration: documents of nobody, cameras that film a photograph, speech without words.

See README.md beside this file.

    from tests.media_factory import DocumentFields, camera_mjpeg, make_td3_page, speech_like_wav
    page = make_td3_page("astronaut", DocumentFields(family_name="Collins", given_names="Eileen"))
    camera_mjpeg(tmp_path / "camera.mjpeg", "astronaut")
"""

from .camera import camera_frames, camera_mjpeg, camera_y4m, speech_like_wav
from .pages import LEVELS, make_page, make_td3_page, photograph, render_page
from .portraits import NAMES, PortraitMissing, open_portrait, other_picture_of, portrait_path
from .zone import DocumentFields, random_fields, zone_lines

__all__ = [
    "LEVELS",
    "NAMES",
    "DocumentFields",
    "PortraitMissing",
    "camera_frames",
    "camera_mjpeg",
    "camera_y4m",
    "make_page",
    "make_td3_page",
    "open_portrait",
    "other_picture_of",
    "photograph",
    "portrait_path",
    "random_fields",
    "render_page",
    "speech_like_wav",
    "zone_lines",
]
