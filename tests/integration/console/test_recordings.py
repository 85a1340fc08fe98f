"""Recordings in a browser: listed, opened for a reason, both sides played by one clock, verified, held."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.e2e.support import axe
from tests.e2e.support.browser import PHONE, WIDE
from tests.fixtures.http_app import Browser as Client
from tests.integration.console.house import ConsoleHouse, picture
from visitserver.domain.paging import PageRequest
from visitserver.services.ports.audit import AuditFilter

TIMES = "[...document.querySelectorAll('recording-player video')].map(video => video.currentTime)"


async def audited(house: ConsoleHouse, action: str) -> list[str]:
    """The objects of an action's audit rows."""
    async with house.http.uow(read_only=True) as u:
        return [row.object_id for row in (await u.audit.rows(AuditFilter(action=action), PageRequest(50))).items]


async def open_recording(page: Page, recording_id: str) -> None:
    """State a reason, wait for the player."""
    await page.goto(f"/staff/recordings/{recording_id}")
    await page.fill("#open-reason", "Complaint 14 of the caller.")
    await page.get_by_role("button", name="Open", exact=True).click()
    await expect(page.locator("recording-player[data-open]")).to_be_visible(timeout=60_000)
    await until(page, "[...document.querySelectorAll('recording-player video')].every(video => video.readyState >= 3)")


async def until(page: Page, what: str) -> None:
    """Wait until the expression gives true in the page."""
    deadline = asyncio.get_running_loop().time() + 60
    while not await page.evaluate(what):
        assert asyncio.get_running_loop().time() < deadline, f"not within 60 s: {what}"
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
async def test_both_sides_play_by_one_clock(house: ConsoleHouse, chrome: Browser, size: tuple[int, int]) -> None:
    recording_id = await house.record(house.pairs[0], 6.0)
    async with house.staff(chrome, "officer", size) as officer:
        page = officer.page
        await page.goto("/staff/recordings?prisoner=aalto")
        await axe.check(page)
        assert not await officer.overflows()
        await picture(officer, f"recordings-{size[0]}")
        await expect(page.locator("tbody tr")).to_have_count(1)
        assert await audited(house, "recording.opened") == []
        await open_recording(page, recording_id)
        assert await audited(house, "recording.opened") == [recording_id]
        await expect(page.locator("recording-player video")).to_have_count(2)

        await page.get_by_role("button", name="Play").click()
        await until(page, f"{TIMES}.every(time => time > 1)")
        await until(page, f"Math.max(...{TIMES}) - Math.min(...{TIMES}) < 0.35")  # the sides are brought together

        await page.get_by_label("Speed").select_option("2")
        await page.get_by_role("button", name="Stop").click()
        position = await _position(page)
        await page.get_by_role("button", name="A frame on").click()
        assert await _position(page) == pytest.approx(position + 1000 / 30, abs=2)
        await page.get_by_role("button", name="10 seconds back").click()
        await until(page, f"{TIMES}.every(time => time === 0)")
        await page.get_by_role("button", name="To the next talk").click()
        talks = await page.evaluate(
            "document.querySelector('recording-player')._timeline.tracks.flatMap(t => t.speech)"
        )
        assert await _position(page) == min(begin for begin, _ in talks if begin > 1)
        await axe.check(page)
        assert not await officer.overflows()
        await picture(officer, f"recording-{size[0]}")
        await page.goto(f"/staff/recordings/{recording_id}")
        await expect(page.get_by_role("row", name="Complaint 14")).to_contain_text("Sam officer")


async def _position(page: Page) -> float:
    return float(await page.locator("recording-player").get_attribute("data-position") or "nan")


