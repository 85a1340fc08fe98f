"""A client changes its network in the middle of a call: nothing is lost, to nobody, nor in the recording."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.async_api import Page

from recorder.blobs import FolderStore
from recorder.keys import LocalKeyRing, new_key_line
from recorder.service import RecordingService
from recorder.tap import RecorderLeg
from signaling.capabilities import RecordingWarrant
from signaling.ids import OrdinaryCallId, new_id
from signaling.media.leg import Kind, Side
from signaling.media.node import MediaNode
from signaling.media.rooms import OrdinaryMediaRoom
from tests.e2e.support.browser import chromium, visitor
from tests.fakes.media_client import MediaClient, vp8
from tests.fixtures.waiting import eventually, page_shows
from tests.integration.media.conftest import Call
from tests.support.media_page import served

FRAGMENT = "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"


@dataclass
class Pump:
    """Voice and picture of one client, without a pause."""

    client: MediaClient
    sent: int = 0

    async def run(self) -> None:
        while True:
            self.client.send_rtp("audio", b"voice", self.sent * 960)
            self.client.send_rtp("video", vp8(self.sent & 0x7FFF, key=self.sent == 0), self.sent * 3000)
            self.sent += 1
            await asyncio.sleep(0.02)

    async def more(self, count: int = 15) -> None:
        """Wait until so many more of each were sent."""
        goal = self.sent + count
        await eventually(lambda: self.sent >= goal, "more packets", 60)


@asynccontextmanager
async def pumping(client: MediaClient) -> AsyncIterator[Pump]:
    pump = Pump(client)
    task = asyncio.create_task(pump.run())
    try:
        yield pump
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def restart_ice(call: Call, client: MediaClient, number: int) -> None:
    """New credentials on both sides."""
    ufrag, pwd = f"again{number}", f"password{number}".ljust(24, "x")
    answer = await call.room.patch(call.sessions[client], "*", FRAGMENT.format(ufrag, pwd))
    assert answer.fragment is not None
    new = dict(line[2:].split(":", 1) for line in answer.fragment.split("\r\n") if line.startswith("a=ice-ufrag"))
    new |= dict(line[2:].split(":", 1) for line in answer.fragment.split("\r\n") if line.startswith("a=ice-pwd"))
    client.ufrag, client.pwd = ufrag, pwd
    client.local_ufrag, client.local_pwd = new["ice-ufrag"], new["ice-pwd"]


def whole(client: MediaClient, kind: str, count: int) -> None:
    """Every one of `count` packets came, in one numbering of one source."""
    packets = client.received.of_kind(kind)
    assert len({packet.ssrc for packet in packets}) == 1
    first = packets[0].sequence_number
    numbers = sorted((packet.sequence_number - first + 0x8000) & 0xFFFF for packet in packets)
    assert numbers == list(range(numbers[0], numbers[0] + count))


@asynccontextmanager
async def recorded(room: OrdinaryMediaRoom, folder: Path) -> AsyncIterator[RecorderLeg]:
    """The room's real recorder."""
    keys = LocalKeyRing.from_text(new_key_line("kek-1"))
    recorder = RecordingService(FolderStore(folder), keys, Ed25519PrivateKey.generate(), lambda: datetime.now(UTC))
    call_id = room.call_id
    assert isinstance(call_id, OrdinaryCallId)
    leg = await recorder.start(RecordingWarrant(call_id, new_id("rec"), (Kind.AUDIO, Kind.VIDEO), "1"))
    room.add_leg(leg)
    try:
        yield leg
    finally:
        await recorder.close()


