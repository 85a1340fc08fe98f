"""What people in a call see and hear of an officer who speaks to both of them, or to one side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import ClientSession
from playwright.async_api import Page, expect

from signaling.media.leg import Side
from signaling.tickets import MonitorWarrant, TalkWarrant
from tests.e2e.support.browser import chromium, visitor
from tests.fakes.media_client import MediaClient
from tests.integration.console.puppet import speak
from tests.integration.web.call_stage import Stage, call_stage, enter, live

WALL = (("video", "recvonly"), ("video", "recvonly"), ("audio", "recvonly"), ("audio", "sendonly"))
TO_ALL = "An officer is speaking to everybody."
TO_YOU = "An officer is speaking to you. The other side does not hear it."
LOUDNESS = """() => {
  if (!window.meter) {
    const context = new AudioContext();
    window.meter = context.createAnalyser();
    context.createMediaStreamSource(document.querySelector("audio.talk").srcObject).connect(window.meter);
  }
  const samples = new Float32Array(window.meter.fftSize);
  window.meter.getFloatTimeDomainData(samples);
  return Math.max(...samples.map(Math.abs));
}"""


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with call_stage() as made:
        yield made


async def hears(page: Page) -> None:
    """Wait until the officer's voice sounds in the page."""
    deadline = asyncio.get_running_loop().time() + 60
    while await page.evaluate(LOUDNESS) < 0.02:
        assert asyncio.get_running_loop().time() < deadline, "the officer is not heard within 60 s"
        await asyncio.sleep(0.05)


async def test_people_hear_and_read_that_an_officer_speaks_to_them(stage: Stage) -> None:
    async with chromium() as browser, visitor(browser, stage.url) as aino, visitor(browser, stage.url) as mikko:
        await enter(aino, "call", stage.url)
        await enter(mikko, "terminal-call", stage.url)
        for person in (aino, mikko):
            await live(person.page)
            assert await person.page.evaluate(LOUDNESS) == 0
        async with ClientSession() as http:
            now = datetime.now(UTC)
            watch = MonitorWarrant((stage.call_id,), "stf_1", "sample", may_talk=True)
            warrant = stage.issuer.issue(watch, expires_at=now + timedelta(minutes=5))
            client = MediaClient(WALL, parse=False)
            headers = {"Authorization": f"Bearer {warrant}", "Content-Type": "application/sdp"}
            async with http.post(f"{stage.url}/media/whep", data=client.offer(), headers=headers) as response:
                assert response.status == 201, await response.text()
                session = response.headers["Location"].rsplit("/", 1)[-1]
                await client.connect(await response.text())
            channel = await http.ws_connect(f"{stage.url}/media/channel")
            await channel.send_json({"type": "hello", "ticket": warrant, "session": session})

            async def talk(*sides: Side) -> dict[str, Any]:
                order = TalkWarrant(stage.call_id, "stf_1", sides)
                token = stage.issuer.issue(order, expires_at=datetime.now(UTC) + timedelta(minutes=1))
                await channel.send_json({"type": "talk", "warrant": token})
                while True:
                    message = await channel.receive_json(timeout=60)
                    if message["type"] == "speech" and message["talking"]:
                        return message

            speaking = asyncio.create_task(speak(client))
            try:
                assert (await talk(Side.FAMILY, Side.PRISONER, Side.GUEST))["unheard_by"] == []
                for person in (aino, mikko):
                    await expect(person.page.locator(".caption")).to_have_text(TO_ALL)
                    await hears(person.page)
                await aino.screenshot("call-officer-speaks", full_page=False)
                assert (await talk(Side.FAMILY))["heard_by"] == ["family_1"]
                await expect(aino.page.locator(".caption")).to_have_text(TO_YOU)
                await expect(mikko.page.locator(".caption")).to_have_text("")
                await hears(aino.page)
                await channel.send_json({"type": "hush"})
                await expect(aino.page.locator(".caption")).to_have_text("")
            finally:
                speaking.cancel()
                await asyncio.gather(speaking, return_exceptions=True)
                await channel.close()
                await client.close()
