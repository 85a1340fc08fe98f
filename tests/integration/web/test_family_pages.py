"""Families' pages over real services: asking for a contact, booking, cancelling; what a stranger gets."""

from __future__ import annotations

import itertools
import re
from datetime import time

from icalendar import Calendar

from tests.integration.web.visiting import Visiting, link
from visitserver.domain.actors import SYSTEM, Actor, ActorKind
from visitserver.domain.calls import CallKind
from visitserver.domain.rights import PrisonerAnswer, RelationshipState
from visitserver.domain.scheduling import BookingState
from visitserver.services.policies import PolicyService


def hold_id(location: str) -> str:
    return location.rsplit("/", 1)[1]


async def test_the_landing_page_is_for_everybody_and_home_is_not(visiting: Visiting) -> None:
    anybody = await visiting.house.browser()
    landing = await anybody.get("/")
    assert landing.status == 200
    words = await landing.text()
    assert "never ends a visit" not in words, "the scheduled end, and two minutes without one side, end it too"
    assert "Only a person can end one early" in words
    refused = await anybody.get("/home")
    assert refused.status == 303
    assert refused.headers["Location"].startswith("/signin")
    kim = await visiting.house.family()
    assert (await kim.get("/")).headers["Location"] == "/home"


async def test_asking_for_a_contact(visiting: Visiting) -> None:
    robin = await visiting.house.family("robin@example.org")
    await robin.get("/home")
    wish = {"prisoner_number": "A1234", "family_name": "field", "relation": "friend", "statement": ""}
    assert (await robin.post("/contacts/request", wish)).status == 303
    page = await (await robin.get("/home")).text()
    assert "Field (A1234)" in page
    assert "Pat" not in page, "the page says no more than what was typed until the prison has approved"
    assert "asked for" in page
    again = await robin.post("/contacts/request", wish)
    assert again.status == 409
    assert "made already" in await again.text()


async def test_a_number_and_a_name_that_do_not_belong_together(visiting: Visiting) -> None:
    robin = await visiting.house.family("robin@example.org")
    await robin.get("/home")
    words = set()
    for number, name in (("A1234", "Wood"), ("Z1", "Field")):
        wish = {"prisoner_number": number, "family_name": name, "relation": "friend"}
        answer = await robin.post("/contacts/request", wish)
        assert answer.status == 422
        body = await answer.text()
        assert f'value="{number}"' in body, "what was typed is still there"
        words.add(
            re.sub(
                r"\s+", " ", body[body.index('id="error-summary"') : body.index("</ul>", body.index("error-summary"))]
            )
        )
    assert len(words) == 1, "which of the two was wrong is not said"


async def test_what_the_prisoner_refused_reads_like_the_prisons_refusal(visiting: Visiting) -> None:
    house = visiting.house
    pages = []
    for changes in ({"prisoner_answer": PrisonerAnswer.REFUSED}, {"state": RelationshipState.REFUSED}):
        async with house.uow() as u:
            contact = house.other_contact if "state" in changes else house.contact
            if "state" in changes:
                u.rights.add(link(house, contact.id, **changes))
            else:
                (await u.rights.get_relationship(visiting.relationship.id)).prisoner_answer = PrisonerAnswer.REFUSED
            await u.commit()
        browser = await house.family(contact.email or "")
        page = await (await browser.get("/home")).text()
        start = page.index('<li class="card">')
        card = page[start : page.index("</h3>", start)]
        pages.append(re.sub(r"\s+", " ", card))
        assert "Book a visit" not in page
    assert pages[0] == pages[1]


async def test_stopping(visiting: Visiting) -> None:
    kim = await visiting.house.family()
    await kim.get("/home")
    assert (await kim.post(f"/contacts/{visiting.relationship.id}/withdraw")).status == 303
    page = await (await kim.get("/home")).text()
    assert "You have stopped" in page
    assert "Book a visit" not in page


