"""One whole visit in real Chromium, from signing up to the verified recording, by four separate people."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.story import booking, call, enrolment, evidence, media, staff, terminal
from tests.e2e.story.people import everybody
from tests.e2e.support.server import demo_server

NUMBER, FAMILY_NAME = "B2006", "Lind"


@pytest.mark.timeout(900)
async def test_one_visit(tmp_path: Path) -> None:
    async with (
        demo_server(tmp_path / "server") as server,
        everybody(server.url, tmp_path, prepare=media.WATCH_CONNECTIONS) as people,
    ):
        family, prisoner, officer, scheduler = people.family, people.prisoner, people.officer, people.scheduler

        await enrolment.sign_up(family)
        await enrolment.ask_to_be_a_contact(family, NUMBER, FAMILY_NAME)
        await enrolment.prove_identity(family, tmp_path)

        await staff.sign_in(officer, "officer", server.password)
        await staff.approve_identity(officer, "Eileen")
        await staff.approve_contact(officer, "Eileen")

        await terminal.set_up_terminal(prisoner, server.codes["South terminal 1"])
        await terminal.sign_in(prisoner, NUMBER, server.sign_ins["pins"][NUMBER])
        await terminal.accept(prisoner, "Eileen Marie Collins")

        await staff.sign_in(scheduler, "scheduler", server.password)
        await staff.look_at_sessions(scheduler)
        later = await booking.a_later_slot(family)
        booking_id = await booking.book_the_open_slot(family)
        await booking.second_booking_is_refused(family, later)
        await staff.look_at_the_week(scheduler, booking_id)

        await call.get_ready(family, booking_id)
        await call.at_the_door(family, officer, booking_id, "Eileen")
        await terminal.join(prisoner, booking_id)
        await call.both_sides_are_live(family, prisoner)
        await call.watch(officer)
        await call.hold(officer, family, prisoner, server)
        await call.resume(officer, family, prisoner)
        await call.bookmark_and_end(officer, family, prisoner, booking_id)

        await evidence.play(officer)
        await evidence.verify(server, tmp_path)
        await staff.sign_out(scheduler)
        await staff.sign_in(scheduler, "auditor", server.password)
        await evidence.audit(server, scheduler)
