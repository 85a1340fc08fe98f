"""The application's process never loads a model, a detector or an OCR network."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import visitserver.identity

HEAVY = ("dlib", "cv2", "onnxruntime", "rapidocr_onnxruntime", "face_recognition", "face_recognition_models", "PIL")
_LOOK = """
import importlib, json, sys
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
print(json.dumps(sorted(sys.modules)))
"""


def loaded_after(*names: str) -> set[str]:
    """The modules that a fresh interpreter has after importing `names`."""
    done = subprocess.run(
        [sys.executable, "-c", _LOOK, json.dumps(names)], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout))


def parent_side() -> list[str]:
    """Every module of visitserver.identity that the application may import."""
    prefix = "visitserver.identity."
    found = [module.name for module in pkgutil.iter_modules(visitserver.identity.__path__, prefix)]
    return [name for name in found if name != "visitserver.identity.worker"]


def test_the_application_side_loads_nothing_heavy() -> None:
    names = parent_side()
    assert {"visitserver.identity.engine", "visitserver.identity.vault", "visitserver.identity.mrz"} <= set(names)
    loaded = loaded_after(*names, "visitserver.services.enrolment", "visitserver.services.door")
    assert not {module.split(".")[0] for module in loaded} & set(HEAVY)
    assert not any(module.startswith("visitserver.identity.worker") for module in loaded)


def test_the_check_would_see_it() -> None:
    loaded = loaded_after("visitserver.identity.worker.jobs")
    assert {"dlib", "cv2", "onnxruntime", "rapidocr_onnxruntime"} <= loaded
    # Its import ends the process where models are missing, and needs pkg_resources: it is never imported.
    assert "face_recognition" not in loaded
    assert "face_recognition_models" not in loaded


def test_the_decoder_loads_neither_models_nor_the_application() -> None:
    loaded = loaded_after("visitserver.identity.worker.decoder")
    assert "PIL" in loaded
    assert not {"dlib", "cv2", "onnxruntime", "numpy", "sqlalchemy", "aiohttp"} & {
        name.split(".")[0] for name in loaded
    }
