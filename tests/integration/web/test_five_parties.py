"""Five people in one call: two in Chromium, on a phone and at a terminal, three sent by bare clients."""

from __future__ import annotations

import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Locator, Page, expect

from signaling.calls import Actor, ActorKind
from signaling.media.leg import Kind
from signaling.messages import Hello, Officer
from tests.e2e.support import axe
from tests.e2e.support.browser import PHONE, Visitor, chromium, visitor
from tests.e2e.support.clips import still_clip
from tests.fakes.channel import FakeChannel
from tests.fakes.filmed_party import FilmedParty
from tests.fixtures.waiting import eventually, page_shows
from tests.integration.web.call_stage import NAMES, Stage, enter, live
from tests.media_factory import open_portrait

OFFICER = Actor(ActorKind.STAFF, "stf_1")
FILMED = ("family_2", "family_3", "family_4")
SHOWN = """() => [...document.querySelectorAll('.remote video')].filter(
    (video) => video.videoWidth > 0 && video.currentTime > 0 && !video.paused).length"""
PLACES = """() => {
    const parts = document.querySelectorAll('.remote, .own, .call-bar, .call-head, .remote figcaption');
    return [...parts].map((one) => {
        const {x, y, width, height} = one.getBoundingClientRect();
        return [x, y, width, height].map(Math.round).join(' ');
    });
}"""


def picture(name: str, colour: tuple[int, int, int]) -> np.ndarray:
    """A portrait before a wall of that colour (BGR), 640 by 480."""
    wall = np.full((480, 640, 3), colour, np.uint8)
    portrait = np.asarray(open_portrait(name).convert("RGB").resize((400, 400)))[:, :, ::-1]
    wall[80:, 120:520] = portrait
    return wall


