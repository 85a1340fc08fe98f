"""A right that is taken back during a call ends it, in the name of the person who took it; doubt pauses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

import pytest

from signaling.calls import ActorKind as CallActorKind
from signaling.calls import CallEvent, EventType, Phase
from signaling.errors import TicketError, Unavailable
from signaling.ids import CallId
from signaling.snapshot import RoomSnapshot
from tests.fakes.media_room import OFFER
from tests.fixtures.rights import (
    FRIEND,
    LAWYER,
    MOTHER,
    PRISON,
    PRISONER,
    PRISONER_ACTOR,
    STAFF,
    World,
    family,
    relationship_id,
)
from tests.unit.services.calls_for_tests import DAY, OFFICER, Calls, calls_of
from tests.unit.services.flags_for_tests import AUTHORITY, Flagged, in_words, make_flagged
from visitserver.domain.actors import system_actor
from visitserver.domain.calls import Call, CallPhase, OutcomeCode, WatchGround
from visitserver.domain.changes import Change as ChangeNoted
from visitserver.domain.errors import Conflict
from visitserver.domain.flags import FlagType
from visitserver.domain.live_rights import ENDED, PAUSED
from visitserver.domain.paging import PageRequest
from visitserver.domain.rights import RestrictionScope
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.services import change_work
from visitserver.services.call_access import ordinary_call_id
from visitserver.services.changes import ChangeKind
from visitserver.services.live_rights import LiveRights
from visitserver.services.ports.audit import AuditFilter

LINK = relationship_id(MOTHER)


@dataclass
class Live:
    """A call under way, and who changes rights meanwhile."""

    calls: Calls
    flagged: Flagged

    @property
    def world(self) -> World:
        return self.calls.world

    async def started(self) -> Call:
        call = await self.calls.opened()
        await self.calls.go_live(call)
        assert (await self.snapshot(call)).phase is Phase.LIVE
        self.calls.clock.advance(seconds=1)
        return call

    async def snapshot(self, call: Call) -> RoomSnapshot:
        return await self.calls.control.snapshot(self.calls.id(call))

    async def events(self, call: Call) -> list[CallEvent]:
        return await self.calls.control.events(self.calls.id(call))

    async def over(self, call: Call) -> Call:
        """The call once its outcome is stored, however soon its room was gone."""
        async with asyncio.timeout(60):
            while not (stored := await self.calls.stored(call)).over:
                await self.calls.consumer.catch_up()
                await asyncio.sleep(0.01)
        return stored

    async def rows(self, call: Call, action: str) -> list[tuple[str, str, dict[str, object]]]:
        async with self.world.uow(read_only=True) as u:
            rows = (await u.audit.rows(AuditFilter(action=action, object_id=call.id), PageRequest())).items
        return [(row.actor_kind, row.actor_id, dict(row.data)) for row in rows]


@pytest.fixture
async def live(sqlite_world: World) -> AsyncIterator[Live]:
    async with calls_of(sqlite_world) as calls:
        yield Live(calls, make_flagged(sqlite_world, calls.control))


Change = Callable[[World], Awaitable[object]]


def restrict(type_: str, scope: RestrictionScope, subject: str) -> Change:
    return lambda world: world.restrictions.add(
        STAFF, scope=scope, subject_id=subject, type=type_, authority=AUTHORITY, starts_on=DAY
    )


ENDING: dict[str, tuple[Change, tuple[str, str]]] = {
    "staff end the relationship": (lambda world: world.relationships.end(STAFF, LINK, "threats"), ("staff", STAFF.id)),
    "the prisoner refuses the contact": (
        lambda world: world.relationships.answer(PRISONER_ACTOR, LINK, accept=False),
        ("prisoner", PRISONER),
    ),
    "the contact steps back": (lambda world: world.relationships.withdraw(family(MOTHER), LINK), ("family", MOTHER)),
    "a ban": (restrict("BAN", RestrictionScope.PERSON, MOTHER), ("staff", STAFF.id)),
    "a court order": (restrict("COURT-ORDER", RestrictionScope.PRISONER, PRISONER), ("staff", STAFF.id)),
}


@pytest.mark.parametrize("how", ENDING)
async def test_whoever_takes_the_right_back_ends_the_call(live: Live, how: str) -> None:
    change, who = ENDING[how]
    call = await live.started()
    media = live.calls.media.rooms[live.calls.id(call)]
    await change(live.world)
    assert not media.gate, "when the change is done, so is the call"
    ending = next(event for event in await live.events(call) if event.type is EventType.ENDING)
    expected = CallActorKind.STAFF if who[0] == "staff" else CallActorKind.PARTICIPANT
    assert (ending.actor.kind, ending.actor.actor_id) == (expected, who[1])
    assert ending.data["words"] == str(ENDED)
    ((kind, id_, data),) = await live.rows(call, "call.right_withdrawn")
    assert (kind, id_) == who
    assert str(data["policy"]).startswith("call.end_on_withdrawal@")
    over = await live.over(call)
    assert (over.phase, over.outcome) == (CallPhase.ENDED, OutcomeCode.ADMINISTRATIVE_CANCELLATION)
    assert over.owed_seconds == 0
    booking = await live.calls.booking(call)
    assert booking.state is BookingState.COMPLETED
    assert await live.flagged.pending() == []


async def test_the_words_are_the_same_for_both_sides_in_each_ones_language(live: Live) -> None:
    call = await live.started()
    async with live.world.uow() as u:
        (await u.people.get_prisoner(PRISONER)).language = "fi"
        await u.commit()
    await live.world.relationships.answer(PRISONER_ACTOR, LINK, accept=False)
    ending = next(event for event in await live.events(call) if event.type is EventType.ENDING)
    assert ending.data["words"] == f"{in_words('fi', str(ENDED))}\n{ENDED}"


PAUSING: dict[str, Change] = {
    "a type nobody has described": restrict("NEW-CODE", RestrictionScope.PRISONER, PRISONER),
    "an officer must watch, and none does": restrict("CLOSED", RestrictionScope.RELATIONSHIP, LINK),
}


@pytest.mark.parametrize("how", PAUSING)
async def test_what_a_person_must_look_at_pauses_the_call_for_an_officer(live: Live, how: str) -> None:
    call = await live.started()
    await PAUSING[how](live.world)
    snapshot = await live.snapshot(call)
    assert (snapshot.phase, snapshot.held_by_officer) == (Phase.HELD, True)
    placed = next(event for event in await live.events(call) if event.type is EventType.HOLD_PLACED)
    assert (placed.actor.kind, placed.data["words"]) == (CallActorKind.SYSTEM, str(PAUSED))
    assert [row[0] for row in await live.rows(call, "call.right_in_question")] == ["system"]
    async with live.world.uow(read_only=True) as u:
        topics = [each.topic for each in (await u.outbox.messages(None, PageRequest(200))).items]
    assert topics.count("call.right_in_question") == 1
    assert await live.flagged.pending() == []
    await live.calls.service.resume(OFFICER, call.id, "looked at it")
    await live.flagged.worker.finish()
    assert (await live.snapshot(call)).phase is Phase.LIVE, "the officer has decided: nothing pauses it again"


async def test_who_is_watching_already_need_not_be_asked(live: Live) -> None:
    call = await live.started()
    room = live.calls.node.rooms.get(live.calls.id(call))
    watch = await live.calls.service.monitor_warrant(OFFICER, ordinary_call_id(call.id), WatchGround.POLICY)
    answer = await room.add_monitor(live.calls.verifier.monitor(watch.warrant, live.calls.id(call)), OFFER)  # type: ignore[attr-defined]
    live.calls.media.rooms[live.calls.id(call)].connect(answer.session_id)
    await PAUSING["an officer must watch, and none does"](live.world)
    assert (await live.snapshot(call)).phase is Phase.LIVE


async def test_no_program_ends_a_call(live: Live) -> None:
    call = await live.started()
    async with live.world.uow() as u:
        link = await u.rights.get_relationship(LINK)
        link.withdrawn_at = live.world.clock()
        live.flagged.changes.note(
            u, ChangeKind.RELATIONSHIP_WITHDRAWN, by=system_actor("import"), prison_id=PRISON, relationship_id=LINK
        )
        await u.commit()
    await live.flagged.changes.after_commit()
    assert (await live.snapshot(call)).phase is Phase.HELD


async def test_a_prison_may_have_its_officers_end_it(live: Live) -> None:
    await live.world.policies.set(STAFF, PRISON, "call.end_on_withdrawal", False, "officers do it")
    call = await live.started()
    await live.world.relationships.end(STAFF, LINK, "threats")
    assert (await live.snapshot(call)).phase is Phase.HELD


async def test_changes_about_others_leave_the_call_alone(live: Live) -> None:
    call = await live.started()
    await live.world.relationships.end(STAFF, relationship_id(FRIEND), "threats")
    await restrict("BAN", RestrictionScope.PERSON, FRIEND)(live.world)
    await live.world.relationships.answer(PRISONER_ACTOR, LINK, accept=True)
    assert (await live.snapshot(call)).phase is Phase.LIVE


async def test_a_node_that_cannot_be_reached_hears_of_it_as_soon_as_it_can(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = await live.started()

    async def away(*_: object, **__: object) -> RoomSnapshot:
        raise Unavailable("the node does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(live.calls.control, "withdraw", away)
        await live.world.relationships.withdraw(family(MOTHER), LINK)
        assert (await live.snapshot(call)).phase is Phase.LIVE
        assert [change.calls_done_at for change in await live.flagged.pending()] == [None]
        await live.flagged.worker.finish()
    live.calls.clock.advance(seconds=5)
    await live.flagged.worker.finish()
    assert (await live.over(call)).phase is CallPhase.ENDED
    assert len(await live.rows(call, "call.right_withdrawn")) == 1, "one person, one change, one row"
    assert await live.flagged.pending() == []


async def test_before_anybody_has_come_the_door_is_closed_and_old_tickets_are_void(live: Live) -> None:
    call = await live.calls.opened()
    tickets = await live.calls.passes(call)
    live.calls.clock.advance(seconds=1)
    await live.world.relationships.answer(PRISONER_ACTOR, LINK, accept=False)
    for one in tickets:
        with pytest.raises(TicketError) as error:
            await live.calls.node.publish(one.ticket, live.calls.id(call), OFFER)
        assert error.value.code == "revoked"
    assert (await live.snapshot(call)).phase is Phase.LOBBY_OPEN, "nobody is in it: there is nothing to end"
    live.calls.clock.advance(seconds=1)
    await live.world.relationships.answer(PRISONER_ACTOR, LINK, accept=True)
    await live.calls.go_live(call)
    assert (await live.snapshot(call)).phase is Phase.LIVE, "a right that came back in time is one"


async def test_people_in_the_waiting_room_are_told_at_once(live: Live) -> None:
    call = await live.calls.opened()
    family_pass, _ = await live.calls.passes(call)
    media = live.calls.media.rooms[CallId(call.id)]
    media.connect((await live.calls.node.publish(family_pass.ticket, live.calls.id(call), OFFER)).session_id)
    live.calls.clock.advance(seconds=1)
    await live.world.relationships.end(STAFF, LINK, "threats")
    over = await live.over(call)
    assert (over.phase, over.cause) == (CallPhase.ENDED, "right_withdrawn")
    assert (await live.calls.booking(call)).state is BookingState.FAILED
    with pytest.raises(Conflict):
        await live.calls.service.join_ticket(family(MOTHER), call.booking_id)


async def test_a_call_does_not_wait_behind_a_long_import(live: Live) -> None:
    call = await live.started()
    media = live.calls.media.rooms[live.calls.id(call)]
    async with live.world.uow() as u:
        for _ in range(change_work.CHANGES + 5):
            live.flagged.changes.note(
                u, ChangeKind.RESTRICTION_ADDED, by=system_actor("import"), contact_id="con_lawyer"
            )
        await u.commit()
    live.calls.clock.advance(seconds=1)
    await live.world.relationships.end(STAFF, LINK, "threats")
    assert not media.gate
    assert len(await live.rows(call, "call.right_withdrawn")) == 1


async def test_a_lawyers_call_is_not_paused_for_what_nobody_could_look_at(live: Live) -> None:
    call = await live.calls.opened(legal=True, contact=LAWYER)
    await live.calls.go_live(call, LAWYER)
    live.calls.clock.advance(seconds=1)
    for type_ in ("NEW-CODE", "CLOSED", "CELLULAR-CONFINEMENT"):
        await restrict(type_, RestrictionScope.PRISONER, PRISONER)(live.world)
        assert (await live.snapshot(call)).phase is Phase.LIVE
    booking = await live.calls.booking(call)
    assert await live.flagged.open(booking) == [FlagType.RESTRICTION_CHANGED] * 2, "a person is told"
    await restrict("COURT-ORDER", RestrictionScope.PRISONER, PRISONER)(live.world)
    assert (await live.over(call)).phase is CallPhase.ENDED


async def test_one_booking_that_cannot_be_looked_at_keeps_no_other_call_open(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = await live.started()
    booked = LiveRights._booked

    async def with_another(self: LiveRights, change: ChangeNoted) -> list[Booking]:
        found = await booked(self, change)
        return [replace(found[0], id="bkg_broken"), *found]

    see_to_call = LiveRights._see_to_call

    async def failing(self: LiveRights, change: ChangeNoted, booking_id: str) -> bool:
        if booking_id == "bkg_broken":
            raise ValueError("a row that makes no sense")
        return await see_to_call(self, change, booking_id)

    with monkeypatch.context() as patched:
        patched.setattr(LiveRights, "_booked", with_another)
        patched.setattr(LiveRights, "_see_to_call", failing)
        await restrict("BAN", RestrictionScope.PERSON, MOTHER)(live.world)
        assert (await live.over(call)).phase is CallPhase.ENDED
        assert [change.calls_done_at for change in await live.flagged.pending()] == [None], "the other is tried again"
