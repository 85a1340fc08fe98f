"""A legal visit: it runs like any other, and nobody can watch or record it, whatever is asked with whatever role."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.story import booking, call, media, staff, terminal
from tests.e2e.story.people import Person, everybody
from tests.e2e.support.server import Server, demo_server

LAWYER, NUMBER = "laura.lehto@family.example", "A1001"

ASK = """
async ({path, body, token, type}) => {
  const headers = {"Content-Type": type};
  if (token) headers["Authorization"] = `Bearer ${token}`;
  else headers["X-CSRF-Token"] = document.querySelector("meta[name=csrf-token]").content;
  const answer = await fetch(path, {method: "POST", headers, body});
  let code = null;
  try { code = (await answer.json()).code; } catch { }
  return {status: answer.status, code};
}
"""


async def ask(person: Person, path: str, body: str, *, token: str = "", type_: str = "application/json") -> Any:
    """POST with the person's own session, as a page of theirs would."""
    return await person.page.evaluate(ASK, {"path": path, "body": body, "token": token, "type": type_})


async def account_with_every_role(administrator: Person, server: Server) -> str:
    """The administrator makes an account that may do everything staff can do; its first password."""
    await staff.sign_in(administrator, "administrator", server.password)
    await administrator.goes_to("/staff/admin/staff")
    await administrator.page.fill("#name", "Every Role")
    await administrator.page.fill("#login", "everything")
    form = administrator.page.locator("form", has=administrator.page.locator("#login"))
    for box in await form.locator("input[name=roles]").all():
        await box.check()
    await administrator.page.get_by_role("button", name="Make the account").click()
    password = await administrator.page.locator("dd code").nth(1).inner_text()
    await staff.sign_out(administrator)
    return str(password)


@pytest.mark.timeout(600)
async def test_a_legal_visit_can_be_neither_watched_nor_recorded(tmp_path: Path) -> None:
    async with (
        demo_server(tmp_path / "server") as server,
        everybody(server.url, tmp_path, prepare=media.WATCH_CONNECTIONS, allow=[r"status of 403"]) as people,
    ):
        lawyer, prisoner, officer, other = people.family, people.prisoner, people.officer, people.scheduler
        password = await account_with_every_role(other, server)
        await lawyer.goes_to("/signin")
        await lawyer.page.fill("#email", LAWYER)
        await lawyer.page.fill("#password", server.password)
        await lawyer.page.get_by_role("button", name="Sign in").click()
        await lawyer.page.wait_for_url("**/home")
        booking_id = await booking.book_the_open_slot(lawyer)
        await staff.sign_in(officer, "officer", server.password)
        await call.at_the_door(lawyer, officer, booking_id, "Laura")
        await terminal.set_up_terminal(prisoner, server.codes["South legal room"])
        await terminal.sign_in(prisoner, NUMBER, server.sign_ins["pins"][NUMBER])
        await terminal.join(prisoner, booking_id)
        for person in (lawyer, prisoner):
            await media.sees_and_hears(person.page, media.REMOTE, 1)
        await lawyer.shows("legal-call")

        await officer.goes_to("/staff/wall")
        tile = officer.page.locator(".monitor-tile[data-call^=priv_]")
        await tile.wait_for()
        assert await tile.get_by_role("button", name=re.compile("watch", re.IGNORECASE)).count() == 0
        await officer.shows("legal-wall")
        call_id = str(await tile.get_attribute("data-call"))

        await staff.sign_in(other, "everything", password)
        for person in (officer, other):
            for ground in ("policy", "sample", "concern"):
                answer = await ask(person, f"/api/calls/{call_id}/watch", f'{{"ground": "{ground}"}}')
                assert answer == {"status": 403, "code": "privileged_call"}, (person.name, ground, answer)
            answer = await ask(
                person, f"/api/calls/{call_id}/watch", '{"ground": "authorisation", "detail": "judge 7 Kn 12/26"}'
            )
            assert answer == {"status": 403, "code": "privileged_call"}, answer
        # The media node itself refuses, before it looks at the token; a participant's own ticket is none for watching.
        ticket = await lawyer.page.evaluate(
            """async (path) => {
              const token = document.querySelector("meta[name=csrf-token]").content;
              const answer = await fetch(path, {method: "POST", headers: {"X-CSRF-Token": token}});
              return (await answer.json()).ticket;
            }""",
            f"/api/visits/{booking_id}/ticket",
        )
        assert ticket
        for token in (ticket, "e30.e30.e30"):
            answer = await ask(other, f"/media/whep/{call_id}", "v=0\r\n", token=token, type_="application/sdp")
            assert answer == {"status": 403, "code": "privileged_call"}, answer

        # The participants noticed nothing of all that, and nothing of the call is kept but that it took place.
        for person in (lawyer, prisoner):
            await media.sees_and_hears(person.page, media.REMOTE, 1)
        await other.goes_to("/staff/recordings")
        assert await other.page.locator("tbody th a").count() == 0
        recordings = server.folder / "recordings"
        assert not recordings.exists() or not any(recordings.iterdir())
        with closing(sqlite3.connect(f"file:{server.folder}/visitserver.sqlite3?mode=ro", uri=True)) as connection:
            assert connection.execute("SELECT COUNT(*) FROM recordings").fetchone() == (0,)
            events = {row[0] for row in connection.execute("SELECT DISTINCT type FROM call_events")}
        assert "live" in events, events
        assert not {event for event in events if "recorder" in event or "monitor" in event}, events
