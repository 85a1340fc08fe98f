"""The models, loaded once for the tests that look at them from inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from visitserver.identity.worker.encode import DlibEncoder
from visitserver.identity.worker.faces import CascadeDetector, FaceDetector, YuNetDetector
from visitserver.identity.worker.ocr import TextReader
from visitserver.identity.worker.zone import ZoneReader


@pytest.fixture(scope="session")
def zones() -> ZoneReader:
    return ZoneReader(TextReader(threads=1))


@pytest.fixture(scope="session")
def encoder() -> DlibEncoder:
    return DlibEncoder()


@pytest.fixture(scope="session")
def cascade() -> CascadeDetector:
    return CascadeDetector()


@pytest.fixture(scope="session", params=["cascade", "yunet"])
def detector(request: pytest.FixtureRequest) -> FaceDetector:
    """Each detector; YuNet where its file is."""
    if request.param == "cascade":
        cascade: CascadeDetector = request.getfixturevalue("cascade")
        return cascade
    folder: Path = request.getfixturevalue("testdata")
    return YuNetDetector(str(folder / "models" / "yunet_s_640_640.onnx"))
