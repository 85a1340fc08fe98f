"""Several people outside in one visit: named at booking, each with an account, a check and a ticket of their own."""

from __future__ import annotations

from datetime import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signaling.ids import new_call_id, new_id
from signaling.media.leg import Side
from signaling.tickets import TicketIssuer, TicketVerifier
from tests.fixtures.http_app import Browser
from tests.integration.web.visiting import Visiting, link
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.calls import Call, CallKind
from visitserver.domain.identity import CheckState, EnrolmentRoute, IdentityCheck
from visitserver.domain.people import Contact
from visitserver.domain.rights import PrisonerAnswer, RelationshipState
from visitserver.services.calls import CallService

ROBIN = "robin@example.org"


class Nowhere:
    """Live calls of which only the address is known."""

    async def media_url(self, _call_id: str) -> str:
        return ""


async def approve_robin(visiting: Visiting, **changes: Any) -> str:
    relationship = link(visiting.house, visiting.house.other_contact.id, **changes)
    async with visiting.house.uow() as u:
        u.rights.add(relationship)
        await u.commit()
    return relationship.id


async def add(kim: Browser, visiting: Visiting, email: str, also: str = "") -> Any:
    page = f"/book/{visiting.relationship.id}"
    await kim.get(page)
    return await kim.post(f"{page}/also", {"email": email, "also": also})


async def booked_together(visiting: Visiting) -> tuple[Browser, str]:
    """Kim's visit with Robin besides; who books and which it is."""
    await visiting.grant(1)
    robin_link = await approve_robin(visiting)
    kim = await visiting.house.family()
    added = await add(kim, visiting, " Robin@Example.org ")
    assert added.headers["Location"] == f"/book/{visiting.relationship.id}?also={robin_link}"
    times = await (await kim.get(added.headers["Location"])).text()
    assert "Robin Meadow" in times
    choice = {"slot": visiting.slot_key(time(9)), "also": robin_link}
    held = await kim.post(f"/book/{visiting.relationship.id}/hold", choice)
    assert held.status == 303, await held.text()
    confirm = await (await kim.get(held.headers["Location"])).text()
    assert "With you: Robin Meadow." in confirm
    booking_id = held.headers["Location"].rsplit("/", 1)[1]
    robin = await visiting.house.family(ROBIN)
    for path in (f"/book/confirm/{booking_id}", f"/visits/{booking_id}"):
        assert (await robin.get(path)).status == 404, "what is not booked yet is the booker's alone"
    assert (await kim.post(f"/book/confirm/{booking_id}")).status == 303
    return kim, booking_id


async def test_a_further_caller_is_named_by_address_and_sees_the_visit(visiting: Visiting) -> None:
    kim, booking_id = await booked_together(visiting)
    assert "With you: Robin Meadow." in await (await kim.get(f"/visits/{booking_id}")).text()
    robin = await visiting.house.family(ROBIN)
    assert "Pat Field" in await (await robin.get("/visits")).text()
    page = await (await robin.get(f"/visits/{booking_id}")).text()
    assert "With you: Kim Meadow." in page
    assert "Do not take part" in page
    assert "Cancel the visit" not in page
    assert (await robin.post(f"/visits/{booking_id}/cancel")).status == 404
    terminal = await visiting.house.services.visits.get(_prisoner(visiting), booking_id)
    assert [contact.name for contact in terminal.contacts] == ["Kim Meadow", "Robin Meadow"]


@pytest.mark.parametrize(
    "changes",
    [
        None,
        {"state": RelationshipState.REQUESTED},
        {"prisoner_answer": PrisonerAnswer.REFUSED},
        {"call_kind": CallKind.LEGAL},
    ],
)
async def test_who_may_not_take_part_and_who_is_unknown_read_the_same(
    visiting: Visiting, changes: dict[str, Any] | None
) -> None:
    if changes is not None:
        await approve_robin(visiting, **changes)
    kim = await visiting.house.family()
    said = []
    for email in (ROBIN, "nobody@example.org", visiting.house.contact.email or ""):
        answer = await add(kim, visiting, email)
        assert answer.status == 422
        said.append((await answer.text()).replace(email, "…"))
    assert "This person cannot take part." in said[0]
    assert len({text[text.index("Who takes part?") : text.index("Add this person")] for text in said}) == 1


async def test_a_stranger_adds_nobody_and_another_prisoners_contact_is_not_taken(visiting: Visiting) -> None:
    robin_link = await approve_robin(visiting)
    other = link(visiting.house, visiting.house.contact.id, prisoner_id=visiting.house.other_prisoner.id)
    async with visiting.house.uow() as u:
        u.rights.add(other)
        await u.commit()
    robin = await visiting.house.family(ROBIN)
    await robin.get(f"/book/{robin_link}")
    answer = await robin.post(f"/book/{visiting.relationship.id}/also", {"email": "kim@example.org", "also": ""})
    assert answer.status == 404
    kim = await visiting.house.family()
    assert (await kim.get(f"/book/{visiting.relationship.id}?also={other.id}")).status == 404
    assert (await kim.get(f"/book/{visiting.relationship.id}?also=rel_{'a' * 26}")).status == 404


