"""The wall with several calls in one connection: switching tiles, one voice at a time, and the officer's own."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from playwright.async_api import Browser, Page, expect

from tests.e2e.support import axe
from tests.e2e.support.browser import PHONE
from tests.fixtures.waiting import page_shows
from tests.integration.console.house import ConsoleHouse, picture
from tests.integration.console.puppet import puppet
from tests.integration.console.test_wall import _of, audited, live_call, playing, start_watch, tile

# Every connection that the page makes, and how often it describes itself: a renegotiation would be one more time.
COUNTED = """
  window.peers = [];
  window.described = 0;
  const Plain = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Plain {
    constructor(...args) { super(...args); window.peers.push(this); }
    setLocalDescription(...args) { window.described += 1; return super.setLocalDescription(...args); }
  };
"""
SOUND = """async () => {
  const kinds = {};
  for (const one of (await peers[0].getStats()).values())
    if (one.type === "inbound-rtp" && one.kind === "audio" && one.packetsReceived > 0)
      kinds[one.mid] = one.totalAudioEnergy ?? 0;
  return kinds;
}"""
VOICE = """async () => {
  for (const one of (await part.client.talkLine.receiver.getStats()).values())
    if (one.type === "inbound-rtp") return {packets: one.packetsReceived, energy: one.totalAudioEnergy ?? 0};
  return {packets: 0, energy: 0};
}"""


async def louder(page: Page, than: float) -> None:
    """Wait until the officer's voice has been heard in a participant's page."""
    await page_shows(
        page,
        """async than => {
          for (const one of (await part.client.talkLine.receiver.getStats()).values())
            if (one.type === "inbound-rtp" && (one.totalAudioEnergy ?? 0) > than + 1e-4) return true;
          return false;
        }""",
        than,
    )


async def quiet(page: Page) -> dict[str, float]:
    """What a page has received of the officer's voice, once nothing more of it comes: the last packets and the
    statistics may be later than the word that he has stopped."""
    deadline = asyncio.get_running_loop().time() + 60
    last = await page.evaluate(VOICE)
    while True:
        await asyncio.sleep(0.5)
        now = await page.evaluate(VOICE)
        if now["packets"] == last["packets"]:
            return dict(now)
        assert asyncio.get_running_loop().time() < deadline, "the voice goes on"
        last = now


async def talks(house: ConsoleHouse, call_id: str, count: int) -> list[tuple[str, list[str]]]:
    """The events of an officer's talking, once so many are stored: they are, a moment after they happen."""
    deadline = asyncio.get_running_loop().time() + 60
    while True:
        events = await house.services.calls.events(_of(house), call_id)
        spoken = [(event.type, list(event.data["sides"])) for event in events if event.type.startswith("talk_")]
        if len(spoken) >= count:
            return spoken
        assert asyncio.get_running_loop().time() < deadline, spoken
        await asyncio.sleep(0.1)


async def told(page: Page, talking: bool, to: str, times: int = 1) -> None:
    """Wait until a participant's page was told so often that an officer speaks, or stopped."""
    await page_shows(
        page,
        """([talking, to, times]) => heard.filter(
             one => one.type === "officer" && one.talking === talking && one.to === to).length >= times""",
        [talking, to, times],
    )


async def test_four_calls_in_one_connection_one_voice_and_the_officers_own(
    house: ConsoleHouse, chrome: Browser
) -> None:
    pairs = await house.add_pairs([("Jan Virta", "Kaisa Virta"), ("Ali Nur", "Sara Nur"), ("Olli Maa", "Tuuli Maa")])
    async with AsyncExitStack() as stack:
        live = await stack.enter_async_context(live_call(house, chrome))
        others = []
        for hue, pair in enumerate(pairs):
            booking = await house.book(pair)
            call = (await house.open_calls())[booking.id]
            others.append(call)
            for number, ticket in enumerate(house.tickets(call, pair).values()):
                await stack.enter_async_context(puppet(house.base_url, call.id, ticket, 2 * hue + number))
        officer = await stack.enter_async_context(house.staff(chrome, "officer"))
        page = officer.page
        await page.add_init_script(COUNTED)
        await page.goto("/staff/wall")
        calls = [live.call, *others]
        for call in calls:
            await expect(page.locator(tile(page, call) + " .state-word")).to_have_text("Live")
            await start_watch(page, tile(page, call), "Concern" if call is others[0] else "Sample")
        for call in calls:
            await playing(page, tile(page, call))
        assert await page.evaluate("[peers.length, described]") == [1, 1]
        assert sorted(await audited(house, "call.watch")) == sorted(call.id for call in calls)
        assert await page.evaluate(SOUND) == {}  # no sound before it is chosen
        await axe.check(page)
        await picture(officer, "wall-four")

        # one voice at a time, without a new offer
        for call in (others[0], others[1]):
            await page.locator(tile(page, call)).get_by_role("button", name="Sound is off").click()
            await expect(page.get_by_role("button", name="Sound is on")).to_have_count(1)
            before = await page.evaluate(SOUND)
            await page_shows(
                page,
                f"""async before => {{
                  const now = await ({SOUND})();
                  return Object.entries(now).filter(([mid, energy]) => energy > (before[mid] ?? 0) + 1e-4).length >= 2;
                }}""",
                before,
            )

        # a tile goes and comes back: its slots are used by others meanwhile, with no new offer
        where = tile(page, others[2])
        await page.locator(where).get_by_role("button", name="Stop watching").click()
        await expect(page.locator(where + " video")).to_have_count(0)
        await start_watch(page, where)
        await playing(page, where)
        assert await page.evaluate("[peers.length, described]") == [1, 1]

        # barge-in: as long as the button is held
        await page.locator(tile(page, live.call)).get_by_role("button", name="Choose").click()
        to_all = page.get_by_role("button", name="Speak to all")
        people = (live.family.page, live.prisoner.page)
        assert [await one.evaluate(VOICE) for one in people] == [{"packets": 0, "energy": 0}] * 2
        await to_all.scroll_into_view_if_needed()
        await to_all.hover()
        await page.mouse.down()
        await expect(page.locator("[data-speaking]")).to_have_text("You are speaking to everybody.")
        for one in people:
            await told(one, True, "all")
            await louder(one, 0)
        await picture(officer, "wall-speaking")
        await page.mouse.up()
        await expect(page.locator("[data-speaking]")).to_have_text("")
        for one in people:
            await told(one, False, "all")

        # a whisper: a short press keeps it on, by keyboard as well
        before = [await quiet(one) for one in people]
        only = page.get_by_role("button", name="Only the prisoner")
        await only.focus()
        await page.keyboard.press("Space")
        await told(live.prisoner.page, True, "you")
        await louder(live.prisoner.page, before[1]["energy"])
        await page.keyboard.press("Space")
        await told(live.prisoner.page, False, "you")
        assert (await live.family.page.evaluate(VOICE))["packets"] == before[0]["packets"]
        assert not await live.family.page.evaluate("heard.some(one => one.type === 'officer' && one.to === 'you')")
        assert await page.evaluate("[peers.length, described]") == [1, 1]

        spoken = await talks(house, live.call.id, 4)
        everybody = ["family", "prisoner", "guest"]
        assert [sides for kind, sides in spoken if kind == "talk_started"] == [everybody, ["prisoner"]]
        assert [kind for kind, _ in spoken] == ["talk_started", "talk_stopped"] * 2
        assert await audited(house, "call.talk") == [live.call.id] * 2

        await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        assert not await officer.overflows()
        await axe.check(page)
        await picture(officer, "wall-four-390")
