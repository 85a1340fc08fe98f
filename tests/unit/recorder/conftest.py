"""Fixtures of the recorder's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.recorder.support import Laboratory


@pytest.fixture
def lab(tmp_path: Path) -> Laboratory:
    """A recorder with keys and a store of its own."""
    return Laboratory(tmp_path)
