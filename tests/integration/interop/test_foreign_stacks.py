"""werift (TypeScript) and node-datachannel (libdatachannel, C++) through the relay: ICE, DTLS, SRTP of their own.

Each is a party by WHIP and an officer by WHEP: beside the tests' own client, which sees every byte, and Chromium,
which decodes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiortc.rtp import RtpPacket

from signaling.media.leg import Side
from tests.e2e.support.browser import chromium, visitor
from tests.fakes.media_client import MediaClient, vp8
from tests.fixtures.waiting import eventually, page_shows
from tests.integration.interop.footage import HEIGHT, WIDTH, payload_starts, write_footage
from tests.integration.interop.foreign import Foreigner, foreigner
from tests.integration.interop.house import PATIENCE, MediaHouse
from tests.integration.media.page import PAGE

pytestmark = pytest.mark.timeout(300)  # several waits, each with a limit of its own

PARTY = (("audio", "sendrecv"), ("video", "sendrecv"))
OFFICER = (("video", "recvonly"), ("video", "recvonly"), ("audio", "recvonly"), ("audio", "recvonly"))
STACKS = ("werift", "node-datachannel")


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    write_footage(tmp_path / "footage.json")
    return tmp_path / "footage.json"


@pytest.mark.parametrize(("party", "watcher"), [STACKS, STACKS[::-1]])
async def test_a_foreign_party_and_a_foreign_officer(
    house: MediaHouse, footage: Path, party: str, watcher: str
) -> None:
    """What a party sends arrives as it was, what both are sent is what was said, and they leave as WHIP has it."""
    call_id = await house.open()
    whip, whep = f"{house.url}/media/whip/{call_id}", f"{house.url}/media/whep/{call_id}"
    prisoner, _ = await house.join(call_id, Side.PRISONER)
    async with (
        foreigner(party, whip, house.join_ticket(call_id, Side.FAMILY), PARTY, footage) as family,
        foreigner(watcher, whep, house.warrant(call_id), OFFICER, None) as officer,
    ):
        for one in (family, officer):
            await one.until(lambda seen: seen["state"] == "connected", "the connection")
        await house.until_live(call_id)
        await _hears_what_was_sent(prisoner.received.of_kind)
        await _is_sent_what_is_said(prisoner, family, (0, 1))
        await _is_sent_what_is_said(prisoner, officer, (0, 2))  # he came first: his are the first slots
        await officer.until(lambda seen: all(slot["packets"] > 50 for slot in seen["slots"]), "the family, too")
        for slot, kind in ((1, "video"), (3, "audio")):
            assert set(officer.seen["slots"][slot]["payloads"]) <= payload_starts(kind)
        counters = house.counters(call_id)
        assert counters.dropped_srtp == counters.dropped_malformed == counters.dropped_unknown_track == 0
        assert counters.forwarded_officers > 0
        assert await family.leave() == await officer.leave() == 0
    state = house.node.rooms.get(call_id).machine
    await eventually(lambda: Side.FAMILY not in state.state.connected_sides, "the party's leave-taking", PATIENCE)
    await eventually(lambda: not state.state.monitors, "the officer's leave-taking", PATIENCE)
    assert len(house.room(call_id).session_ids) == 1


@pytest.mark.parametrize(("party", "watcher"), [STACKS])
async def test_chromium_sees_and_hears_it_and_is_heard(
    house: MediaHouse, footage: Path, party: str, watcher: str
) -> None:
    """One call of three stacks: a foreign party, Chromium as the other side, and the other stack watching both."""
    call_id = await house.open()
    whip, whep = f"{house.url}/media/whip/{call_id}", f"{house.url}/media/whep/{call_id}"
    async with (
        _page(house, whip, house.join_ticket(call_id, Side.PRISONER)) as base,
        chromium() as browser,
        visitor(browser, base) as prisoner,
        foreigner(party, whip, house.join_ticket(call_id, Side.FAMILY), PARTY, footage) as family,
        foreigner(watcher, whep, house.warrant(call_id), OFFICER, None) as officer,
    ):
        await prisoner.page.goto("/")
        await prisoner.page.evaluate("lines => start('/offer', lines)", [list(line) for line in PARTY])
        await house.until_live(call_id)
        await family.until(lambda seen: all(slot["packets"] > 50 for slot in seen["slots"]), "Chromium's media")
        await officer.until(lambda seen: all(slot["packets"] > 50 for slot in seen["slots"]), "both sides' media")
        await page_shows(
            prisoner.page,
            "async () => { const [sound, picture] = (await seen()).slots;"
            f" return sound.energy > 1e-4 && picture.frames > 20 && picture.width === {WIDTH}"
            f" && picture.height === {HEIGHT}; }}",
            timeout=PATIENCE,
        )
        counters = house.counters(call_id)
        assert counters.dropped_srtp == counters.dropped_malformed == 0


@asynccontextmanager
async def _page(house: MediaHouse, whip: str, ticket: str) -> AsyncIterator[str]:
    """The tests' own page, whose offers go to `whip`; its URL."""

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def offer(request: web.Request) -> web.Response:
        reply = await house.post(whip.removeprefix(house.url), ticket, await request.text())
        return web.Response(status=reply.status, text=reply.text, content_type="application/sdp")

    app = web.Application()
    app.add_routes([web.get("/", page), web.post("/offer", offer)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _hears_what_was_sent(received: Callable[[str], list[RtpPacket]]) -> None:
    """Every payload that comes is one of the footage, and enough of them come."""
    await eventually(lambda: all(len(received(kind)) > 60 for kind in ("audio", "video")), "the footage", PATIENCE)
    for kind in ("audio", "video"):
        packets = received(kind)
        assert {packet.payload[:12].hex() for packet in packets} <= payload_starts(kind)
        assert len({packet.ssrc for packet in packets}) == 1


async def _is_sent_what_is_said(speaker: MediaClient, listener: Foreigner, slots: tuple[int, int]) -> None:
    """What `speaker` says comes out of the listener's slots (those of sound and picture, in any order)."""
    pictures = {vp8(0, key=key)[4:12].hex() for key in (True, False)}  # after the descriptor, whose numbers may move
    before = {slot["kind"]: slot["packets"] for number, slot in enumerate(listener.seen["slots"]) if number in slots}
    number = 0

    def enough() -> bool:
        nonlocal number
        number += 1
        speaker.send_rtp("audio", b"the voice of a test", number * 960, level=20)
        speaker.send_rtp("video", vp8(number, key=number % 5 == 0), number * 3000)
        chosen = [listener.seen["slots"][slot] for slot in slots]
        return all(slot["packets"] >= before[slot["kind"]] + 30 for slot in chosen)

    await eventually(enough, f"media in the slots {slots}: {listener.seen}", PATIENCE)
    for slot in (listener.seen["slots"][number] for number in slots):
        if slot["kind"] == "audio":
            assert set(slot["payloads"]) == {b"the voice of a test"[:12].hex()}
        else:
            assert {payload[8:] for payload in slot["payloads"]} <= pictures
        assert len(slot["ssrcs"]) == 1