async def test_no_packet_is_lost_on_the_way_to_another_network(both_call: Call, tmp_path: Path) -> None:
    call = both_call
    async with recorded(call.ordinary, tmp_path) as leg:
        family = await call.join("family", Side.FAMILY)
        prisoner = await call.join("prisoner", Side.PRISONER)
        call.room.set_gate(True)
        async with pumping(family) as out, pumping(prisoner) as back:
            await out.more()
            await family.migrate("127.0.0.2")  # another address, without a word of signalling
            await out.more()
            for number, (host, transport) in enumerate(
                [("127.0.0.3", "udp"), ("::1", "udp"), ("127.0.0.1", "tcp"), ("::1", "tcp"), ("127.0.0.1", "udp")]
            ):
                await restart_ice(call, family, number)
                await out.more(3)  # over the old path, with the new credentials known
                await family.migrate(host, transport)
                await out.more()
                await back.more()
        for client, pump in ((prisoner, out), (family, back)):
            await eventually(
                lambda client=client, pump=pump: len(client.received.rtp) >= 2 * pump.sent,  # type: ignore[misc]
                "the last packet",
                60,
            )
            for kind in ("audio", "video"):
                whole(client, kind, pump.sent)
        assert call.room.counters().ice_restarts == 5
        assert call.heard.lost == []
        assert len(call.heard.started) == 4
        call.ordinary.remove_leg(leg.leg_id)
        summary = await leg.seal("test")
        assert (summary.gaps, summary.tracks) == (0, 4)


async def test_a_network_that_dies_first_costs_what_was_in_flight_and_nothing_else(both_call: Call) -> None:
    call = both_call
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    call.room.set_gate(True)
    async with pumping(prisoner) as back:
        await back.more()
        before = len(family.received.of_kind("audio"))
        family.move("::1", family._server_for("::1", "udp"))
        await family.check(nominate=True, timeout=30)
        after = back.sent
        await back.more()

    def numbers() -> set[int]:
        packets = family.received.of_kind("audio")
        return {packet.sequence_number - packets[0].sequence_number & 0xFFFF for packet in packets}

    await eventually(lambda: max(numbers()) == back.sent - 1, "the last packet", 60)
    assert set(range(back.sent)) - numbers() <= set(range(before, after))
    assert len({packet.ssrc for packet in family.received.rtp}) == 2
    assert call.heard.lost == []
    assert [info.participant_id for info in call.heard.started] == ["prisoner", "prisoner"]


@pytest.mark.timeout(180)
async def test_chromium_restarts_ice_and_everybody_goes_on_with_the_same_tracks(
    both: MediaNode, tmp_path: Path
) -> None:
    room = both.open_room(OrdinaryCallId(new_id("call")))
    room.set_gate(True)
    async with (
        recorded(room, tmp_path) as leg,
        served(both, {"one": room}) as page,
        chromium() as browser,
        visitor(browser, page.base) as family,
        visitor(browser, page.base) as prisoner,
    ):
        for person, side in ((family, "family"), (prisoner, "prisoner")):
            await person.page.goto("/")
            await page_shows(person.page, "globalThis.ready")
            await person.page.evaluate("camera(640, 480)")
            await person.page.evaluate("side => publish(`one.${side}`, side)", side)
        for person in (family, prisoner):
            await page_shows(person.page, "firstFrame() < Infinity")
        before = await family.page.evaluate("pair()")
        tracks = {track.track_id for track in room.tracks()}
        sources = await _sources(prisoner.page)

        await family.page.evaluate("nudge()")
        await page_shows(
            family.page,
            "async old => { const now = await pair(); return now.ufrag !== old && now.received > 0; }",
            before["ufrag"],
        )
        await page_shows(family.page, "peerState() === 'connected'")
        for person in (family, prisoner):
            seen = await person.page.evaluate("slots.find(s => s.kind === 'video').frames")
            await page_shows(person.page, "seen => slots.find(s => s.kind === 'video').frames > seen + 20", seen)
        assert room.counters().ice_restarts == 1
        assert {track.track_id for track in room.tracks()} == tracks
        assert await _sources(prisoner.page) == sources
        room.remove_leg(leg.leg_id)
        summary = await leg.seal("test")
        assert (summary.gaps, summary.tracks) == (0, 4)


async def _sources(page: Page) -> list[int]:
    """The SSRCs from which something has come."""
    found: list[int] = await page.evaluate(
        """async () => {
          const reports = [...(await peerStats()).values()];
          const incoming = reports.filter((one) => one.type === "inbound-rtp" && one.packetsReceived);
          return incoming.map((one) => one.ssrc).sort();
        }"""
    )
    return found
