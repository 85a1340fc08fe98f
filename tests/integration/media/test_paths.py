"""Chromium over the ways that are left where UDP does not come through: TCP, and a TURN relay; and over IPv6."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Page

from signaling.ids import OrdinaryCallId, new_id
from signaling.media.node import MediaNode
from signaling.media.rooms import OrdinaryMediaRoom
from tests.e2e.support.browser import chromium, visitor
from tests.fixtures.coturn import SECRET, turn_server
from tests.integration.media.page import served
from visitserver.services.ice_servers import TurnCredentials

PARTY = [["audio", "sendrecv"], ["video", "sendrecv"]]


async def _join(page: Page, url: str, configuration: dict[str, Any]) -> None:
    await page.goto("/")
    await page.evaluate(
        "([url, lines, configuration]) => start(url, lines, configuration)", [url, PARTY, configuration]
    )


async def _frames_flow(page: Page) -> dict[str, Any]:
    """Wait for picture and sound; the selected pair."""
    async with asyncio.timeout(60):
        while True:
            report = await page.evaluate("seen()")
            if report["slots"][1]["frames"] > 10 and report["slots"][0]["energy"] > 1e-5:
                pair: dict[str, Any] = await page.evaluate("selected()")
                return pair
            await asyncio.sleep(0.1)


def _room(node: MediaNode) -> OrdinaryMediaRoom:
    room = node.open_room(OrdinaryCallId(new_id("call")))
    room.set_gate(True)
    return room


def _credentials(url: str, *, secret: str = SECRET, until: timedelta = timedelta(minutes=10)) -> list[dict[str, Any]]:
    source = TurnCredentials([url], secret, until, lambda: datetime.now(UTC))
    return [server.as_json() for server in source()]


@pytest.mark.timeout(240)
async def test_chromium_over_tcp_over_ipv6_and_over_a_relay() -> None:
    tcp = MediaNode("127.0.0.1", 0, transports=["tcp"])
    udp = MediaNode(["127.0.0.1", "::1"], 0)
    ipv6 = MediaNode("::1", 0, transports=["udp"])
    nodes = (tcp, udp, ipv6)
    for node in nodes:
        await node.start()
    try:
        async with chromium() as browser:
            async with (
                served(_room(tcp)) as base,
                visitor(browser, base) as family,
                visitor(browser, base) as prisoner,
            ):
                await _join(family.page, "/publish/family/family", {})
                await _join(prisoner.page, "/publish/prisoner/prisoner", {})
                for person in (family, prisoner):
                    pair = await _frames_flow(person.page)
                    assert (pair["protocol"], pair["relay"]) == ("tcp", None)
                    assert pair["type"] in ("host", "prflx")  # an active candidate's port is known only afterwards
                    assert pair["remote"] == f"tcp 127.0.0.1:{tcp.address[1]}"
                assert tcp.stats().tcp_connections >= 2

            async with (
                served(_room(ipv6)) as base,
                visitor(browser, base) as family,
                visitor(browser, base) as prisoner,
            ):
                await _join(family.page, "/publish/family/family", {})
                await _join(prisoner.page, "/publish/prisoner/prisoner", {})
                pair = await _frames_flow(family.page)
                assert pair["remote"] == f"udp ::1:{ipv6.address[1]}"

            with turn_server() as turn:
                relayed = {"iceTransportPolicy": "relay", "iceServers": _credentials(turn.url)}
                async with (
                    served(_room(udp)) as base,
                    visitor(browser, base) as family,
                    visitor(browser, base) as prisoner,
                ):
                    await _join(family.page, "/publish/family/family", relayed)
                    await _join(prisoner.page, "/publish/prisoner/prisoner", {})
                    pair = await _frames_flow(family.page)
                    assert (pair["type"], pair["relay"]) == ("relay", "udp")
                    assert pair["remote"].endswith(f":{udp.address[1]}")
                    pair = await _frames_flow(prisoner.page)
                    assert (pair["type"], pair["protocol"]) != ("relay", "udp")

                    for wrong in (
                        _credentials(turn.url, secret="another secret altogether"),
                        _credentials(turn.url, until=timedelta(seconds=-1)),
                    ):
                        found = await family.page.evaluate(
                            "configuration => gathered(configuration)",
                            {"iceTransportPolicy": "relay", "iceServers": wrong},
                        )
                        assert found["candidates"] == []
                        assert 401 in found["errors"]
    finally:
        for node in nodes:
            await node.stop()