async def test_booking_from_the_free_times_to_the_calendar(visiting: Visiting) -> None:
    await visiting.grant(2)
    kim = await visiting.house.family()
    page = await (await kim.get(f"/book/{visiting.relationship.id}")).text()
    assert "Pat Field" in page
    assert "2 visits left" in page
    key = visiting.slot_key(time(9))
    assert f'value="{key}"' in page
    held = await kim.post(f"/book/{visiting.relationship.id}/hold", {"slot": key})
    assert held.status == 303, await held.text()
    booking_id = hold_id(held.headers["Location"])
    confirm = await (await kim.get(held.headers["Location"])).text()
    assert "09:00" in confirm
    assert "hold-countdown" in confirm
    assert "uses one of the visits" in confirm
    done = await kim.post(f"/book/confirm/{booking_id}")
    assert done.headers["Location"] == f"/visits/{booking_id}"
    shown = await (await kim.get(f"/visits/{booking_id}")).text()
    assert "booked" in shown
    assert "Friday, 6 March 2026" in shown or "Friday 6 March 2026" in shown
    assert "Pat Field" in await (await kim.get("/visits")).text()
    assert "Your next visit: Pat Field" in await (await kim.get("/home")).text()
    assert "1 visit left" in await (await kim.get(f"/book/{visiting.relationship.id}")).text()

    file = await kim.get(f"/visits/{booking_id}/calendar.ics")
    assert file.content_type == "text/calendar"
    (event,) = Calendar.from_ical(await file.read()).walk("VEVENT")
    assert event.decoded("dtstart").isoformat() == "2026-03-06T07:00:00+00:00"
    assert event["uid"] == f"{booking_id}@visit"
    assert "Pat" not in event.to_ical().decode()
    assert "Aspen" not in event.to_ical().decode()


async def test_a_kept_time_can_be_kept_longer_once_and_given_back(visiting: Visiting) -> None:
    await visiting.grant(1)
    kim = await visiting.house.family()
    await kim.get("/home")
    key = visiting.slot_key(time(9))
    page = (await kim.post(f"/book/{visiting.relationship.id}/hold", {"slot": key})).headers["Location"]
    assert "I need more time" in await (await kim.get(page)).text()
    assert (await kim.post(f"{page}/extend")).status == 303
    assert "I need more time" not in await (await kim.get(page)).text()
    assert (await kim.post(f"{page}/extend")).status == 409
    assert (await kim.post(f"{page}/release")).headers["Location"] == f"/book/{visiting.relationship.id}"
    assert (await kim.get(page)).status == 404
    assert f'value="{key}"' in await (await kim.get(f"/book/{visiting.relationship.id}")).text()


async def test_a_hold_that_ran_out_leads_back_to_the_times(visiting: Visiting) -> None:
    await visiting.grant(1)
    kim = await visiting.house.family()
    await kim.get("/home")
    held = await kim.post(f"/book/{visiting.relationship.id}/hold", {"slot": visiting.slot_key(time(9))})
    visiting.house.clock.advance(minutes=11)
    late = await kim.post(held.headers["Location"])
    assert late.status == 409
    body = await late.text()
    assert "they are over" in body
    assert "Choose" in body


async def test_why_a_time_is_not_free_is_said_in_safe_words(visiting: Visiting) -> None:
    await visiting.grant(2)
    await visiting.book(time(9))
    robin_link = link(visiting.house, visiting.house.other_contact.id)
    async with visiting.house.uow() as u:
        u.rights.add(robin_link)
        await u.commit()
    robin = await visiting.house.family("robin@example.org")
    page = await (await robin.get(f"/book/{robin_link.id}")).text()
    key = visiting.slot_key(time(9))
    before, _, after = page.partition(f'value="{key}"')
    assert before.rpartition("action=")[2].startswith(f'"/book/{robin_link.id}/wait"'), "it can be waited for only"
    assert key not in after
    assert "not free. Why?" in page
    assert "Kim" not in page
    refused = await robin.post(f"/book/{robin_link.id}/hold", {"slot": key})
    assert refused.status == 409
    assert "Kim" not in await refused.text()


async def test_no_credit_is_said_once_and_not_at_every_time(visiting: Visiting) -> None:
    kim = await visiting.house.family()
    page = await (await kim.get(f"/book/{visiting.relationship.id}")).text()
    assert "0 visits left" in page
    assert 'name="slot"' not in page


async def test_cancelling_late_needs_a_reason(visiting: Visiting) -> None:
    await visiting.grant(2)
    first, second = await visiting.book(time(9)), await visiting.book(time(10, 10))
    kim = await visiting.house.family()
    await kim.get(f"/visits/{first}")
    assert (await kim.post(f"/visits/{first}/cancel")).headers["Location"] == f"/visits/{first}"
    assert "cancelled" in await (await kim.get(f"/visits/{first}")).text()
    visiting.house.clock.advance(days=3, hours=1)  # Kim signs in again: sessions do not last that long
    kim = await visiting.house.family()
    await kim.get(f"/visits/{second}")
    bare = await kim.post(f"/visits/{second}/cancel")
    assert bare.status == 422
    assert "Give a reason." in await bare.text()
    assert (await kim.post(f"/visits/{second}/cancel", {"reason": "I am ill"})).status == 303


