"""The wall and the focus of a call: real media node, real participants in Chromium, a real officer's browser."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.e2e.support import axe
from tests.e2e.support.browser import PHONE, WIDE, Visitor, visitor
from tests.fixtures.waiting import page_shows
from tests.integration.console.house import ConsoleHouse, Pair, join, picture
from visitserver.domain.calls import Call, CallKind
from visitserver.domain.scheduling import SupervisionLevel
from visitserver.services.ports.audit import AuditFilter

WALL_QUESTION = re.compile(r"/api/calls(\?|$)")


@dataclass
class LiveCall:
    """A call with both sides in it."""

    call: Call
    pair: Pair
    family: Visitor
    prisoner: Visitor


async def audited(house: ConsoleHouse, action: str) -> list[str]:
    """The objects of an action's audit rows."""
    from visitserver.domain.paging import PageRequest

    async with house.http.uow(read_only=True) as u:
        return [row.object_id for row in (await u.audit.rows(AuditFilter(action=action), PageRequest(50))).items]


@asynccontextmanager
async def live_call(
    house: ConsoleHouse, chrome: Browser, number: int = 0, supervision: SupervisionLevel = SupervisionLevel.SAMPLE
) -> AsyncIterator[LiveCall]:
    """Both sides join by the real modules."""
    pair = house.pairs[number]
    booking = await house.book(pair, supervision=supervision)
    call = (await house.open_calls())[booking.id]
    tickets = house.tickets(call, pair)
    async with AsyncExitStack() as stack:
        people = {}
        for side in ("family", "prisoner"):
            # a participant whose call is ended by an officer tries its last request in vain
            people[side] = await stack.enter_async_context(visitor(chrome, house.base_url, allow=["404", "410"]))
            await join(people[side].page, house, call, tickets[side])
        yield LiveCall(call, pair, people["family"], people["prisoner"])


def tile(page: Page, call: Call) -> str:
    return f'[data-call="{call.id}"]'


async def start_watch(page: Page, where: str, ground: str = "Sample") -> None:
    """Press watch, state a ground."""
    await page.locator(where).get_by_role("button", name="Watch", exact=True).click()
    dialog = page.locator("#ask-ground")
    await expect(dialog).to_be_visible()
    await dialog.get_by_role("radio", name=ground).check()
    await dialog.get_by_role("button", name="Watch").click()


async def playing(page: Page, where: str) -> None:
    """Both pictures of a tile show moving frames."""
    await page_shows(
        page,
        """where => {
          const videos = [...document.querySelectorAll(where + " video")];
          return videos.length === 2 && videos.every(video => video.videoWidth > 0 && video.currentTime > 0.2);
        }""",
        where,
    )


async def test_an_officer_watches_pauses_marks_and_ends_a_call(house: ConsoleHouse, chrome: Browser) -> None:
    async with live_call(house, chrome) as live, house.staff(chrome, "officer") as officer:
        page, where = officer.page, tile(officer.page, live.call)
        await page.goto("/staff/wall")
        await expect(page.locator(where)).to_contain_text("Aino Aalto – Maija Aalto")
        await expect(page.locator(where + " .state-word")).to_have_text("Live")
        await expect(page.locator(where + " video")).to_have_count(0)  # no picture before a ground was stated
        await start_watch(page, where)
        await playing(page, where)
        assert await audited(house, "call.watch") == [live.call.id]
        muted = await page.locator(where + " video").evaluate_all("videos => videos.map(video => video.muted)")
        assert muted == [True, True]
        await axe.check(page)
        await picture(officer, "wall-live")
        await page.keyboard.press("a")
        await expect(page.locator(where).get_by_role("button", name="Sound is on")).to_be_visible()

        await page.keyboard.press("p")
        await page.locator("#ask-hold").get_by_label("Behaviour").check()
        await page.fill("#hold-words", "One moment, please.")
        await picture(officer, "wall-hold")
        await page.keyboard.press("Enter")
        await expect(page.locator(where + " .state-word")).to_have_text("Paused")
        await page_shows(
            live.family.page,
            "() => heard.some(one => one.state === 'held' && one.words === 'One moment, please.')",
        )
        await page.keyboard.press("p")
        await page.locator("#ask-resume").get_by_role("button", name="Go on").click()
        await expect(page.locator(where + " .state-word")).to_have_text("Live")

        await page.keyboard.press("b")
        await expect(page.locator("[data-said]")).to_contain_text("bookmark set")
        await page.keyboard.press("n")
        await page.fill("#note-text", "Shows a letter. P T M 1 2 3")  # keys do nothing while one writes
        await page.get_by_role("button", name="Keep the note").click()
        await expect(page.locator("[data-said]")).to_contain_text("note kept")

        await page.keyboard.press("m")
        await page.locator("#ask-mute").get_by_label("Pause Maija Aalto alone").check()
        await page.fill("#mute-words", "Sit down, please.")
        await page.locator("#ask-mute").get_by_role("button", name="Do it").click()
        await page_shows(
            live.family.page, "() => heard.some(one => one.type === 'held' && one.words === 'Sit down, please.')"
        )
        await expect(page.locator(where)).to_contain_text("Somebody is paused alone")
        await expect(page.locator(where + " .state-word")).to_have_text("Paused")  # she is all there is of her side
        await page.keyboard.press("m")
        await page.locator("#ask-mute").get_by_label("Let Maija Aalto go on").check()
        await page.locator("#ask-mute").get_by_role("button", name="Do it").click()
        await expect(page.locator(where + " .state-word")).to_have_text("Live")

        await page.keyboard.press("m")
        await page.locator("#ask-mute").get_by_label("Mute the microphone of Maija Aalto").check()
        await page.locator("#ask-mute").get_by_role("button", name="Do it").click()
        await expect(page.locator(where)).to_contain_text("Somebody is muted")
        await page_shows(live.prisoner.page, "() => heard.some(one => one.type === 'muted' && one.kind === 'audio')")

        await page.keyboard.press("t")
        dialog = page.locator("#ask-terminate")
        await expect(dialog).to_contain_text("Aino Aalto – Maija Aalto")
        await page.keyboard.press("Escape")  # changed their mind: nothing happens
        await expect(page.locator(where + " .state-word")).to_have_text("Live")
        await page.keyboard.press("t")
        await dialog.get_by_label("Security of the prison").check()
        await dialog.get_by_role("button", name="End the call").click()
        await expect(page.locator(where)).to_have_count(0)
        await page_shows(
            live.family.page, "() => heard.some(one => one.type === 'ended' && one.outcome === 'terminated')"
        )
        events = await house.services.calls.events(_of(house), live.call.id)
    by_type = {event.type: event for event in events}
    assert by_type["ending"].data["reason"] == "Security of the prison"
    assert "Shows a letter. P T M 1 2 3" in json.dumps([dict(event.data) for event in events])
    for action in ("call.hold", "call.resume", "call.bookmark", "call.mute", "call.terminate"):
        assert live.call.id in await audited(house, action), action


