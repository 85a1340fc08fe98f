"""What the tests of the pages share."""

from __future__ import annotations

import pytest

from tests.fixtures.http_app import HttpHouse
from tests.integration.web.visiting import Visiting, make_visiting


@pytest.fixture
async def visiting(http_house: HttpHouse) -> Visiting:
    """A house in which Kim may visit Pat."""
    return await make_visiting(http_house)