async def test_damage_is_said(house: ConsoleHouse, chrome: Browser) -> None:
    recording_id = await house.record(house.pairs[0], 4.0)
    async with house.staff(chrome, "auditor") as auditor:
        page = auditor.page
        await page.goto(f"/staff/recordings/{recording_id}")
        await expect(page.locator("recording-player")).to_have_count(0)  # an auditor sees that it is, not what is in it
        await page.get_by_role("button", name="Verify").click()
        await expect(page.locator(".notice.good")).to_contain_text("Valid")
        await axe.check(page)
        segment = sorted((house.laboratory.root / recording_id).glob("*.seg*"))[0]
        await asyncio.to_thread(_flip, segment)
        await page.get_by_role("button", name="Verify").click()
        await expect(page.locator(".notice.bad")).to_contain_text("Damaged")
        await picture(auditor, "recording-damaged")


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


async def test_a_hold_is_placed_and_lifted_with_reasons(house: ConsoleHouse, chrome: Browser) -> None:
    recording_id = await house.record(house.pairs[0], 4.0)
    async with house.staff(chrome, "supervisor", allow=["422"]) as person:
        page = person.page
        await page.goto(f"/staff/recordings/{recording_id}")
        await page.fill("#hold-reason", "  x  ")
        await page.get_by_role("button", name="Place a hold").click()
        await expect(page.locator(".field.has-error")).to_contain_text("Mistake")
        await page.fill("#hold-reason", "Court order 9/2026")
        await page.get_by_role("button", name="Place a hold").click()
        await expect(page.locator("h1")).to_contain_text("Legal hold")
        await expect(page.get_by_text("Court order 9/2026")).to_be_visible()
        await page.fill("#hold-reason", "The order was lifted.")
        await page.get_by_role("button", name="Lift the hold").click()
        await expect(page.locator("h1")).to_contain_text("Sealed")


async def _opened(house: ConsoleHouse, client: Client, recording_id: str) -> dict[str, Any]:
    await client.get(f"/staff/recordings/{recording_id}")
    response = await client.request(
        "POST",
        f"/api/recordings/{recording_id}/open",
        json={"reason": "A test."},
        headers={"X-CSRF-Token": client.csrf},
    )
    assert response.status == 200, await response.text()
    found: dict[str, Any] = await response.json()
    return found


async def test_tracks_are_served_by_range_and_to_the_opener_alone(house: ConsoleHouse) -> None:
    recording_id = await house.record(house.pairs[0], 4.0)
    officer = await house.http.staff("officer")
    opened = await _opened(house, officer, recording_id)
    url = opened["tracks"][0]["url"]
    whole = await (response := await officer.get(url)).read()
    assert response.status == 200 and response.content_type == "video/webm"
    assert whole[:4] == b"\x1a\x45\xdf\xa3"  # EBML
    for asked, begin, end in (
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, len(whole)),
        ("bytes=-50", len(whole) - 50, len(whole)),
    ):
        response = await officer.get(url, headers={"Range": asked})
        assert response.status == 206, asked
        assert await response.read() == whole[begin:end]
        assert response.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{len(whole)}"
    response = await officer.get(url, headers={"Range": f"bytes={len(whole)}-"})
    assert response.status == 416 and response.headers["Content-Range"] == f"bytes */{len(whole)}"
    response = await officer.request("HEAD", url)
    assert (response.status, int(response.headers["Content-Length"])) == (200, len(whole))

    colleague = await house.http.staff("supervisor")
    assert (await colleague.get(url)).status == 404
    elsewhere = await house.http.staff("other-officer")
    for path in (url, f"/staff/recordings/{recording_id}"):
        assert (await elsewhere.get(path)).status == 404
    assert (await officer.get(url.split("?")[0])).status == 422
    assert (await officer.get(url.replace("tracks/1.webm", "tracks/9.webm"))).status == 404


async def test_no_reason_no_playback(house: ConsoleHouse) -> None:
    recording_id = await house.record(house.pairs[0], 4.0)
    officer = await house.http.staff("officer")
    await officer.get(f"/staff/recordings/{recording_id}")
    for body in ({}, {"reason": "   "}):
        response = await officer.request(
            "POST", f"/api/recordings/{recording_id}/open", json=body, headers={"X-CSRF-Token": officer.csrf}
        )
        assert response.status == 422
    assert await audited(house, "recording.opened") == []
