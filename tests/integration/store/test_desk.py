"""What the schedulers' desk reads: a week's board, a move looked at, requests, many at once, the day sheet."""

from __future__ import annotations

from datetime import date, time, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fixtures.desk import desk_services
from tests.fixtures.rights import (
    CHILD,
    FRIEND,
    MOTHER,
    OTHER_PRISONER,
    PRISON,
    PRISONER,
    STAFF,
    STRANGER_STAFF,
    World,
    family,
    relationship_id,
    slot_key,
)
from visitserver.domain.decisions import Outcome
from visitserver.domain.errors import Invalid, NotFound
from visitserver.domain.paging import PageRequest
from visitserver.domain.rejections import DATED, RejectionReason, words_of
from visitserver.domain.scheduling import Booking, BookingState, Station
from visitserver.services.blocks import BlockDraft
from visitserver.services.board import Board, Cell, CellState
from visitserver.services.bulk import BulkChoice

MONDAY = date(2026, 3, 9)
TUESDAY = MONDAY + timedelta(days=1)


@pytest.fixture
def desk(sqlite_world: World) -> Any:
    """The desk's services over a small prison: two stations, sessions every day from 9 to 17, two visits at a time."""
    services = SimpleNamespace(booking=sqlite_world.booking, slots=sqlite_world.slots, world=sqlite_world)
    desk_services(services, sqlite_world.uow, sqlite_world.clock, sqlite_world.identity)
    return services


async def book(desk: Any, at: time, contact: str = MOTHER, prisoner: str = PRISONER, day: date = TUESDAY) -> Booking:
    """A booking by staff, with a credit for it."""
    await desk.world.grant(1, prisoner)
    booking: Booking = await desk.booking.book(STAFF, relationship_id(contact, prisoner), slot_key(day, at))
    return booking


def cell(board: Board, station: str, at: time, day: date = TUESDAY) -> Cell:
    """The cell of a station, time and day."""
    (found,) = (one for one in board.cells if (one.station.id, one.wall, one.day) == (station, at, day))
    return found


async def test_the_board_says_what_stands_and_what_is_free(desk: Any) -> None:
    first = await book(desk, time(9))
    await book(desk, time(9), FRIEND, OTHER_PRISONER)
    board = await desk.board.board(STAFF, MONDAY)
    assert board.days == tuple(MONDAY + timedelta(days=number) for number in range(7))
    stands = cell(board, first.station_id, time(9))
    assert stands.state is CellState.BOOKED
    assert [view.booking.id for view in stands.views] == [first.id]
    assert [offer.free for offer in stands.offers if offer.slot.template_id == "tpl_social"] == [0]
    assert cell(board, "stn_1", time(9, 35)).state is CellState.FREE
    assert {group.station.id for group in board.groups} == {"stn_1", "stn_2"}
    by_time = await desk.board.board(STAFF, MONDAY, by_time=True)
    assert by_time.groups[0].wall == time(9)
    assert [row.station.id for row in by_time.groups[0].rows] == ["stn_1", "stn_2"]
    assert {(one.station.id, one.wall, one.day, one.state) for one in by_time.cells} == {
        (one.station.id, one.wall, one.day, one.state) for one in board.cells
    }


async def test_a_time_that_overlaps_a_visit_of_another_session_is_not_free(desk: Any) -> None:
    await book(desk, time(9))
    async with desk.world.uow() as u:
        template = await u.scheduling.get_template("tpl_legal")
        template.starts_at = time(9, 20)  # its first times lie across those of the other session
        await u.commit()
    board = await desk.board.board(STAFF, MONDAY)
    taken = next(one for one in board.cells if one.views)
    assert cell(board, taken.station.id, time(9, 20)).state is CellState.FULL
    other = "stn_2" if taken.station.id == "stn_1" else "stn_1"
    assert cell(board, other, time(9, 20)).state is CellState.FREE


