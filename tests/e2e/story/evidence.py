"""Afterwards: the sealed recording in the console, its verification, one flipped byte, and the audit log."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.e2e.story.people import Person
from tests.e2e.support.server import Server
from tests.fixtures.waiting import page_shows

IN_SYNC_SECONDS = 0.25


async def play(officer: Person) -> None:
    """Open the newest recording for a reason; both sides play in sync."""
    await officer.goes_to("/staff/recordings")
    await officer.shows("recordings")
    await officer.page.locator("tbody th a").first.click()
    await officer.page.locator("recording-player").wait_for()
    await officer.page.fill("#open-reason", "to see how the visit ended")
    await officer.page.locator("recording-player").get_by_role("button", name="Open").click()
    await officer.page.locator("recording-player[data-open]").wait_for(timeout=60_000)
    await officer.page.locator("[data-do=play]").click()
    await page_shows(
        officer.page,
        """() => {
          const videos = [...document.querySelectorAll("recording-player video")];
          return videos.length === 2 && videos.every((one) => one.currentTime > 2 && one.videoWidth > 0);
        }""",
    )
    times = await officer.page.evaluate(
        "[...document.querySelectorAll('recording-player video')].map((one) => one.currentTime)"
    )
    assert abs(times[0] - times[1]) < IN_SYNC_SECONDS, f"the sides are {times} apart"
    await officer.shows("recording")
    await officer.page.get_by_role("button", name="Verify").click()
    await officer.reads("Valid: every byte is as it was sealed.")
    await officer.shows("recording-verified")


async def verify(server: Server, scratch: Path) -> None:
    """`visitserver verify` says valid; a copy with one flipped byte is damaged, and the segment is named."""
    folders = [one for one in (server.folder / "recordings").iterdir() if one.is_dir() and one.name.startswith("rec_")]
    assert len(folders) == 1, folders
    code, said = await server.command("verify", str(folders[0]))
    assert code == 0 and "valid" in said.lower(), said
    copy = scratch / folders[0].name
    shutil.copytree(folders[0], copy)
    segments = sorted(one for one in copy.rglob("*") if one.is_file() and one.suffix == ".seg")
    assert len(segments) >= 3, sorted(copy.rglob("*"))
    chosen = segments[1]
    content = bytearray(chosen.read_bytes())
    content[len(content) // 2] ^= 0x01
    chosen.chmod(0o600)
    chosen.write_bytes(content)
    code, said = await server.command("verify", str(copy))
    assert code == 1, said
    number = int(chosen.stem)
    assert f"segment {number}" in said.lower() or chosen.name in said, f"{chosen.name} is not named: {said}"


STORY = (
    "account.created",
    "relationship.request",
    "identity.submit",
    "identity.approve",
    "relationship.approve",
    "relationship.answer",
    "template.create",
    "booking.hold",
    "booking.confirm",
    "door.check",
    "call.ticket",
    "call.watch",
    "call.hold",
    "call.resume",
    "call.bookmark",
    "call.terminate",
    "recording.sealed",
    "recording.opened",
    "recording.verified",
)
"""What the log must tell, in this order, after the seeding; other rows may stand between."""


async def audit(server: Server, auditor: Person) -> None:
    """The log tells the story in order, the page shows it, and both ways of verifying it agree."""
    with closing(sqlite3.connect(f"file:{server.folder}/visitserver.sqlite3?mode=ro", uri=True)) as connection:
        told = [row[0] for row in connection.execute("SELECT action FROM audit_log ORDER BY sequence")]
    rest = iter(told[told.index("demo.seed") :])
    # Everything of the story's own people comes after the last row of the seeding.
    for code in rest:
        if code == "station.code_issued":
            break
    missing = [action for action in STORY if action not in rest]
    assert not missing, f"not told, or not in this order: {missing} in {told[-120:]}"
    await auditor.goes_to("/staff/audit")
    await auditor.reads("recording.verified")
    await auditor.shows("audit")
    await auditor.page.get_by_role("button", name="Check the whole log").click()
    await auditor.page.locator(".notice.good").first.wait_for()
    await auditor.shows("audit-checked")
    code_, said = await server.command("audit", "verify")
    assert code_ == 0 and "valid" in said.lower(), said
