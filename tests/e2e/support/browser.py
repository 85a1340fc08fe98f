"""Real Chromium for tests: fake camera and microphone from files, every console error collected, screenshots kept.

A test opens a browser per person, because Chromium's fake devices are the same for all pages of one browser:

    async with chromium(camera=clip, microphone=sound) as browser:
        async with visitor(browser, "http://127.0.0.1:8080") as anna:
            await anna.page.goto("/")
            ...
    # leaving `visitor` fails the test if the page logged an error
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    async_playwright,
    expect,
)

from tests.fixtures.requirements import REPOSITORY, program

WIDE: Final = (1280, 800)
PHONE: Final = (390, 844)
SCREENSHOTS: Final = REPOSITORY / "test-results" / "screenshots"

FLAGS: Final = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
)


# Playwright's own five seconds are less than a page may take on two busy cores; a wait that is met costs nothing.
expect.set_options(timeout=60_000)


@asynccontextmanager
async def chromium(
    camera: Path | None = None, microphone: Path | None = None, flags: Sequence[str] = ()
) -> AsyncIterator[Browser]:
    """Start a headless Chromium; `camera` is an .mjpeg or .y4m file, `microphone` a .wav file, both played in a loop.

    Without files the browser shows its own test pattern and beeps. VISIT_CHROMIUM names another executable.
    """
    configured = os.environ.get("VISIT_CHROMIUM")
    executable = Path(configured) if configured else program("chromium", "chromium", Path("/usr/bin"))
    arguments = [*FLAGS, *flags]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    if camera is not None:
        arguments.append(f"--use-file-for-fake-video-capture={camera}")
    if microphone is not None:
        arguments.append(f"--use-file-for-fake-audio-capture={microphone}")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(executable), args=arguments)
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Complaints:
    """What a page said went wrong: console errors, uncaught exceptions. `allow`: patterns of expected ones."""

    allow: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unanswered: set[str] = field(default_factory=set)

    def watch(self, page: Page) -> None:
        """Listen to `page` from now on."""
        page.on("console", self._console)
        page.on("response", self._response)
        page.on("pageerror", lambda error: self.heard.append(f"uncaught: {error}"))
        page.on("request", lambda request: self.unanswered.add(request.url))
        page.on("requestfinished", lambda request: self.unanswered.discard(request.url))
        page.on("requestfailed", self._failed)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "assert"}:
            where = message.location
            self.heard.append(f"{message.text} [{where.get('url', '')}:{where.get('lineNumber', 0)}]")

    def _response(self, response: Response) -> None:
        # The console names no method; this only explains what it complains of.
        if response.status >= 400:
            self.refused.append(f"{response.request.method} {response.url} {response.status} from {response.frame.url}")

    def _failed(self, request: Request) -> None:
        self.unanswered.discard(request.url)
        self.refused.append(f"{request.method} {request.url} failed: {request.failure}")

    @property
    def everything(self) -> str:
        """All of it, for whoever looks for the reason of another failure."""
        return f"the page said {self.heard}, was refused {self.refused} and waited for {sorted(self.unanswered)}"

    @property
    def unexpected(self) -> list[str]:
        """The complaints that no pattern in `allow` accounts for."""
        return [text for text in self.heard if not any(re.search(pattern, text) for pattern in self.allow)]

    def check(self) -> None:
        """Raise AssertionError if the page complained about anything unexpected."""
        assert not self.unexpected, "the page complained:\n  " + "\n  ".join([*self.unexpected, *self.refused])


@dataclass
class Visitor:
    """One person's page, and what it complained about."""

    page: Page
    context: BrowserContext
    complaints: Complaints

    async def screenshot(self, name: str, full_page: bool = True) -> Path:
        """Keep a picture of the page as test-results/screenshots/NAME.png, for a person to look at."""
        path = SCREENSHOTS / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=str(path), full_page=full_page)
        return path

    async def overflows(self) -> bool:
        """Whether the page is wider than its window (it must scroll downwards only)."""
        return bool(
            await self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        )


@asynccontextmanager
async def visitor(
    browser: Browser,
    base_url: str,
    size: tuple[int, int] = WIDE,
    *,
    dark: bool = False,
    locale: str = "en-GB",
    allow: Sequence[str] = (),
) -> AsyncIterator[Visitor]:
    """Open a page of its own cookies at `size` CSS pixels; on leaving in good order, fail on any console error."""
    context = await browser.new_context(
        base_url=base_url,
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        locale=locale,
        permissions=["camera", "microphone"],
    )
    context.set_default_timeout(60_000)
    page = await context.new_page()
    person = Visitor(page, context, Complaints(allow=list(allow)))
    person.complaints.watch(page)
    try:
        yield person
        person.complaints.check()
    except BaseException as error:
        error.add_note(f"{page.url}: {person.complaints.everything}")
        raise
    finally:
        await context.close()
