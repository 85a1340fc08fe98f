"""Chromium through the relay: its own offer, its own encoder and decoder, its own opinion of the answer."""

from __future__ import annotations

import asyncio
from typing import Any

from playwright.async_api import Page

from signaling.media.node import MediaNode
from tests.e2e.support.browser import chromium, visitor
from tests.fixtures.waiting import eventually
from tests.integration.media.conftest import Call
from tests.integration.media.page import served

PARTY = [["audio", "sendrecv"], ["video", "sendrecv"], ["audio", "recvonly"], ["video", "recvonly"]]
OFFICER = [["video", "recvonly"], ["video", "recvonly"], ["audio", "recvonly"], ["audio", "recvonly"]]


async def _join(page: Page, url: str, lines: list[list[str]]) -> dict[str, float]:
    await page.goto("/")
    timing: dict[str, float] = await page.evaluate("([url, lines]) => start(url, lines)", [url, lines])
    return timing


async def _until(page: Page, condition: str, what: str, timeout: float = 60) -> dict[str, Any]:
    """Wait until `condition`, an expression over `report` (what seen() gives), is true."""
    async with asyncio.timeout(timeout):
        while True:
            report: dict[str, Any] = await page.evaluate("seen()")
            if await page.evaluate(f"report => {condition}", report):
                return report
            await asyncio.sleep(0.1)
    raise AssertionError(what)


async def test_two_browsers_and_an_officer(call: Call, node: MediaNode) -> None:
    async with (
        served(call.ordinary) as base,
        chromium() as browser,
        visitor(browser, base) as family,
        visitor(browser, base) as prisoner,
        visitor(browser, base) as officer,
    ):
        await _join(family.page, "/publish/family/family", PARTY)
        await _join(prisoner.page, "/publish/prisoner/prisoner", PARTY)
        for person in (family, prisoner):
            await _until(person.page, "report.state === 'connected'", "the connection")
        await eventually(lambda: call.room.counters().dropped_gate >= 100, "media at the closed gate")
        before = await family.page.evaluate("seen()")
        assert all(slot["packets"] == 0 for slot in before["slots"])

        call.room.set_gate(True)
        for person in (family, prisoner):
            report = await _until(
                person.page,
                "report.slots[1].frames > 20 && report.slots[1].width === 640 && report.slots[0].energy > 1e-4",
                "picture and sound",
            )
            assert report["slots"][1]["height"] == 480
            assert report["slots"][0]["lost"] == report["slots"][1]["lost"] == 0
            assert report["slots"][2]["packets"] == report["slots"][3]["packets"] == 0

        counters = call.room.counters()
        await _join(officer.page, "/watch/officer", OFFICER)
        report = await _until(
            officer.page,
            "report.slots.every(s => s.kind === 'audio' ? s.energy > 1e-4 : s.frames > 10)",
            "the wall",
        )
        assert [(slot["width"], slot["height"]) for slot in report["slots"][:2]] == [(640, 480)] * 2
        sending = await family.page.evaluate("sending()")
        assert sending["srtp"] == "SRTP_AEAD_AES_128_GCM"
        after = call.room.counters()
        assert after.dropped_srtp == after.dropped_malformed == after.dropped_oversize == 0
        assert after.received_rtcp > counters.received_rtcp
        assert after.forwarded_officers > 0