async def test_an_answer_from_before_a_pause_does_not_turn_the_wall_back(house: ConsoleHouse, chrome: Browser) -> None:
    async with live_call(house, chrome) as live, house.staff(chrome, "officer") as officer:
        page, where = officer.page, tile(officer.page, live.call)
        await page.goto("/staff/wall")
        await expect(page.locator(where + " .state-word")).to_have_text("Live")
        asked, go_on = asyncio.Event(), asyncio.Event()

        async def late(route: Route) -> None:
            answer = await route.fetch()
            asked.set()
            await go_on.wait()
            await route.fulfill(response=answer)

        await page.route(WALL_QUESTION, late, times=1)
        await asyncio.wait_for(asked.wait(), 60)
        await page.keyboard.press("p")
        await page.locator("#ask-hold").get_by_label("Behaviour").check()
        await page.keyboard.press("Enter")
        await expect(page.locator(where + " .state-word")).to_have_text("Paused")
        await page.locator(where + " .state-word").evaluate(
            """element => {
              window.shown = [];
              new MutationObserver(() => window.shown.push(element.textContent))
                .observe(element, {childList: true, characterData: true, subtree: true});
            }"""
        )
        async with page.expect_response(WALL_QUESTION):  # the late one
            go_on.set()
        async with page.expect_response(WALL_QUESTION):  # and one after it
            pass
        await expect(page.locator(where + " .state-word")).to_have_text("Paused")
        assert await page.evaluate("() => window.shown") == []


async def test_a_required_watch_lets_the_call_begin(house: ConsoleHouse, chrome: Browser) -> None:
    async with (
        live_call(house, chrome, supervision=SupervisionLevel.LIVE) as live,
        house.staff(chrome, "officer") as officer,
    ):
        page, where = officer.page, tile(officer.page, live.call)
        await page.goto("/staff/wall?required=true")
        await expect(page.locator(where)).to_contain_text("Must be watched: nobody does")
        await expect(page.locator(where + " .state-word")).not_to_have_text("Live")
        await page.goto("/staff")
        await expect(page.locator(".figure-card.bad")).to_contain_text("must be watched")
        await picture(officer, "today-required")
        await page.goto("/staff/wall")
        await page.locator(where).get_by_role("button", name="Watch", exact=True).click()
        await expect(page.locator("#ask-ground").get_by_label("Required")).to_be_checked()
        await page.locator("#ask-ground").get_by_role("button", name="Watch").click()
        await expect(page.locator(where + " .state-word")).to_have_text("Live")
        await playing(page, where)


