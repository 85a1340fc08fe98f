"""Families' and terminals' further pages over real services: calendar, waiting list, wishes, moving, refusing."""

from __future__ import annotations

from datetime import date, time, timedelta

from signaling.ids import new_id
from tests.integration.web.visiting import DAY, Visiting, link
from visitserver.domain.actors import Actor, ActorKind, system_actor
from visitserver.domain.calls import OutcomeCode
from visitserver.domain.flags import Flag, FlagType
from visitserver.domain.paging import PageRequest
from visitserver.domain.scheduling import BookingState
from visitserver.services.asking import Asking
from visitserver.services.facts import FactsReader
from visitserver.services.placing import Placing
from visitserver.services.waitlist_offering import WaitlistOffering


async def robin_may_visit(visiting: Visiting) -> None:
    """Robin may visit Pat, too."""
    async with visiting.house.uow() as u:
        u.rights.add(link(visiting.house, visiting.house.other_contact.id))
        await u.commit()


async def owe(visiting: Visiting, booking_id: str, seconds: int) -> None:
    async with visiting.house.uow() as u:
        await visiting.services.booking.close_within(
            u,
            system_actor("test"),
            booking_id,
            BookingState.FAILED,
            OutcomeCode.TECHNICAL_FAILURE,
            refund=True,
            owed=seconds,
        )
        await u.commit()


async def test_the_calendar_shows_four_weeks_and_the_times_of_a_day(visiting: Visiting) -> None:
    await visiting.grant(2)
    kim = await visiting.house.family()
    rel = visiting.relationship.id
    page = await (await kim.get(f"/book/{rel}/calendar")).text()
    # From 4 March (two days' notice) on; today and tomorrow have times, but none that can be booked.
    assert page.count('class="cell free"') == 27
    assert page.count('class="cell full"') == 2
    assert 'aria-current="date"' in page
    chosen = await (await kim.get(f"/book/{rel}/calendar?day={DAY.isoformat()}")).text()
    assert f'value="{visiting.slot_key(time(9))}"' in chosen
    tomorrow = DAY - timedelta(days=3)
    closed = await (await kim.get(f"/book/{rel}/calendar?day={tomorrow.isoformat()}")).text()
    assert "Nothing is free on this day." in closed
    assert "Wait for this time" not in closed, "waiting does not help against the booking window"


async def test_minutes_owed_are_shown_and_pay(visiting: Visiting) -> None:
    await visiting.grant(1)
    booking_id = await visiting.book()
    await owe(visiting, booking_id, 1800)
    await visiting.book(time(9, 35))
    kim = await visiting.house.family()
    page = await (await kim.get(f"/book/{visiting.relationship.id}")).text()
    assert "0 visits left" in page
    assert "30 minutes owed to you" in page
    assert "30 minutes" in await (await kim.get("/visits")).text()
    await visiting.book(time(10, 10))
    assert "owed to you" not in await (await kim.get(f"/book/{visiting.relationship.id}")).text()


async def test_a_time_that_is_taken_can_be_waited_for_and_is_offered_when_it_comes_free(visiting: Visiting) -> None:
    await visiting.grant(3)
    await robin_may_visit(visiting)
    house, services = visiting.house, visiting.services
    taken = await visiting.book()
    robin = await house.family("robin@example.org")
    async with house.uow(read_only=True) as u:
        links = (await u.rights.relationships_of_contact(house.other_contact.id, PageRequest())).items
    rel = links[0].id
    shown = await (await robin.get(f"/book/{rel}")).text()
    assert shown.count("Wait for this time") == 1
    waits = await robin.post(f"/book/{rel}/wait", {"slot": visiting.slot_key(time(9))})
    assert waits.headers["Location"] == "/visits#waiting"
    mine = await (await robin.get("/visits")).text()
    assert "You are on the waiting list" in mine
    again = await robin.post(f"/book/{rel}/wait", {"slot": visiting.slot_key(time(9))})
    assert again.status == 409
    assert "on the waiting list for this day already" in await again.text()

    kim = Actor(ActorKind.FAMILY, house.contact.id)
    await services.booking.cancel(kim, taken)
    await offering(visiting).run_once()
    mine = await (await robin.get("/visits")).text()
    assert "A place has come free for you: Pat Field" in mine
    assert "It is kept for you until 13:00" in mine
    entry = mine.split("/waitlist/")[1].split("/")[0]
    booked = await robin.post(f"/waitlist/{entry}/accept")
    assert booked.headers["Location"].startswith("/visits/bkg_"), await booked.text()
    assert "booked" in await (await robin.get(booked.headers["Location"])).text()
    late = await robin.post(f"/waitlist/{entry}/accept")
    assert late.status == 409


async def test_waiting_for_days_and_waiting_no_more(visiting: Visiting) -> None:
    kim = await visiting.house.family()
    rel = visiting.relationship.id
    page_ = await (await kim.get(f"/book/{rel}/wishes")).text()
    assert "Wait for a place" in page_
    wrong = await kim.post(f"/book/{rel}/wait/days", {"first_day": "2026-01-01", "part": "any"})
    assert wrong.status == 422
    assert "This day is over." in await wrong.text()
    empty = await kim.post(f"/book/{rel}/wait/days", {"first_day": "", "part": "any"})
    assert empty.status == 422
    days = {"first_day": "2026-03-09", "last_day": "2026-03-11", "part": "evening"}
    assert (await kim.post(f"/book/{rel}/wait/days", days)).status == 303
    mine = await (await kim.get("/visits")).text()
    assert "after 17:00" in mine
    entry = mine.split("/waitlist/")[1].split("/")[0]
    assert (await kim.post(f"/waitlist/{entry}/leave")).status == 303
    assert "waiting list" not in await (await kim.get("/visits")).text()


