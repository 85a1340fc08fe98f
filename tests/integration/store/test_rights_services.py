"""Relationships, restrictions, templates, policies, occupancy: the services on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, time, timedelta
from functools import partial

import pytest

from tests.fixtures.deciding import decide_at_once
from tests.fixtures.rights import (
    CHILD,
    FRIEND,
    LAWYER,
    MOTHER,
    OTHER_PRISONER,
    PRISON,
    PRISONER,
    PRISONER_ACTOR,
    SOCIAL,
    STAFF,
    STRANGER_STAFF,
    SYSTEM_ACTOR,
    World,
    family,
    make_contact,
    relationship_id,
    slot_key,
)
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.calls import CallKind
from visitserver.domain.errors import Conflict, DecisionRefused, Forbidden, Invalid, NotFound
from visitserver.domain.paging import PageRequest
from visitserver.domain.rights import PrisonerAnswer, RelationshipKind, RelationshipState, RestrictionScope
from visitserver.services.ports.audit import AuditFilter
from visitserver.services.templates import TemplateDraft

NEW = "con_new"
DAY = date(2026, 3, 6)


async def newcomer(world: World) -> Actor:
    async with world.uow() as u:
        u.people.add(make_contact(NEW))
        await u.commit()
    return family(NEW)


async def ask(world: World, actor: Actor, **changes: object) -> str:
    values: dict[str, object] = {
        "prisoner_number": "K-1",
        "prisoner_family_name": "aalto",
        "relation": "aunt",
        **changes,
    }
    return (await world.relationships.request(actor, **values)).id  # type: ignore[arg-type]


async def test_a_right_comes_to_be(world: World) -> None:
    actor = await newcomer(world)
    made = await ask(world, actor, statement="I raised her.")
    (waiting,) = (await world.relationships.queue(STAFF, PageRequest())).items
    assert (waiting.relationship.id, waiting.contact.id, waiting.prisoner.id) == (made, NEW, PRISONER)
    await world.relationships.approve(STAFF, made, "checked by telephone")
    assert (await world.relationships.queue(STAFF, PageRequest())).items == []
    await world.relationships.answer(PRISONER_ACTOR, made, accept=True)
    view = await world.relationships.get(actor, made)
    assert view.relationship.is_active(acceptance_required=True)
    async with world.uow(read_only=True) as u:
        rows = (await u.audit.rows(AuditFilter(object_id=made), PageRequest())).items
    assert [row.action for row in rows] == ["relationship.answer", "relationship.approve", "relationship.request"]
    assert {row.prison_id for row in rows} == {PRISON}


@pytest.mark.parametrize("wrong", [{"prisoner_number": "K-9"}, {"prisoner_family_name": "Berg"}])
async def test_a_wrong_number_and_a_wrong_name_read_the_same(world: World, wrong: dict[str, object]) -> None:
    with pytest.raises(Invalid) as refused:
        await ask(world, await newcomer(world), **wrong)
    assert refused.value.code == "prisoner_unknown"


async def test_asking_twice_is_a_conflict_and_after_a_refusal_it_is_not(world: World) -> None:
    actor = await newcomer(world)
    made = await ask(world, actor)
    with pytest.raises(Conflict):
        await ask(world, actor)
    await world.relationships.refuse(STAFF, made, "not known")
    assert await ask(world, actor) == made
    await world.relationships.approve(STAFF, made, "known now")
    await world.relationships.withdraw(actor, made)
    assert await ask(world, actor) == made


async def test_a_social_and_an_official_approval_are_two(world: World) -> None:
    actor = await newcomer(world)
    social = await ask(world, actor)
    official = await ask(world, actor, call_kind=CallKind.LEGAL, relation="solicitor")
    assert social != official
    with pytest.raises(Invalid):
        await world.relationships.approve(STAFF, social, "x", call_kind=CallKind.LEGAL)
    approved = await world.relationships.approve(STAFF, official, "x", call_kind=CallKind.OFFICIAL)
    assert (approved.kind, approved.call_kind) == (RelationshipKind.OFFICIAL, CallKind.OFFICIAL)
    assert (await world.relationships.get(actor, social)).relationship.state is RelationshipState.REQUESTED


async def test_only_those_whose_it_is(world: World) -> None:
    actor = await newcomer(world)
    made = await ask(world, actor)
    elsewhere = Actor(ActorKind.PRISONER, OTHER_PRISONER, PRISON)
    for stranger in (family(FRIEND), STRANGER_STAFF, elsewhere):
        with pytest.raises(NotFound):
            await world.relationships.get(stranger, made)
    for stranger in (STRANGER_STAFF, family(FRIEND), actor, PRISONER_ACTOR):
        with pytest.raises(NotFound):
            await world.relationships.approve(stranger, made, "x")
    for stranger in (actor, elsewhere, STAFF):
        with pytest.raises(NotFound):
            await world.relationships.answer(stranger, made, accept=True)
    for stranger in (family(FRIEND), STAFF, PRISONER_ACTOR):
        with pytest.raises(NotFound):
            await world.relationships.withdraw(stranger, made)
    with pytest.raises(Forbidden):
        await ask(world, PRISONER_ACTOR)
    with pytest.raises(Invalid):
        await world.relationships.approve(STAFF, made, "  ")
    assert (await world.relationships.queue(STRANGER_STAFF, PageRequest())).items == []


async def test_lists_are_paged(world: World) -> None:
    seen: list[str] = []
    cursor = None
    while True:
        page = await world.relationships.of_prisoner(STAFF, PRISONER, PageRequest(limit=3, cursor=cursor))
        seen += [each.contact.id for each in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted([MOTHER, FRIEND, CHILD, LAWYER])
    mine = await world.relationships.mine(family(MOTHER), PageRequest())
    assert {each.prisoner.id for each in mine.items} == {PRISONER, OTHER_PRISONER}
    theirs = await world.relationships.mine(PRISONER_ACTOR, PageRequest())
    assert {each.contact.id for each in theirs.items} == set(seen)
    with pytest.raises(Invalid):
        await world.relationships.mine(family(MOTHER), PageRequest(cursor="rubbish"))


async def test_a_prisoners_no_takes_effect_at_the_next_booking(world: World) -> None:
    await world.grant(2)
    await world.relationships.answer(PRISONER_ACTOR, relationship_id(MOTHER), accept=False)
    with pytest.raises(DecisionRefused) as refused:
        await world.booking.hold(family(MOTHER), relationship_id(MOTHER), slot_key(DAY, time(9)))
    assert refused.value.decision.safe_words == ["Visits with this person are not possible at this time."]
    changed = await world.relationships.answer(PRISONER_ACTOR, relationship_id(MOTHER), accept=True)
    assert changed.prisoner_answer is PrisonerAnswer.ACCEPTED
    await world.booking.hold(family(MOTHER), relationship_id(MOTHER), slot_key(DAY, time(9)))


async def test_a_lifted_restriction_no_longer_blocks(world: World) -> None:
    await world.grant(1)
    ban = await world.restrictions.add(
        STAFF,
        scope=RestrictionScope.RELATIONSHIP,
        subject_id=relationship_id(MOTHER),
        type="ban",
        authority="Governor",
        starts_on=date(2026, 3, 1),
    )
    with pytest.raises(DecisionRefused):
        await world.booking.hold(family(MOTHER), relationship_id(MOTHER), slot_key(DAY, time(9)))
    await world.restrictions.lift(STAFF, ban.id, "appeal upheld")
    with pytest.raises(Conflict):
        await world.restrictions.lift(STAFF, ban.id, "again")
    await world.booking.hold(family(MOTHER), relationship_id(MOTHER), slot_key(DAY, time(9)))
    listed = await world.restrictions.of(STAFF, RestrictionScope.RELATIONSHIP, relationship_id(MOTHER), PageRequest())
    assert [each.id for each in listed.items] == [ban.id]


async def test_of_two_who_lift_a_restriction_at_once_one_does(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ban = await world.restrictions.add(
        STAFF,
        scope=RestrictionScope.RELATIONSHIP,
        subject_id=relationship_id(MOTHER),
        type="ban",
        authority="Governor",
        starts_on=date(2026, 3, 1),
    )
    both = (STAFF, replace(STAFF, id="stf_colleague"))
    done = await decide_at_once(
        world, monkeypatch, [partial(world.restrictions.lift, who, ban.id, f"{who.id} says so") for who in both]
    )
    assert len(done) == 1
    async with world.uow(read_only=True) as u:
        kept = await u.rights.get_restriction(ban.id)
        rows = (await u.audit.rows(AuditFilter(action="restriction.lift", object_id=ban.id), PageRequest())).items
    assert (kept.lifted_by, kept.note) == (both[done[0]].reference, f"{both[done[0]].id} says so")
    assert len(rows) == 1


@pytest.mark.parametrize(
    ("days", "field"),
    [
        ({"ends_on": date.max}, "ends_on"),
        ({"ends_on": date(2200, 1, 1)}, "ends_on"),
        ({"starts_on": date(1066, 10, 14)}, "starts_on"),
        ({"review_on": date.max}, "review_on"),
    ],
)
async def test_a_restriction_for_ever_has_no_last_day(sqlite_world: World, days: dict[str, date], field: str) -> None:
    with pytest.raises(Invalid, match="too far away") as error:
        await sqlite_world.restrictions.add(
            STAFF,
            scope=RestrictionScope.PERSON,
            subject_id=MOTHER,
            type="BAN",
            authority="Governor",
            starts_on=days.get("starts_on", date(2026, 3, 2)),
            ends_on=days.get("ends_on"),
            review_on=days.get("review_on"),
        )
    assert error.value.field == field
    assert ("Leave the end open" in error.value.detail) is (field == "ends_on")


async def test_restrictions_are_the_business_of_the_own_prison(world: World) -> None:
    for scope, subject in (
        (RestrictionScope.PERSON, MOTHER),
        (RestrictionScope.PRISONER, PRISONER),
        (RestrictionScope.RELATIONSHIP, relationship_id(MOTHER)),
    ):
        for stranger in (STRANGER_STAFF, family(MOTHER)):
            with pytest.raises(NotFound):
                await world.restrictions.add(
                    stranger, scope=scope, subject_id=subject, type="BAN", authority="x", starts_on=DAY
                )
            with pytest.raises(NotFound):
                await world.restrictions.of(stranger, scope, subject, PageRequest())
    for wrong in ({"type": " "}, {"authority": ""}, {"ends_on": DAY - timedelta(days=1)}):
        values: dict[str, object] = {"type": "BAN", "authority": "x", "starts_on": DAY, **wrong}
        with pytest.raises(Invalid):
            await world.restrictions.add(STAFF, scope=RestrictionScope.PERSON, subject_id=MOTHER, **values)  # type: ignore[arg-type]


DRAFT = TemplateDraft(
    name="Evenings",
    weekdays=(0, 1, 2),
    starts_at=time(18),
    ends_at=time(20),
    duration_minutes=30,
    capacity=1,
    station_ids=("stn_1",),
    valid_from=date(2026, 3, 9),
)


async def test_a_template_is_revised_by_a_new_version_and_never_under_a_booking(world: World) -> None:
    await world.grant(2)
    made = await world.templates.create(STAFF, DRAFT)
    key = slot_key(date(2026, 3, 9), time(18), made.id)
    hold = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), key)
    await world.booking.confirm(family(MOTHER), hold.id)
    with pytest.raises(Invalid):
        await world.templates.revise(STAFF, made.id, DRAFT)
    longer = replace(DRAFT, duration_minutes=45, valid_from=date(2026, 3, 10))
    revised = await world.templates.revise(STAFF, made.id, longer)
    assert (revised.version, revised.supersedes) == (2, made.id)
    assert (await world.templates.get(STAFF, made.id)).valid_to == date(2026, 3, 9)
    with pytest.raises(Conflict, match="ends before"):
        await world.templates.end(STAFF, made.id, date(2026, 3, 20))
    valid = await world.templates.list(STAFF, first=date(2026, 3, 10), last=date(2026, 3, 11))
    assert made.id not in [each.id for each in valid]
    # a booking on the old version from that day on forbids it
    later = slot_key(date(2026, 3, 11), time(18), revised.id)
    await world.booking.hold(family(FRIEND), relationship_id(FRIEND), later)
    with pytest.raises(Conflict, match="Bookings stand"):
        await world.templates.end(STAFF, revised.id, date(2026, 3, 10))
    await world.templates.end(STAFF, revised.id, date(2026, 3, 11))


async def test_a_template_keeps_to_its_own_prison(world: World) -> None:
    with pytest.raises(Invalid):
        await world.templates.create(STRANGER_STAFF, DRAFT)
    with pytest.raises(Invalid):
        await world.templates.create(STAFF, replace(DRAFT, include_wings=frozenset({"wng_x"})))
    with pytest.raises(NotFound):
        await world.templates.get(STRANGER_STAFF, SOCIAL)
    with pytest.raises(NotFound):
        await world.templates.end(family(MOTHER), SOCIAL, DAY)
    with pytest.raises(Invalid):
        await world.templates.end(STAFF, SOCIAL, date(2026, 2, 1))


async def test_a_policy_has_versions_and_a_decision_says_which(world: World) -> None:
    await world.grant(1)
    await world.policies.set(STAFF, PRISON, "booking.notice_days_min", 3, "short of staff")
    later = world.clock() + timedelta(days=1)
    await world.policies.set(STAFF, PRISON, "booking.notice_days_min", 4, "shorter", valid_from=later)
    with pytest.raises(Conflict):
        await world.policies.set(STAFF, PRISON, "booking.notice_days_min", 5, "in between")
    decision = await world.why.about(STAFF, relationship_id(MOTHER), slot_key(date(2026, 3, 5), time(9)))
    assert decision.result("window").outcome == "allow"
    assert "booking.notice_days_min@prison.1" in decision.result("window").policy_version
    world.clock.advance(days=1)
    decision = await world.why.about(STAFF, relationship_id(MOTHER), slot_key(date(2026, 3, 6), time(9)))
    assert decision.result("window").outcome == "refuse"
    assert "booking.notice_days_min@prison.2" in decision.result("window").policy_version
    assert [each.version for each in await world.policies.versions(STAFF, "booking.notice_days_min")] == [1, 2]


@pytest.mark.parametrize(("key", "value"), [("no.such", 1), ("booking.notice_days_min", -1), ("callers.max", 9)])
async def test_a_policy_has_its_range(world: World, key: str, value: int) -> None:
    with pytest.raises(Invalid):
        await world.policies.set(STAFF, PRISON, key, value, "x")


async def test_a_policy_of_the_service_holds_where_a_prison_has_none(world: World) -> None:
    with pytest.raises(NotFound):
        await world.policies.set(STAFF, None, "callers.max", 2, "x")
    await world.policies.set(SYSTEM_ACTOR, None, "callers.max", 2, "pilot")
    from visitserver.domain.policies import CALLERS_MAX

    assert (await world.policies.now(STAFF)).number(CALLERS_MAX) == 2
    await world.policies.set(STAFF, PRISON, "callers.max", 3, "more room")
    assert (await world.policies.now(STAFF)).number(CALLERS_MAX) == 3


async def test_the_allowance_is_seen_by_those_it_concerns(world: World) -> None:
    await world.grant(2)
    assert (await world.allowance.view(family(MOTHER), PRISONER)).available == 2
    assert (await world.allowance.view(PRISONER_ACTOR, PRISONER)).balance == 2
    stranger = await newcomer(world)
    for actor in (stranger, STRANGER_STAFF, PRISONER_ACTOR):
        with pytest.raises(NotFound):
            await world.allowance.view(actor, PRISONER if actor is not PRISONER_ACTOR else OTHER_PRISONER)
    with pytest.raises(NotFound):
        await world.allowance.history(family(MOTHER), PRISONER, PageRequest())


async def test_credits_come_by_the_calendar_once(world: World) -> None:
    await world.policies.set(STAFF, PRISON, "allowance.standard_per_accrual", 1, "normal")
    assert (await world.allowance.view(STAFF, PRISONER)).available == 1  # seen before the job stores it
    await asyncio.gather(*(world.allowance.accrue() for _ in range(3)))
    assert (await world.allowance.view(STAFF, PRISONER)).available == 1
    world.clock.advance(days=28)
    await world.allowance.accrue()
    view = await world.allowance.view(STAFF, PRISONER)
    # admitted 27 February: periods begin then, on 13 and 27 March
    assert (view.balance, view.next_credit) == (3, date(2026, 4, 10))
    assert view.accumulated == 1
