"""Characters out of pictures: rapidocr's text detector, and its recogniser's network with an alphabet of our own.

The recogniser is trained for thousands of characters. A machine-readable zone has 37. Its network is therefore run here
directly and decoded among those 37 only, which is no repair: each character is the one the network finds most likely of
those that can be there. The positions of the characters come out too, so a missing or doubled one can be seen.

This is the one file that knows what is inside rapidocr-onnxruntime's wheel (models/, the network's input and metadata).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime
from rapidocr_onnxruntime import RapidOCR

from visitserver.identity.worker.line import ALPHABET, Line, line_of

# Signs of the network's own alphabet that are one of ours in another form.
_FORMS: Final = {"X": "×x", "O": "Ο〇○o", "<": "＜〈《"} | {char: char.lower() for char in "CKPSUVWZ"}
_HEIGHT: Final = 48  # what the recogniser was trained with
_STRIDE: Final = 8  # pixels of width per step of its output
_RECOGNISER: Final = "models/ch_PP-OCRv4_rec_infer.onnx"

Picture = npt.NDArray[np.uint8]
Quad = npt.NDArray[np.float32]


class TextReader:
    """Both networks, loaded once."""

    def __init__(self, *, threads: int = 1) -> None:
        spec = importlib.util.find_spec("rapidocr_onnxruntime")
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError("rapidocr_onnxruntime")
        folder = Path(next(iter(spec.submodule_search_locations)))
        # Pictures come scaled; without this the detector would scale them up again.
        self._detector: Any = RapidOCR(
            intra_op_num_threads=threads,
            inter_op_num_threads=threads,
            det_limit_type="max",
            det_limit_side_len=4096,
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        self._session: Any = onnxruntime.InferenceSession(
            str(folder / _RECOGNISER), options, providers=["CPUExecutionProvider"]
        )
        self._input: str = self._session.get_inputs()[0].name
        # Class 0 is the blank of connectionist temporal classification; the dictionary follows, then a space.
        names = self._session.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._classes = [[0]] + [
            [names.index(form) + 1 for form in char + _FORMS.get(char, "") + _wide(char) if form in names]
            for char in ALPHABET
        ]

    def find(self, picture: Picture) -> list[Quad]:
        """Quadrilaterals of text in a BGR picture: four corners each, (x, y), clockwise from the text's top left."""
        boxes, _ = self._detector(picture, use_det=True, use_cls=False, use_rec=False)
        return [np.asarray(box, np.float32) for box in boxes or []]

    def read(self, strip: Picture) -> Line:
        """The characters in a BGR strip that holds one line of text at an even pitch, upright."""
        height, width = strip.shape[:2]
        target = max(_HEIGHT, round(width * _HEIGHT / height / _STRIDE) * _STRIDE)
        scaled = cv2.resize(
            strip, (target, _HEIGHT), interpolation=cv2.INTER_CUBIC if height < _HEIGHT else cv2.INTER_AREA
        )
        tensor = (scaled.astype(np.float32).transpose(2, 0, 1)[None] / 255 - 0.5) / 0.5
        every = np.asarray(self._session.run(None, {self._input: tensor})[0][0], np.float32)
        steps = np.stack([every[:, forms].sum(axis=1) for forms in self._classes], axis=1)
        steps /= np.maximum(steps.sum(axis=1, keepdims=True), 1e-9)
        return line_of(steps)


def _wide(char: str) -> str:
    """The full-width form of an ASCII character."""
    return chr(ord(char) + 0xFEE0)