def silence(path: Path) -> Path:
    """A microphone that hears nothing: Chromium's own beeps would take part in the talk."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(48_000)
        out.writeframes(bytes(2 * 48_000))
    return path


@dataclass
class Guest:
    """A filmed person with a control channel."""

    client: FilmedParty
    channel: FakeChannel


@asynccontextmanager
async def guest(stage: Stage, who: str, seen: np.ndarray) -> AsyncIterator[Guest]:
    client = FilmedParty(seen)
    try:
        channel = FakeChannel()
        attachment = stage.node.attach(Hello(ticket=stage.ticket(who)), channel)
        answer = await stage.node.publish(stage.ticket(who), stage.call_id, client.offer())
        await client.connect(answer.sdp)
        client.start()
        yield Guest(client, channel)
        attachment.detach("closed")
    finally:
        await client.close()


@pytest.fixture
async def people(stage: Stage, tmp_path: Path) -> AsyncIterator[tuple[Visitor, Visitor, dict[str, Guest]]]:
    """Aino on her phone, Mikko at the terminal, and three more; all connected and live."""
    walls = {"family_2": (60, 90, 60), "family_3": (110, 70, 50), "family_4": (60, 60, 110)}
    camera = still_clip(tmp_path / "camera.mjpeg", picture("admiral", (120, 120, 90)))
    async with (
        guest(stage, FILMED[0], picture("astronaut", walls["family_2"])) as second,
        guest(stage, FILMED[1], picture("admiral", walls["family_3"])) as third,
        guest(stage, FILMED[2], picture("astronaut", walls["family_4"])) as fourth,
        chromium(camera=camera, microphone=silence(tmp_path / "silence.wav")) as browser,
        visitor(browser, stage.url, PHONE) as aino,
        visitor(browser, stage.url) as mikko,
    ):
        await enter(aino, "call", stage.url)
        await enter(mikko, "terminal-call", stage.url)
        for person in (aino, mikko):
            await live(person.page)
            await expect(person.page.locator(".remote")).to_have_count(4)
            await page_shows(person.page, f"({SHOWN})() === 4")
        yield aino, mikko, dict(zip(FILMED, (second, third, fourth), strict=True))


def tile(page: Page, who: str) -> Locator:
    return page.locator(f'.remote[data-participant="{who}"]')


async def spoken_by(page: Page, who: str) -> None:
    await expect(page.locator(".remote.speaker")).to_have_attribute("data-participant", who)
    await expect(page.locator(".remote.speaker .marks")).to_contain_text("speaks")


async def test_five_people_see_each_other_and_what_happens_to_each(
    stage: Stage, people: tuple[Visitor, Visitor, dict[str, Guest]]
) -> None:
    aino, mikko, guests = people
    both = (aino.page, mikko.page)
    for person, self_name in ((aino, "family_1"), (mikko, "prisoner_1")):
        names = await person.page.locator(".remote figcaption").all_text_contents()
        assert sorted(names) == sorted(name for who, name in NAMES.items() if who != self_name)

    # Somebody speaks, then somebody else. Nothing moves for it.
    guests["family_2"].client.level = 25
    for page in both:
        await spoken_by(page, "family_2")
    before = [await page.evaluate(PLACES) for page in both]
    guests["family_2"].client.level = 127
    guests["family_3"].client.level = 25
    for page in both:
        await spoken_by(page, "family_3")
    assert [await page.evaluate(PLACES) for page in both] == before
    for person, name in ((aino, "phone/call-five"), (mikko, "wide/terminal-call-five")):
        await axe.check(person.page)
        await person.screenshot(name, full_page=False)

    # The relay knows how large everybody is shown.
    room = stage.media.open_room(stage.call_id)
    sessions = {seat.ticket.participant_id: seat.session_id for seat in stage.node.rooms.get(stage.call_id)._seats}
    for who in ("family_1", "prisoner_1"):
        slots = [slot for slot in room._peer(sessions[who] or "").slots if slot.kind is Kind.VIDEO]
        await eventually(
            lambda slots=slots: all(slot.wanted_height for slot in slots),  # type: ignore[misc]
            "the sizes of the tiles",
        )
        assert all((slot.wanted_height or 0) < 600 for slot in slots)

    # An officer pauses one: the others go on; she hears and sees nobody.
    await stage.control.hold(stage.call_id, OFFICER, "not alone", "Please be alone.", participant_id="family_3")
    for page in both:
        await expect(tile(page, "family_3")).to_contain_text("An officer has paused Grace Hopper.")
        await expect(page.locator(".overlay")).to_be_hidden()
    assert guests["family_3"].channel.last("held")["words"] == "Please be alone."
    await axe.check(mikko.page)
    await mikko.screenshot("wide/terminal-call-five-held", full_page=False)
    await stage.control.resume(stage.call_id, OFFICER, "alone", participant_id="family_3")
    await expect(tile(aino.page, "family_3")).not_to_have_class("no-picture")

    # And now Aino herself.
    await stage.control.hold(stage.call_id, OFFICER, "why", "Turn the light on, please.", participant_id="family_1")
    await expect(aino.page.locator(".overlay")).to_contain_text("An officer has paused your part of the visit.")
    await expect(aino.page.locator(".overlay")).to_contain_text("Turn the light on, please.")
    await axe.check(aino.page)
    await aino.screenshot("phone/call-held-alone", full_page=False)
    await expect(mikko.page.locator(".overlay")).to_be_hidden()
    await stage.control.resume(stage.call_id, OFFICER, "light", participant_id="family_1")
    await expect(aino.page.locator(".overlay")).to_be_hidden()
    await expect(aino.page.locator(".note-card").last).to_contain_text("The officer has lifted the pause.")

    # A picture and a microphone are turned off; a line carries no picture; a line is gone.
    await stage.control.mute(stage.call_id, "family_2", Kind.AUDIO, True, OFFICER, "noise")
    await expect(tile(mikko.page, "family_2")).to_contain_text("microphone off")
    stage.node.rooms.get(stage.call_id).line_changed("family_4", "up", "voice_only")
    await expect(tile(mikko.page, "family_4")).to_contain_text("The line of Eileen Collins is too poor")
    stage.node.rooms.get(stage.call_id).line_changed("family_1", "up", "voice_only")
    await expect(aino.page.locator(".own-line")).to_contain_text("The others still hear you.")
    await guests["family_4"].client.stop()
    for page in both:
        await expect(tile(page, "family_4")).to_contain_text("The line of Eileen Collins is broken.")
    await aino.screenshot("phone/call-five-lines", full_page=False)
    await axe.check(aino.page)

    # An officer says something: heard whatever, and to be read.
    stage.node.rooms.get(stage.call_id)._tell_participants(Officer(talking=True, to="all"))
    await expect(mikko.page.locator(".caption")).to_have_text("An officer is speaking to everybody.")
    assert await mikko.page.evaluate("document.querySelector('audio.talk').srcObject.getAudioTracks().length") == 1

    # Aino is taken out: she is told, the others go on without her.
    await stage.control.remove(stage.call_id, "family_1", OFFICER, "another person", "Please call the prison.")
    await expect(aino.page.locator(".overlay h2")).to_have_text("You are no longer in the visit")
    await expect(aino.page.locator(".overlay")).to_contain_text("Please call the prison.")
    await expect(mikko.page.locator(".remote")).to_have_count(3)
    await expect(mikko.page.locator(".overlay")).to_be_hidden()
    assert await stage.phase() == "live"
