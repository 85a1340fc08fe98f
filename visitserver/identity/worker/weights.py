"""Where the packages keep their weights. The one file that knows what is inside face_recognition_models' wheel.

`face_recognition` itself is never imported: on a missing model it ends the process, and its models package imports
`pkg_resources`, which setuptools 82 no longer has. Its 68-point landmarks may not be used commercially (iBUG 300-W), so
only the 5-point model is named here.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

NEEDED: Final = ("dlib", "cv2", "onnxruntime", "rapidocr_onnxruntime", "face_recognition_models", "PIL")
_FACE_MODELS: Final = {
    "encoder": "dlib_face_recognition_resnet_model_v1.dat",
    "five_points": "shape_predictor_5_face_landmarks.dat",
    "mmod": "mmod_human_face_detector.dat",
}


def missing_packages() -> list[str]:
    """Names in NEEDED that are not installed. Imports none of them."""
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


def face_model(which: str) -> str:
    """The path of a model of `encoder`, `five_points`, `mmod`. Raises FileNotFoundError."""
    spec = importlib.util.find_spec("face_recognition_models")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (path := Path(folder) / "models" / _FACE_MODELS[which]).is_file():
            return str(path)
    raise FileNotFoundError(_FACE_MODELS[which])
