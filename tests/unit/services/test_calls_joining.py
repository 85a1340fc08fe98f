"""Who gets a ticket, who gets a warrant, and what stands in the audit log then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from signaling.calls import Phase
from signaling.ids import OrdinaryCallId
from signaling.media.leg import Side
from tests.fixtures.rights import (
    FRIEND,
    LAWYER,
    MOTHER,
    OTHER_PRISONER,
    PRISON,
    PRISONER_ACTOR,
    World,
    family,
)
from tests.unit.services.calls_for_tests import OFFICER, STRANGER, Calls, calls_of
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.calls import WatchGround
from visitserver.domain.errors import Conflict, DomainError, Forbidden, Invalid, NotFound
from visitserver.domain.identity import CheckState
from visitserver.domain.paging import PageRequest
from visitserver.http.visit_state import ticket_for
from visitserver.services.call_access import ordinary_call_id
from visitserver.services.calls import CallService
from visitserver.services.ice_servers import TurnCredentials
from visitserver.services.ports.audit import AuditFilter


@pytest.fixture
async def calls(sqlite_world: World) -> AsyncIterator[Calls]:
    async with calls_of(sqlite_world) as made:
        yield made


async def audit_of(calls: Calls, action: str) -> list[tuple[str, dict[str, object]]]:
    async with calls.world.uow(read_only=True) as u:
        rows = (await u.audit.rows(AuditFilter(action=action), PageRequest())).items
    return [(row.object_id, dict(row.data)) for row in rows]


async def refused(calls: Calls, actor: Actor, booking_id: str, station_id: str | None = None) -> str:
    with pytest.raises(DomainError) as error:
        await calls.service.join_ticket(actor, booking_id, station_id=station_id)
    return error.value.code


async def test_a_caller_joins_after_a_passed_check(calls: Calls) -> None:
    call = await calls.opened()
    booking = await calls.booking(call)
    check_id = await calls.check(booking)
    joined = await calls.service.join_ticket(family(MOTHER), booking.id, request_id="req_1")
    ticket = calls.verifier.join(joined.ticket, calls.id(call)).body
    assert (ticket.participant_id, ticket.side, ticket.identity_check_id) == (MOTHER, Side.FAMILY, check_id)
    assert joined.media_url == "https://node-1.example"
    assert (call.id, {"participant": MOTHER, "check": check_id}) in await audit_of(calls, "call.ticket")


@pytest.mark.parametrize("state", [None, CheckState.REVIEW, CheckState.RETAKE, CheckState.REFUSED])
async def test_without_a_passed_check_there_is_no_ticket(calls: Calls, state: CheckState | None) -> None:
    booking = await calls.booking(await calls.opened())
    if state is not None:
        await calls.check(booking, state)
    assert await refused(calls, family(MOTHER), booking.id) == "identity_required"
    assert await audit_of(calls, "call.ticket") == []


async def test_the_last_check_counts_and_it_is_one_s_own(calls: Calls) -> None:
    booking = await calls.booking(await calls.opened())
    await calls.check(booking, CheckState.PASSED, FRIEND)
    assert await refused(calls, family(MOTHER), booking.id) == "identity_required"
    await calls.check(booking, CheckState.PASSED)
    calls.clock.advance(seconds=1)
    await calls.check(booking, CheckState.REFUSED)
    assert await refused(calls, family(MOTHER), booking.id) == "identity_required"


async def test_a_prisoner_joins_from_a_terminal_of_the_prison(calls: Calls) -> None:
    call = await calls.opened()
    joined = await calls.service.join_ticket(PRISONER_ACTOR, call.booking_id, station_id="stn_1")
    ticket = calls.verifier.join(joined.ticket).body
    assert (ticket.side, ticket.identity_check_id) == (Side.PRISONER, "terminal:stn_1")
    assert await refused(calls, PRISONER_ACTOR, call.booking_id) == "terminal_required"


async def test_nobody_joins_another_s_visit(calls: Calls) -> None:
    call = await calls.opened()
    for actor in (
        family(FRIEND),
        Actor(ActorKind.PRISONER, OTHER_PRISONER, PRISON),
        STRANGER,
        Actor(ActorKind.ANONYMOUS, ""),
    ):
        assert await refused(calls, actor, call.booking_id, "stn_1") == "not_found"
    assert await refused(calls, OFFICER, call.booking_id, "stn_1") == "forbidden"


async def test_tickets_are_for_open_calls(calls: Calls) -> None:
    booking = await calls.book()
    await calls.check(booking)
    assert await refused(calls, family(MOTHER), booking.id) == "call_not_open"
    await calls.at(-900)
    await calls.opener.run_once()
    await calls.service.join_ticket(family(MOTHER), booking.id)
    await calls.at(1800)
    assert await refused(calls, family(MOTHER), booking.id) == "call_over"


async def test_a_cancelled_visit_has_no_tickets_and_its_room_is_closed(calls: Calls) -> None:
    call = await calls.opened()
    await calls.check(await calls.booking(call))
    await calls.world.booking.cancel(family(MOTHER), call.booking_id, reason="ill")
    assert await refused(calls, family(MOTHER), call.booking_id) == "booking_state"
    await calls.opener.run_once()
    over = await calls.over(call)
    assert (over.cause, over.outcome) == ("booking_cancelled", "administrative_cancellation")
    assert (await calls.booking(call)).state == "cancelled"


async def test_a_warrant_to_watch_is_logged_with_its_ground(calls: Calls) -> None:
    call = await calls.opened()
    watch = await calls.service.monitor_warrant(OFFICER, ordinary_call_id(call.id), WatchGround.SAMPLE)
    warrant = calls.verifier.monitor(watch.warrant, calls.id(call)).body
    assert (warrant.officer_id, warrant.ground) == (OFFICER.id, "sample")
    assert await audit_of(calls, "call.watch") == [(call.id, {"ground": "sample"})]
    with pytest.raises(NotFound):
        await calls.service.monitor_warrant(STRANGER, ordinary_call_id(call.id), WatchGround.SAMPLE)
    with pytest.raises(Forbidden):
        await calls.service.monitor_warrant(family(MOTHER), ordinary_call_id(call.id), WatchGround.SAMPLE)
    with pytest.raises(Invalid):
        await calls.service.wall_warrant(OFFICER, [], WatchGround.SAMPLE)
    assert len(await audit_of(calls, "call.watch")) == 1


async def test_a_privileged_call_is_neither_watched_nor_recorded(calls: Calls) -> None:
    call = await calls.opened(legal=True, contact=LAWYER)
    assert call.privileged
    assert (call.recorded, call.recording_id, call.supervision, call.watch_banner) == (False, None, "none", False)
    with pytest.raises(Forbidden) as error:
        ordinary_call_id(call.id)
    assert error.value.code == "privileged_call"
    # Whatever type somebody claims, the identifier decides.
    with pytest.raises(Forbidden):
        await calls.service.monitor_warrant(OFFICER, OrdinaryCallId(call.id), WatchGround.CONCERN)
    assert await audit_of(calls, "call.watch") == []
    media = await calls.go_live(call, LAWYER)
    assert media.gate
    await calls.opener.run_once()
    assert calls.legs == []
    async with calls.world.uow(read_only=True) as u:
        assert await u.recordings.unfinished(call.ends_at.replace(year=2030), 10) == []


async def test_the_wall_shows_the_prison_s_open_rooms(calls: Calls) -> None:
    call = await calls.opened()
    (tile,) = await calls.service.wall(OFFICER)
    assert (tile.call_id, tile.phase) == (call.id, Phase.LOBBY_OPEN)
    assert await calls.service.wall(STRANGER) == []
    with pytest.raises(NotFound):
        await calls.service.wall(family(MOTHER))
    with pytest.raises(NotFound):
        await calls.service.snapshot(STRANGER, call.id)
    assert (await calls.service.snapshot(OFFICER, call.id)).call_id == call.id


async def test_interventions_are_audited_before_they_happen(calls: Calls) -> None:
    call = await calls.opened()
    media = await calls.go_live(call)
    held = await calls.service.hold(OFFICER, call.id, "a third person", words="One moment", request_id="req_9")
    assert (held.phase, media.gate) == (Phase.HELD, False)
    assert (await calls.service.resume(OFFICER, call.id, "clear")).phase is Phase.LIVE
    await calls.service.bookmark(OFFICER, call.id)
    await calls.service.say(OFFICER, call.id, "Ten minutes")
    assert (await calls.service.terminate(OFFICER, call.id, "threats", "It is over.")).phase is Phase.ENDING
    over = await calls.over(call)
    assert over.outcome == "terminated_by_staff"
    for action in ("call.hold", "call.resume", "call.bookmark", "call.say", "call.terminate"):
        ((object_id, data),) = await audit_of(calls, action)
        assert (object_id, data) == (call.id, {}), "reasons are kept with the events, not in the audit log"
    events = await calls.service.events(OFFICER, call.id)
    assert next(event for event in events if event.type == "hold_placed").data["reason"] == "a third person"
    with pytest.raises(Conflict):
        await calls.service.hold(OFFICER, call.id, "late")


async def test_nobody_else_intervenes(calls: Calls) -> None:
    call = await calls.opened()
    await calls.go_live(call)
    with pytest.raises(NotFound):
        await calls.service.hold(STRANGER, call.id, "why")
    for actor in (family(MOTHER), PRISONER_ACTOR, Actor(ActorKind.SYSTEM, "face_watch")):
        with pytest.raises(Forbidden):
            await calls.service.terminate(actor, call.id, "why", "")
    with pytest.raises(Invalid):
        await calls.service.terminate(OFFICER, call.id, "  ", "")
    with pytest.raises(Conflict) as error:
        await calls.service.resume(OFFICER, call.id, "not held")
    assert error.value.code == "wrong_state"
    assert (await calls.service.snapshot(OFFICER, call.id)).phase is Phase.LIVE
    assert await audit_of(calls, "call.terminate") == []


async def test_one_participant_is_held_let_go_on_and_removed(calls: Calls) -> None:
    call = await calls.opened()
    booking = await calls.booking(call)
    media = await calls.go_live(call)
    held = await calls.service.hold(OFFICER, call.id, "why", words="One moment", participant_id=MOTHER)
    assert (held.phase, media.held) == (Phase.HELD, {MOTHER}), "she is all there is of her side"
    assert (await calls.service.resume(OFFICER, call.id, "ok", participant_id=MOTHER)).phase is Phase.LIVE
    with pytest.raises(NotFound):
        await calls.service.hold(OFFICER, call.id, "why", participant_id=FRIEND)
    with pytest.raises(NotFound):
        await calls.service.remove(STRANGER, call.id, MOTHER, "why")
    with pytest.raises(Invalid):
        await calls.service.remove(OFFICER, call.id, MOTHER, " ")
    removed = await calls.service.remove(OFFICER, call.id, MOTHER, "another person", "Please call us.")
    assert [each.participant_id for each in removed.participants] == [PRISONER_ACTOR.id]
    for action in ("call.resume", "call.remove"):
        ((object_id, data),) = await audit_of(calls, action)
        assert (object_id, data) == (call.id, {"participant": MOTHER})
    await calls.consumer.catch_up()
    events = await calls.service.events(OFFICER, call.id)
    assert next(event for event in events if event.type == "participant_removed").data["reason"] == "another person"
    assert await refused(calls, family(MOTHER), booking.id) == "removed", "no new ticket for whom was taken out"


async def test_tickets_and_warrants_come_with_credentials_for_the_relay(calls: Calls) -> None:
    turn = TurnCredentials(("turn:turn.example.org",), "the relay's secret", timedelta(hours=3), calls.clock)
    service = CallService(calls.world.uow, calls.clock, calls.service._issuer, calls.control, turn)
    call = await calls.opened()
    booking = await calls.booking(call)
    await calls.check(booking)
    joined = await service.join_ticket(family(MOTHER), booking.id)
    watched = await service.monitor_warrant(OFFICER, ordinary_call_id(call.id), WatchGround.POLICY)
    names = [given.ice_servers[0].username for given in (joined, watched)]
    assert len(set(names)) == 2
    for name in names:
        assert name is not None and MOTHER not in name and OFFICER.id not in name
    body = ticket_for(joined).model_dump(mode="json")["ice_servers"]
    assert body == [joined.ice_servers[0].as_json()]
    assert ticket_for(await calls.service.join_ticket(family(MOTHER), booking.id)).ice_servers == ()