async def test_a_lawyers_visit_is_private_and_not_counted(visiting: Visiting) -> None:
    house = visiting.house
    lawyer = link(house, house.other_contact.id, CallKind.LEGAL, relation="lawyer")
    async with house.uow() as u:
        u.rights.add(lawyer)
        await u.commit()
    robin = await house.family("robin@example.org")
    page = await (await robin.get(f"/book/{lawyer.id}")).text()
    assert "These visits are not counted" in page
    assert "visits left" not in page


async def test_a_stranger_finds_nothing(visiting: Visiting) -> None:
    await visiting.grant(2)
    booking_id = await visiting.book()
    robin = await visiting.house.family("robin@example.org")
    await robin.get("/home")
    for path in (
        f"/visits/{booking_id}",
        f"/visits/{booking_id}/ready",
        f"/visits/{booking_id}/calendar.ics",
        f"/book/{visiting.relationship.id}",
        f"/book/confirm/{booking_id}",
        "/visits/bkg_unknown",
    ):
        assert (await robin.get(path)).status == 404, path
    for path in (
        f"/visits/{booking_id}/cancel",
        f"/contacts/{visiting.relationship.id}/withdraw",
        f"/book/{visiting.relationship.id}/hold",
        f"/book/confirm/{booking_id}",
        f"/book/confirm/{booking_id}/extend",
        f"/book/confirm/{booking_id}/release",
    ):
        answer = await robin.post(path, {"slot": visiting.slot_key(time(10, 10))} if path.endswith("hold") else {})
        assert answer.status == 404, path
    kim = Actor(ActorKind.FAMILY, visiting.house.contact.id)
    assert (await visiting.services.visits.get(kim, booking_id)).booking.state is BookingState.BOOKED


async def test_past_visits_are_listed_newest_first(visiting: Visiting) -> None:
    await visiting.grant(2)
    first, second = await visiting.book(time(9)), await visiting.book(time(10, 10))
    visiting.house.clock.advance(days=5)
    page = await (await (await visiting.house.family()).get("/visits")).text()
    assert page.index(second) < page.index(first)


async def test_who_can_record_follows_the_prisons_policy_at_the_start_of_the_visit(visiting: Visiting) -> None:
    await visiting.grant(1)
    booking_id = await visiting.book()
    kim = await visiting.house.family()
    page = await (await kim.get(f"/visits/{booking_id}")).text()
    assert "This visit is recorded, and kept for a limited time." in page
    house = visiting.house
    async with house.uow(read_only=True) as u:
        starts_at = (await u.scheduling.get_booking(booking_id)).starts_at
    policies = PolicyService(house.uow, house.clock)
    await policies.set(SYSTEM, house.prison.id, "call.recording_required", False, "test", valid_from=starts_at)
    page = await (await kim.get(f"/visits/{booking_id}")).text()
    assert "This visit is recorded" not in page
    assert "An officer may watch this visit. It is not recorded." in page


async def test_a_page_of_times_is_seven_whole_free_days_and_the_next_goes_on(visiting: Visiting) -> None:
    """Every free time stands on one page and one only; no day is cut in two."""
    await visiting.grant(1)
    kim = await visiting.house.family()
    url, pages = f"/book/{visiting.relationship.id}", []
    while url:
        page = await (await kim.get(url)).text()
        assert len(pages) < 10
        pages.append([key.split("@")[1] for key in re.findall(r'name="slot" value="([^"]+)"', page)])
        following = re.search(r'rel="next" href="([^"]+)">Later days', page)
        url = following[1].replace("&amp;", "&") if following else ""
    keys = [key for page in pages for key in page]
    assert keys == sorted(set(keys))
    days = [sorted({key[:8] for key in page}) for page in pages]
    assert [len(each) for each in days[:3]] == [7, 7, 7]
    assert all(first[-1] < second[0] for first, second in itertools.pairwise(days))
    a_day = sum(key.startswith(days[0][0]) for key in keys)
    assert all(sum(key.startswith(day) for key in keys) == a_day for each in days for day in each)
