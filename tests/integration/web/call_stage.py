"""A call that is open on a real media node, and the gallery's pages that lead into it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.async_api import Page, expect

from signaling.bus import InProcessBus
from signaling.clock import steady_clock
from signaling.control import BusRoomControl
from signaling.directory import InProcessDirectory, NodeInfo
from signaling.http import media_routes
from signaling.ids import OrdinaryCallId, new_id
from signaling.media.leg import Side
from signaling.media.node import MediaNode
from signaling.node import SignalingNode
from signaling.tickets import CallCharter, JoinTicket, RecordingPolicy, Supervision, TicketIssuer, TicketVerifier
from tests.e2e.support.browser import Visitor
from tests.integration.web.gallery import Gallery, address

NAMES = {
    "family_1": "Aino Lahtinen",
    "prisoner_1": "Mikko Lahtinen",
    "family_2": "Liisa Virtanen",
    "family_3": "Grace Hopper",
    "family_4": "Eileen Collins",
}


@dataclass
class Stage:
    """A call that is open on a node, and the pages that lead into it."""

    gallery: Gallery
    url: str
    call_id: OrdinaryCallId
    control: BusRoomControl
    node: SignalingNode
    media: MediaNode
    ticket: Callable[[str], str]
    """The signed ticket of somebody in NAMES."""
    issuer: TicketIssuer

    async def phase(self) -> str:
        return str((await self.control.snapshot(self.call_id)).phase)


@asynccontextmanager
async def call_stage(media_host: str = "127.0.0.1") -> AsyncIterator[Stage]:
    """A stage whose call starts now and takes half an hour; its media is at `media_host`."""
    clock = steady_clock(time.monotonic, lambda: datetime.now(UTC))
    key = Ed25519PrivateKey.generate()
    issuer = TicketIssuer(key, clock)
    bus, directory = InProcessBus(), InProcessDirectory(time.monotonic)
    media = MediaNode(media_host, 0)
    node = SignalingNode(
        NodeInfo("node_1", "", 10),
        media,
        bus,
        directory,
        TicketVerifier([key.public_key()], clock),
        clock=clock,
        monotonic=time.monotonic,
    )
    await node.start()
    control = BusRoomControl(bus, directory)
    call_id = OrdinaryCallId(new_id("call"))
    now = clock()
    charter = CallCharter(
        call_id=call_id,
        starts_at=now,
        ends_at=now + timedelta(minutes=30),
        lobby_opens_at=now - timedelta(minutes=15),
        sides=(Side.FAMILY, Side.PRISONER),
        recording=RecordingPolicy.NONE,
        supervision=Supervision.NONE,
        watch_banner=False,
    )
    await control.open(issuer.issue(charter, expires_at=now + timedelta(hours=1)))
    gallery = Gallery()

    def signed(who: str) -> str:
        join = JoinTicket(call_id, who, Side(who.split("_")[0]), NAMES[who], "idc_1")
        return issuer.issue(join, expires_at=now + timedelta(minutes=40))

    def ticket(side: str) -> dict[str, Any]:
        return {"ticket": signed(f"{side}_1"), "whip": f"/media/whip/{call_id}", "channel": "/media/channel"}

    gallery.tickets = ticket
    async with TestServer(gallery.application(media_routes(node))) as server:
        yield Stage(gallery, str(server.make_url("")), call_id, control, node, media, signed, issuer)
    await node.stop()


async def enter(person: Visitor, name: str, url: str) -> None:
    """Open the gallery's page `name` as somebody who is signed in."""
    surface = "terminal" if name.startswith("terminal") else "family"
    await person.context.add_cookies([{"name": f"visit_{surface}", "value": "t" * 43, "url": url}])
    await person.page.goto(address(name))


async def live(page: Page) -> None:
    """Wait until the call page shows the live call."""
    await expect(page.locator("visit-call")).to_have_attribute("data-phase", "live", timeout=60_000)
    await expect(page.locator(".overlay")).to_be_hidden(timeout=60_000)