async def test_the_board_says_what_is_blocked_past_and_out_of_use(desk: Any) -> None:
    booked = await book(desk, time(9))
    await desk.blocks.add(STAFF, BlockDraft(TUESDAY, TUESDAY, "no water", to_time=time(12)))
    async with desk.world.uow() as u:
        u.scheduling.add(Station("stn_3", PRISON, "Terminal 3", active=False))
        await u.commit()
    board = await desk.board.board(STAFF, MONDAY)
    assert cell(board, "stn_1", time(11, 20)).state is CellState.BLOCKED
    assert cell(board, "stn_1", time(11, 20)).why == "no water"
    assert cell(board, "stn_1", time(12, 30)).state is CellState.FREE
    stands = cell(board, booked.station_id, time(9))
    assert (stands.state, stands.why) == (CellState.BOOKED, "no water")
    assert "stn_3" not in {station.id for station in board.stations}
    before = await desk.board.board(STAFF, date(2026, 2, 2))
    assert {one.state for one in before.cells} == {CellState.PAST}


async def test_the_board_is_of_ones_own_prison_and_of_some_days(desk: Any) -> None:
    await book(desk, time(9))
    assert list((await desk.board.board(STRANGER_STAFF, MONDAY)).cells) == []
    assert (await desk.board.board(STAFF, MONDAY, wing_id="wng_b")).stations == ()
    for days, part in ((0, 0), (15, 0), (7, 1)):
        with pytest.raises(Invalid):
            await desk.board.board(STAFF, MONDAY, days, part=part)
    with pytest.raises(NotFound):
        await desk.board.slot(STRANGER_STAFF, slot_key(TUESDAY, time(9)))
    found = await desk.board.slot(STAFF, slot_key(TUESDAY, time(9)))
    assert (found.free, len(found.views), len(found.busy)) == (1, 1, 1)


async def test_a_move_is_looked_at_as_if_the_booking_were_not_there(desk: Any) -> None:
    booking = await book(desk, time(9))
    other = await book(desk, time(9, 35), FRIEND, OTHER_PRISONER)
    # It does not stand in its own way, nor does its credit count against it.
    free = await desk.moves.preview(STAFF, booking.id, slot_key(TUESDAY, time(9, 35)))
    assert free.decision.outcome is Outcome.ALLOW
    same = await desk.moves.preview(STAFF, booking.id, booking.slot_key, booking.station_id)
    assert (same.decision.outcome, same.same) == (Outcome.ALLOW, True)
    taken = await desk.moves.preview(STAFF, booking.id, other.slot_key, other.station_id)
    assert taken.decision.outcome is Outcome.REFUSE
    assert taken.decision.result("free_place").inputs["station"] == other.station_id
    assert taken.answer.family.outcome is Outcome.ALLOW  # a family does not choose a station
    with pytest.raises(NotFound):
        await desk.moves.preview(STRANGER_STAFF, booking.id, other.slot_key)
    page = await desk.moves.offers(STAFF, booking.id, TUESDAY, 1, PageRequest(5))
    assert [offer.decision.outcome for offer in page.items] == [Outcome.ALLOW] * 5
    rest = await desk.moves.offers(STAFF, booking.id, TUESDAY, 1, PageRequest(50, page.next_cursor))
    assert rest.items[0].slot.starts_at > page.items[-1].slot.starts_at
    assert rest.next_cursor is None


async def test_many_are_chosen_by_day_time_station_and_wing_and_cancelled_with_words(desk: Any) -> None:
    early = await book(desk, time(9))
    late = await book(desk, time(14, 15), FRIEND, OTHER_PRISONER)
    tomorrow = await book(desk, time(9), day=TUESDAY + timedelta(days=1))

    async def chosen(**narrower: Any) -> list[str]:
        views, more = await desk.bulk.candidates(STAFF, BulkChoice(TUESDAY, TUESDAY, **narrower))
        assert not more
        return [view.booking.id for view in views]

    assert await chosen() == [early.id, late.id]
    assert await chosen(to_time=time(12)) == [early.id]
    assert await chosen(from_time=time(14, 15)) == [late.id]
    assert await chosen(station_id=late.station_id, from_time=time(12)) == [late.id]
    assert await chosen(wing_id="wng_b") == []
    assert await chosen(template_id="tpl_legal") == []
    with pytest.raises(Invalid):
        await desk.bulk.candidates(STAFF, BulkChoice(TUESDAY, MONDAY))
    result = await desk.booking.cancel_many(
        STAFF, [early.id, late.id, "bkg_none"], "no water", words="The water is off. We are sorry."
    )
    assert set(result.cancelled) == {early.id, late.id}
    assert dict(result.refused) == {"bkg_none": "not_found"}
    view = await desk.desk.view(STAFF, early.id)
    assert view.booking.family_words == "The water is off. We are sorry."
    assert await chosen() == []
    assert (await desk.desk.view(STAFF, tomorrow.id)).booking.state is BookingState.BOOKED
    with pytest.raises(Invalid):
        await desk.booking.cancel(STAFF, tomorrow.id, reason="no water", words="x" * 501)


