"""Four people, each with a browser of their own: a camera and a microphone that films and says something of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.async_api import Page

from tests.e2e.support import axe
from tests.e2e.support.browser import PHONE, Visitor, chromium, visitor
from tests.media_factory import camera_mjpeg, speech_like_wav


@dataclass
class Person:
    """A browser, the page it shows, and the pictures that are kept of every page."""

    name: str
    visitor: Visitor

    @property
    def page(self) -> Page:
        """The page."""
        return self.visitor.page

    async def goes_to(self, path: str) -> None:
        """Open a page of the server."""
        answer = await self.page.goto(path)
        assert answer is not None and answer.status < 400, f"{self.name} at {path}: {answer and answer.status}"

    async def shows(self, name: str) -> None:
        """The page is accessible, fits a phone, and is photographed wide and at 390 px."""
        await axe.check(self.page)
        await self.visitor.screenshot(f"{self.name}-{name}")
        size = self.page.viewport_size
        assert size is not None
        await self.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        await self.visitor.screenshot(f"{self.name}-{name}-390")
        assert not await self.visitor.overflows(), f"{self.name}: {name} is wider than a phone"
        await self.page.set_viewport_size(size)

    async def reads(self, text: str) -> None:
        """Wait until `text` stands on the page."""
        await self.page.get_by_text(text).first.wait_for()


@dataclass
class People:
    """Everybody of the story."""

    family: Person
    prisoner: Person
    officer: Person
    scheduler: Person


@asynccontextmanager
async def everybody(
    url: str,
    folder: Path,
    *,
    prepare: str = "",
    allow: Sequence[str] = (),
    faces: tuple[Image.Image | str, Image.Image | str] = ("astronaut", "admiral"),
) -> AsyncIterator[People]:
    """Open four browsers at `url`; fake devices are made in `folder`; `prepare` runs before the scripts of any page;
    `allow` are further patterns of console errors that the story brings about on purpose; `faces` are what the
    cameras of family and prisoner film.

    When a step fails, what each of the four saw last is kept as a picture.
    """
    family_camera = camera_mjpeg(folder / "family.mjpeg", faces[0])
    family_sound = speech_like_wav(folder / "family.wav", pitch=210.0)
    prisoner_camera = camera_mjpeg(folder / "prisoner.mjpeg", faces[1])
    prisoner_sound = speech_like_wav(folder / "prisoner.wav", pitch=110.0, seed=7)
    async with AsyncExitStack() as stack:

        async def join(name: str, camera: Path | None = None, sound: Path | None = None, dark: bool = False) -> Person:
            browser = await stack.enter_async_context(chromium(camera, sound))
            seen = await stack.enter_async_context(visitor(browser, url, dark=dark, allow=[*EXPECTED, *allow]))
            if prepare:
                await seen.context.add_init_script(prepare)
            return Person(name, seen)

        people = People(
            await join("family", family_camera, family_sound),
            await join("prisoner", prisoner_camera, prisoner_sound),
            await join("officer", dark=True),
            await join("scheduler"),
        )
        try:
            yield people
        except BaseException:
            for person in (people.family, people.prisoner, people.officer, people.scheduler):
                await person.visitor.screenshot(f"FAILED-{person.name}", full_page=False)
            raise


EXPECTED = (
    # A refused form is answered with 409 or 422, which Chromium complains of; the tests read the page itself.
    r"the server responded with a status of 4(09|22)",
    # A page that lost its connection asks for its media session once more before it joins anew.
    r"the server responded with a status of 404 .*/media/sessions/",
)
