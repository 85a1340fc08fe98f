"""The terminals' pages over real services: my people, my visits, "I will come"."""

from __future__ import annotations

from datetime import time

from tests.integration.web.visiting import Visiting, link
from visitserver.domain.rights import PrisonerAnswer, Relationship


async def fresh(visiting: Visiting, relationship_id: str) -> Relationship:
    async with visiting.house.uow(read_only=True) as u:
        return await u.rights.get_relationship(relationship_id)


async def test_my_people_accept_stop_and_accept_again(visiting: Visiting) -> None:
    house = visiting.house
    asked = link(house, house.other_contact.id, prisoner_answer=PrisonerAnswer.UNANSWERED)
    async with house.uow() as u:
        u.rights.add(asked)
        await u.commit()
    pat = await house.at_terminal()
    assert "1 waits for your answer" in await (await pat.get("/terminal/home")).text()
    page = await (await pat.get("/terminal/people")).text()
    assert "Robin Meadow" in page
    for answer, expected in (
        ("accept", PrisonerAnswer.ACCEPTED),
        ("refuse", PrisonerAnswer.REFUSED),
        ("accept", PrisonerAnswer.ACCEPTED),
    ):
        assert (await pat.post(f"/terminal/people/{asked.id}", {"answer": answer})).status == 303
        assert (await fresh(visiting, asked.id)).prisoner_answer is expected
    assert (await pat.post(f"/terminal/people/{asked.id}", {"answer": "perhaps"})).status == 303
    assert (await fresh(visiting, asked.id)).prisoner_answer is PrisonerAnswer.ACCEPTED


async def test_a_visit_is_seen_and_acknowledged_once(visiting: Visiting) -> None:
    await visiting.grant(1)
    booking_id = await visiting.book()
    pat = await visiting.house.at_terminal()
    assert "Kim Meadow" in await (await pat.get("/terminal/home")).text()
    page = await (await pat.get(f"/terminal/visits/{booking_id}")).text()
    assert "I have seen it and will come" in page
    for _ in range(2):
        assert (await pat.post(f"/terminal/visits/{booking_id}/acknowledge")).status == 303
    assert "You have said that you will come" in await (await pat.get(f"/terminal/visits/{booking_id}")).text()
    async with visiting.house.uow(read_only=True) as u:
        booking = await u.scheduling.get_booking(booking_id)
    assert booking.acknowledged_at == visiting.house.clock()


async def test_what_is_only_held_is_not_shown(visiting: Visiting) -> None:
    await visiting.grant(1)
    kim = await visiting.house.family()
    await kim.get("/home")
    held = await kim.post(f"/book/{visiting.relationship.id}/hold", {"slot": visiting.slot_key(time(9))})
    booking_id = held.headers["Location"].rsplit("/", 1)[1]
    pat = await visiting.house.at_terminal()
    assert booking_id not in await (await pat.get("/terminal/home")).text()
    assert (await pat.get(f"/terminal/visits/{booking_id}")).status == 404


async def test_another_prisoners_things_are_not_there(visiting: Visiting) -> None:
    house = visiting.house
    await visiting.grant(1)
    booking_id = await visiting.book()
    browser = await house.terminal(house.other_station)
    signed_in = await browser.post("/terminal", {"number": "B9876", "pin": "280417"})
    assert signed_in.status == 303
    await browser.get("/terminal/home")
    assert (await browser.get(f"/terminal/visits/{booking_id}")).status == 404
    assert (await browser.post(f"/terminal/visits/{booking_id}/acknowledge")).status == 404
    assert (await browser.post(f"/terminal/people/{visiting.relationship.id}", {"answer": "refuse"})).status == 404
    assert (await fresh(visiting, visiting.relationship.id)).prisoner_answer is PrisonerAnswer.ACCEPTED


async def test_families_and_terminals_do_not_mix(visiting: Visiting) -> None:
    kim = await visiting.house.family()
    assert (await kim.get("/terminal/home")).status == 303
    pat = await visiting.house.at_terminal()
    assert (await pat.get("/home")).headers["Location"].startswith("/signin")


async def test_an_error_page_of_a_terminal_leads_to_the_terminal(visiting: Visiting) -> None:
    pat = await visiting.house.at_terminal()
    page = await (await pat.get("/terminal/visits/bkg_unknown")).text()
    assert 'href="/terminal"' in page
    assert 'href="/"' not in page