async def test_the_day_sheet_has_a_line_per_visit_with_what_matters(desk: Any) -> None:
    await desk.world.grant(1)
    await desk.booking.book(STAFF, relationship_id(MOTHER), slot_key(TUESDAY, time(9)), guests=[relationship_id(CHILD)])
    await book(desk, time(9, 35), FRIEND, OTHER_PRISONER)
    lines, left_off = await desk.day_sheet.whole(STAFF, TUESDAY)
    assert not left_off
    assert [(line.minors, line.remarks) for line in lines] == [(1, ("1 child",)), (0, ())]
    page = await desk.day_sheet.page(STAFF, TUESDAY, PageRequest(1))
    assert [line.view.booking.id for line in page.items] == [lines[0].view.booking.id]
    assert page.next_cursor is not None
    assert await desk.day_sheet.whole(STAFF, TUESDAY, wing_id="wng_b") == ([], False)
    assert await desk.day_sheet.whole(STRANGER_STAFF, TUESDAY) == ([], False)


async def test_a_rejection_keeps_what_the_family_is_told(desk: Any) -> None:
    booking = await book(desk, time(9))
    async with desk.world.uow() as u:
        waiting = await u.scheduling.get_booking(booking.id)
        waiting.state, waiting.requested_at = BookingState.REQUESTED, desk.world.clock()
        await u.commit()
    (one,) = (await desk.requests.queue(STAFF, PageRequest())).items
    assert one.view.booking.id == booking.id
    assert one.lapses_at < booking.starts_at
    assert list((await desk.requests.queue(STRANGER_STAFF, PageRequest())).items) == []
    day = date(2026, 5, 1)
    await desk.booking.decide(
        STAFF,
        booking.id,
        approve=False,
        reason="the ban",
        rejection=RejectionReason.BANNED,
        rejection_day=day,
        words="Write to the governor.",
    )
    stored = (await desk.desk.view(STAFF, booking.id)).booking
    assert (stored.rejection, stored.rejection_day, stored.reason) == (RejectionReason.BANNED, day, "the ban")
    assert str(words_of(RejectionReason.BANNED, day)) == "You cannot have visits until 1 May 2026."
    assert stored.family_words == "Write to the governor."
    assert (await desk.requests.queue(STAFF, PageRequest())).items == []


def test_every_reason_has_words_and_none_tells_of_other_prisoners() -> None:
    for reason in RejectionReason:
        words = str(words_of(reason))
        assert words.endswith(".")
        assert "prisoner" not in words
        assert "{" not in str(words_of(reason, date(2026, 5, 1)))
        assert (str(words_of(reason, date(2026, 5, 1))) != words) is (reason in DATED)


async def test_why_not_is_said_to_staff_and_as_the_family_would_hear_it(desk: Any) -> None:
    key = slot_key(TUESDAY, time(9))
    answer = await desk.desk_why.about(STAFF, relationship_id(MOTHER), key)
    assert answer.decision.outcome is Outcome.REFUSE  # no credit
    assert {"allowance"} == {result.key for result in answer.family.deciding}
    assert answer.lead.id == MOTHER
    with pytest.raises(NotFound):
        await desk.desk_why.about(STRANGER_STAFF, relationship_id(MOTHER), key)
    with pytest.raises(Exception, match="for staff"):
        await desk.desk_why.about(family(MOTHER), relationship_id(MOTHER), key)