async def test_three_wishes_replace_those_before_and_are_taken_back(visiting: Visiting) -> None:
    kim = await visiting.house.family()
    rel = visiting.relationship.id
    await kim.get(f"/book/{rel}/wishes")
    said = {"first_day_1": "2026-03-09", "first_day_2": "2026-03-12", "last_day_2": "2026-03-14", "note": "a birthday"}
    assert (await kim.post(f"/book/{rel}/wishes", said)).status == 303
    standing = await visiting.services.preferences.of(Actor(ActorKind.FAMILY, visiting.house.contact.id), rel)
    assert [(each.first_day, each.last_day) for each in standing] == [
        (date(2026, 3, 9), date(2026, 3, 9)),
        (date(2026, 3, 12), date(2026, 3, 14)),
    ]
    assert "Your wishes now" in await (await kim.get(f"/book/{rel}/wishes")).text()
    none = await kim.post(f"/book/{rel}/wishes", {"first_day_1": ""})
    assert none.status == 422
    assert (await kim.post(f"/book/{rel}/wishes/withdraw")).status == 303
    assert "Your wishes" not in await (await kim.get("/visits")).text()


async def test_a_visit_is_moved_to_another_time_for_the_same_credit(visiting: Visiting) -> None:
    await visiting.grant(1)
    booking_id = await visiting.book()
    kim = await visiting.house.family()
    assert f"/visits/{booking_id}/change" in await (await kim.get("/visits")).text()
    page_ = await (await kim.get(f"/visits/{booking_id}/change")).text()
    other = visiting.slot_key(time(9, 35))
    assert f'value="{other}"' in page_
    assert "Why do you change it?" not in page_
    nothing = await kim.post(f"/visits/{booking_id}/change", {})
    assert nothing.status == 422
    moved = await kim.post(f"/visits/{booking_id}/change", {"slot": other})
    assert moved.headers["Location"] == f"/visits/{booking_id}", await moved.text()
    assert "09:35" in await (await kim.get(f"/visits/{booking_id}")).text()
    visiting.house.clock.now = (await visiting.services.visits.get(kim_actor(visiting), booking_id)).booking.starts_at
    visiting.house.clock.now -= timedelta(hours=5)
    kim = await visiting.house.family()
    late = await kim.get(f"/visits/{booking_id}/change")
    assert late.status == 200
    assert "Why do you change it?" in await late.text()
    silent = await kim.post(f"/visits/{booking_id}/change", {"slot": visiting.slot_key(time(9), DAY + timedelta(4))})
    assert silent.status == 422
    assert "Give a reason." in await silent.text()


async def test_a_visit_with_something_in_its_way_offers_three_others_and_says_no_more(visiting: Visiting) -> None:
    await visiting.grant(1)
    booking_id = await visiting.book()
    kim = await visiting.house.family()
    for kind, told in ((FlagType.NON_ASSOCIATION, False), (FlagType.COURT_APPOINTMENT, True)):
        await flag(visiting, booking_id, kind)
        page_ = await (await kim.get(f"/visits/{booking_id}")).text()
        assert ("This visit may have to move" in page_) is told
        assert page_.count(f'action="/visits/{booking_id}/change"') == (3 if told else 0)
        assert "court" not in page_.lower()
    assert "may have to move" in await (await kim.get("/visits")).text()
    pat = await visiting.house.at_terminal()
    assert "This visit may have to move" in await (await pat.get(f"/terminal/visits/{booking_id}")).text()


async def test_the_prisoner_sees_what_waits_and_refuses_a_visit_in_private(visiting: Visiting) -> None:
    await visiting.grant(2)
    owed = await visiting.book(time(10, 10))
    await owe(visiting, owed, 605)
    booking_id = await visiting.book()
    pat = await visiting.house.at_terminal()
    home = await (await pat.get("/terminal/home")).text()
    assert "Please look at 1 visit" in home
    assert "10 minutes" in home
    page_ = await (await pat.get(f"/terminal/visits/{booking_id}")).text()
    assert "I do not want this visit" in page_
    done = await pat.post(f"/terminal/visits/{booking_id}/cancel", {"why": "unwanted"})
    assert done.headers["Location"] == "/terminal/home"
    async with visiting.house.uow(read_only=True) as u:
        booking = await u.scheduling.get_booking(booking_id)
    assert (booking.state, booking.outcome) == (BookingState.CANCELLED, "prisoner_cancelled")
    kim = await visiting.house.family()
    told = await (await kim.get(f"/visits/{booking_id}")).text()
    assert "cancelled" in told
    assert "want" not in told.split("<main")[1].split("</main")[0]
    assert "2 visits left" in await (await kim.get(f"/book/{visiting.relationship.id}")).text()


async def flag(visiting: Visiting, booking_id: str, kind: FlagType) -> None:
    """Something stands against the booking."""
    async with visiting.house.uow() as u:
        booking = await u.scheduling.get_booking(booking_id)
        now = visiting.house.clock()
        u.flags.add(Flag(new_id("flg"), booking.prison_id, booking_id, kind, kind.value, booking.starts_at, now))
        await u.commit()


def offering(visiting: Visiting) -> WaitlistOffering:
    """The waiting list's job over the house."""
    house, services = visiting.house, visiting.services
    facts = FactsReader(visiting.identity, new_id=new_id)
    placing = Placing(house.uow, house.clock, facts)
    asking = Asking(house.uow, house.clock, facts, placing, services.slots)
    return WaitlistOffering(house.uow, house.clock, asking, services.booking)


def kim_actor(visiting: Visiting) -> Actor:
    return Actor(ActorKind.FAMILY, visiting.house.contact.id)
