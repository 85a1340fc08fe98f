"""A short soak: what joins and leaves at random leaves nothing behind. How long it takes does not matter."""

from __future__ import annotations

import pytest

from tests.bench.soak import soak

pytestmark = pytest.mark.bench


async def test_what_visits_bring_goes_with_them() -> None:
    report = await soak(0, 25, 3, seed=7, warm_up=8, acts=5, say=False)
    assert report["failures"] == []
    assert report["joins"] >= 33
    report["grown"].pop("memory", None)  # so short a run says nothing of it
    assert report["grown"] == {}
