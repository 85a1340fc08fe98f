"""What the tests of the console share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.e2e.support.browser import chromium
from tests.fixtures.http_app import HttpHouse
from tests.integration.console.house import ConsoleHouse, LiveClock, add_sessions, console_house


@pytest.fixture
def clock() -> LiveClock:
    """Real time in place of the tests' standing clock."""
    return LiveClock()


@pytest.fixture
async def house(http_house: HttpHouse, tmp_path: Path) -> AsyncIterator[ConsoleHouse]:
    """A prison with three couples of people, sessions every day, a media node and recordings."""
    async with console_house(http_house, tmp_path) as house:
        await house.add_pairs(
            [("Aino Aalto", "Maija Aalto"), ("Ville Berg", "Nora Strand"), ("Omar Haddad", "Leila Haddad")]
        )
        await add_sessions(house)
        yield house


@pytest.fixture
async def chrome() -> AsyncIterator[Browser]:
    """A Chromium with its own test picture and beeps."""
    async with chromium() as browser:
        yield browser