async def test_a_minor_is_not_added_by_address(visiting: Visiting) -> None:
    await approve_robin(visiting)
    async with visiting.house.uow() as u:
        robin: Contact = await u.people.get_contact(visiting.house.other_contact.id)
        robin.born_on = robin.born_on.replace(year=2015)
        await u.commit()
    kim = await visiting.house.family()
    assert (await add(kim, visiting, ROBIN)).status == 422


async def test_a_guest_declines_and_has_the_time_for_another_visit(visiting: Visiting) -> None:
    kim, booking_id = await booked_together(visiting)
    robin = await visiting.house.family(ROBIN)
    await robin.get(f"/visits/{booking_id}")
    assert (await robin.post(f"/visits/{booking_id}/decline")).headers["Location"] == "/visits"
    assert (await robin.get(f"/visits/{booking_id}")).status == 404
    page = await (await kim.get(f"/visits/{booking_id}")).text()
    assert "With you" not in page
    assert "booked" in page
    async with visiting.house.uow(read_only=True) as u:
        booking = await u.scheduling.get_booking(booking_id)
        assert booking.contact_ids == (visiting.house.contact.id,)
    await kim.get(f"/visits/{booking_id}")
    lead = await kim.post(f"/visits/{booking_id}/decline")
    assert lead.status == 409
    again = await kim.post(f"/visits/{booking_id}/cancel")
    assert again.status == 303, await again.text()


async def test_each_caller_gets_a_ticket_after_their_own_check_and_nobody_by_anothers(visiting: Visiting) -> None:
    house = visiting.house
    kim, booking_id = await booked_together(visiting)
    key = Ed25519PrivateKey.generate()
    control: Any = Nowhere()
    services: Any = house.services
    services.calls = CallService(house.uow, house.clock, TicketIssuer(key, house.clock), control)
    async with house.uow() as u:
        booking = await u.scheduling.get_booking(booking_id)
        house.clock.now = booking.starts_at
        u.calls.add(
            Call(
                id=new_call_id(privileged=False),
                booking_id=booking.id,
                prison_id=booking.prison_id,
                prisoner_id=booking.prisoner_id,
                kind=booking.kind,
                lobby_opens_at=booking.starts_at,
                starts_at=booking.starts_at,
                ends_at=booking.ends_at,
                recorded=False,
                supervision="none",
                watch_banner=False,
                policy_version="1",
                created_at=house.clock(),
            )
        )
        u.identity.add(_passed(visiting, booking_id, house.contact.id))
        await u.commit()
    kim = await house.family()
    robin = await house.family(ROBIN)
    for browser in (kim, robin):
        await browser.get(f"/visits/{booking_id}")
    ticket = f"/api/visits/{booking_id}/ticket"
    mine = await kim.request("POST", ticket, headers={"X-CSRF-Token": kim.csrf})
    assert mine.status == 200, await mine.text()
    refused = await robin.request("POST", ticket, headers={"X-CSRF-Token": robin.csrf})
    assert (refused.status, (await refused.json())["code"]) == (403, "identity_required")
    state = await (await robin.get(f"/api/visits/{booking_id}/state")).json()
    assert (state["door"], state["may_enter"]) == ("needed", False)
    assert {one["who"] for one in state["awaiting"]} == {"you", "prisoner", "Kim Meadow"}
    async with house.uow() as u:
        u.identity.add(_passed(visiting, booking_id, house.other_contact.id))
        await u.commit()
    theirs = await robin.request("POST", ticket, headers={"X-CSRF-Token": robin.csrf})
    assert theirs.status == 200, await theirs.text()
    verifier = TicketVerifier([key.public_key()], house.clock)
    bodies = [verifier.join((await answer.json())["ticket"]).body for answer in (mine, theirs)]
    assert [body.participant_id for body in bodies] == [house.contact.id, house.other_contact.id]
    assert {body.side for body in bodies} == {Side.FAMILY}
    assert len({body.identity_check_id for body in bodies}) == 2
    assert len({body.call_id for body in bodies}) == 1


def _passed(visiting: Visiting, booking_id: str, contact_id: str) -> IdentityCheck:
    prison, clock = visiting.house.prison.id, visiting.house.clock
    return IdentityCheck(new_id("idc"), booking_id, prison, contact_id, CheckState.PASSED, EnrolmentRoute.FACE, clock())


def _prisoner(visiting: Visiting) -> Actor:
    return Actor(ActorKind.PRISONER, visiting.house.prisoner.id, visiting.house.prison.id)
