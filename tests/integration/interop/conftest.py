"""A media node over real HTTP for every test here."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.interop.house import MediaHouse, media_house


@pytest.fixture
async def house() -> AsyncIterator[MediaHouse]:
    """A running media node."""
    async with media_house() as made:
        yield made
