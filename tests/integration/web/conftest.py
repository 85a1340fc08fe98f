"""What the tests of the pages share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fixtures.http_app import HttpHouse
from tests.integration.web.call_stage import Stage, call_stage
from tests.integration.web.visiting import Visiting, make_visiting


@pytest.fixture
async def visiting(http_house: HttpHouse) -> Visiting:
    """A house in which Kim may visit Pat."""
    return await make_visiting(http_house)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A call that is open on a real media node, with pages that lead into it."""
    async with call_stage() as made:
        yield made
