"""One whole visit in real Chromium, from signing up to the verified recording, by four separate people."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.story import enrolment, staff
from tests.e2e.story.people import everybody
from tests.e2e.support.server import demo_server

PRISONER = ("B2006", "Lind")


@pytest.mark.timeout(600)
async def test_one_visit(tmp_path: Path) -> None:
    async with demo_server(tmp_path / "server") as server, everybody(server.url, tmp_path) as people:
        family, officer = people.family, people.officer
        await enrolment.sign_up(family)
        await enrolment.ask_to_be_a_contact(family, *PRISONER)
        await enrolment.prove_identity(family, tmp_path)
        await staff.sign_in(officer, "officer", server.password)
        await staff.approve_contact(officer, "Eileen")