async def test_an_authorisation_needs_its_number(house: ConsoleHouse, chrome: Browser) -> None:
    async with live_call(house, chrome) as live, house.staff(chrome, "officer", allow=["422"]) as officer:
        page, where = officer.page, tile(officer.page, live.call)
        await page.goto("/staff/wall")
        await start_watch(page, where, "Authorisation")
        await expect(page.locator("[data-said]")).to_contain_text("Write who has authorised it")
        assert await audited(house, "call.watch") == []
        await page.locator(where).get_by_role("button", name="Watch", exact=True).click()
        await page.locator("#ask-ground").get_by_role("radio", name="Authorisation").check()
        await page.fill("#ground-detail", "Governor, 2026/117")
        await page.locator("#ask-ground").get_by_role("button", name="Watch").click()
        await playing(page, where)
        events = await house.services.calls.events(_of(house), live.call.id)
        grounds = [event.data["ground"] for event in events if event.type == "monitor_joined"]
        assert grounds == ["authorisation: Governor, 2026/117"]


async def test_a_legal_call_cannot_be_watched(house: ConsoleHouse, chrome: Browser) -> None:
    (pair,) = await house.add_pairs([("Erik Lind", "Ada Advocate")], CallKind.LEGAL)
    booking = await house.book(pair, supervision=SupervisionLevel.NONE)
    call = (await house.open_calls())[booking.id]
    async with house.staff(chrome, "supervisor", allow=["403"]) as officer:
        page, where = officer.page, tile(officer.page, call)
        await page.goto("/staff/wall")
        await expect(page.locator(where)).to_contain_text("Privileged: nobody can watch or record this call.")
        await expect(page.locator(where).get_by_role("button", name="Watch")).to_have_count(0)
        await expect(page.locator(where + " video")).to_have_count(0)
        for act in ("bookmark", "note"):
            await expect(page.locator(f'[data-act="{act}"]')).to_be_disabled()
        await page.keyboard.press("w")
        await expect(page.locator("#ask-ground")).to_be_hidden()
        await axe.check(page)
        await picture(officer, "wall-legal")
        answer = await page.evaluate(
            """async id => {
              const csrf = document.querySelector('meta[name="csrf-token"]').content;
              const response = await fetch(`/api/calls/${id}/watch`, {method: "POST",
                headers: {"Content-Type": "application/json", "X-CSRF-Token": csrf}, body: '{"ground": "policy"}'});
              return [response.status, (await response.json()).code];
            }""",
            call.id,
        )
        assert answer == [403, "privileged_call"]
        await page.goto(f"/staff/calls/{call.id}")
        await expect(page.locator(where)).to_contain_text("Privileged")
        await expect(page.get_by_role("button", name="Watch")).to_have_count(0)


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
async def test_the_focus_shows_both_sides_writes_and_tells_what_happened(
    house: ConsoleHouse, chrome: Browser, size: tuple[int, int]
) -> None:
    async with live_call(house, chrome) as live, house.staff(chrome, "officer", size) as officer:
        page, where = officer.page, tile(officer.page, live.call)
        await page.goto(f"/staff/calls/{live.call.id}")
        await expect(page.locator(where + " .state-word")).to_have_text("Live")
        await start_watch(page, where)
        await playing(page, where)
        await page.get_by_role("button", name="Please stay in the picture.").click()
        await page_shows(
            live.family.page,
            "() => heard.some(one => one.type === 'message' && one.text === 'Please stay in the picture.')",
        )
        await page.fill("#text", "Five minutes more.")
        await page.keyboard.press("Enter")
        await page_shows(live.prisoner.page, "() => heard.some(one => one.text === 'Five minutes more.')")
        events = page.locator("[data-events]")
        await expect(events).to_contain_text("Five minutes more.")
        await expect(events).to_contain_text("Sam officer")
        await expect(events).to_contain_text("An officer watches")
        await expect(page.locator("[data-health] tr")).to_have_count(2)
        await expect(page.locator("[data-health]")).to_contain_text("camera on")
        await axe.check(page)
        assert not await officer.overflows()
        await picture(officer, f"focus-{size[0]}")
        await page.goto("/staff/wall")
        await expect(page.locator(where)).to_be_visible()
        await axe.check(page)
        assert not await officer.overflows()
        await picture(officer, f"wall-{size[0]}")


async def test_keys_can_be_turned_off_and_numbers_choose(house: ConsoleHouse, chrome: Browser) -> None:
    for pair in house.pairs[:2]:
        await house.book(pair)
    await house.open_calls()
    async with house.staff(chrome, "officer") as officer:
        page = officer.page
        await page.goto("/staff/wall")
        await expect(page.locator(".monitor-tile")).to_have_count(2)
        await page.keyboard.press("2")
        await expect(page.locator(".monitor-tile").nth(1)).to_have_class("monitor-tile chosen")
        await expect(page.locator("[data-about]")).to_have_text(
            await page.locator(".monitor-tile h2").nth(1).inner_text()
        )
        await page.locator("input[data-keys]").uncheck()
        await page.locator("h1").click()
        await page.keyboard.press("t")
        await expect(page.locator("#ask-terminate")).to_be_hidden()
        await page.reload()
        await expect(page.locator("input[data-keys]")).not_to_be_checked()


def _of(house: ConsoleHouse):  # type: ignore[no-untyped-def]
    from visitserver.domain.actors import Actor, ActorKind

    return Actor(ActorKind.STAFF, "stf_test", house.http.prison.id)
