"""Two records of one person become one: nothing names the record that went, and the stricter right stays."""

from __future__ import annotations

from datetime import date, time, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from signaling.ids import new_id
from tests.fixtures.offers import OffersWorld
from tests.fixtures.rights import (
    CHILD,
    FRIEND,
    LAWYER,
    MOTHER,
    OTHER_PRISONER,
    PRISON,
    PRISONER,
    STAFF,
    STRANGER_STAFF,
    SYSTEM_ACTOR,
    World,
    family,
    make_contact,
    make_link,
    make_prisoner,
    relationship_id,
    slot_key,
)
from tests.fixtures.store import SettableClock
from visitserver.domain.calls import Call, CallKind, OutcomeCode
from visitserver.domain.errors import Conflict, DecisionRefused, Invalid, NotFound
from visitserver.domain.identity import Enrolment, EnrolmentRoute, EnrolmentState, PictureKind
from visitserver.domain.importing import ImportKind
from visitserver.domain.merging import HintReason
from visitserver.domain.paging import PageRequest
from visitserver.domain.rights import (
    Alert,
    NonAssociation,
    PrisonerAnswer,
    RelationshipState,
    RestrictionScope,
    kind_for,
)
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.identity.vault import PersonVault
from visitserver.services.changes import Changes
from visitserver.services.identity_items import SealedItems
from visitserver.services.merging import MergingService
from visitserver.services.ports.uow import UnitOfWorkFactory
from visitserver.services.preferences import Wish
from visitserver.services.waitlist import WaitlistWish
from visitserver.store.base import metadata

TWIN = "con_twin"
THIRD = "prs_cedar"
DAY = date(2026, 3, 10)
LOGS = ("audit_log", "ledger_events", "owed_events", "call_events", "decisions", "outbox", "changes", "deliveries")


@pytest.fixture
def store_url(request: pytest.FixtureRequest) -> str:
    """SQLite; both kinds for what moves rows (`on_both`)."""
    name = "postgres_store_url" if getattr(request, "param", "sqlite") == "postgresql" else "sqlite_store_url"
    url: str = request.getfixturevalue(name)
    return url


on_both = pytest.mark.parametrize("store_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def items(clock: SettableClock) -> SealedItems:
    return SealedItems(PersonVault(bytes(32)), clock, new_id)


@pytest.fixture
def merging(uow: UnitOfWorkFactory, world: World, clock: SettableClock, items: SealedItems) -> MergingService:
    return MergingService(uow, clock, Changes(clock), items)


async def add_twin(uow: UnitOfWorkFactory, **link: Any) -> None:
    """A second record of MOTHER, with a right of its own to PRISONER."""
    async with uow() as u:
        twin = make_contact(TWIN)
        twin.family_name, twin.email, twin.external_id = "Mother", "MOTHER@example.org".lower(), "C-TWIN"
        u.people.add(twin)
        right = make_link(TWIN)
        for name, value in link.items():
            setattr(right, name, value)
        u.rights.add(right)
        await u.commit()


async def merge(merging: MergingService, stays: str = MOTHER, goes: str = TWIN) -> None:
    preview = await merging.preview_contacts(STAFF, stays, goes)
    assert preview.obstacles == ()
    await merging.merge_contacts(STAFF, stays, goes, token=preview.token, reason="the same person")


async def named(uow: UnitOfWorkFactory, identifier: str) -> set[str]:
    """The tables, but the logs, in which some row names the identifier."""
    found = set()
    async with uow(read_only=True) as u:
        session = u.session  # type: ignore[attr-defined]
        for table in metadata.sorted_tables:
            if table.name in LOGS:
                continue
            rows = (await session.execute(text(f"SELECT * FROM {table.name}"))).all()
            if any(identifier in str(value) for row in rows for value in row):
                found.add(table.name)
    return found


@on_both
async def test_everything_of_the_one_becomes_the_others(
    merging: MergingService, uow: UnitOfWorkFactory, world: World, items: SealedItems, clock: SettableClock
) -> None:
    await add_twin(uow)
    world.identity.approved.add(TWIN)
    await world.grant(2)
    hold = await world.booking.hold(family(TWIN), relationship_id(TWIN), slot_key(DAY, time(10, 10)))
    booking = await world.booking.confirm(family(TWIN), hold.id)
    for scope, subject in (
        (RestrictionScope.PERSON, TWIN),
        (RestrictionScope.RELATIONSHIP, relationship_id(TWIN)),
    ):
        await world.restrictions.add(
            STAFF, scope=scope, subject_id=subject, type="BAN", authority="Governor", starts_on=DAY + timedelta(days=20)
        )
    async with uow() as u:
        enrolment = Enrolment(
            id=new_id("enr"),
            contact_id=TWIN,
            route=EnrolmentRoute.FACE,
            state=EnrolmentState.APPROVED,
            created_at=clock(),
            expires_at=clock() + timedelta(days=300),
            notice_version="test",
        )
        u.identity.add(enrolment)
        await items.replace(u, TWIN, enrolment.id, {PictureKind.TEMPLATE: [b"the face"]}, delete_after=None)
        await u.commit()
    preview = await merging.preview_contacts(STAFF, MOTHER, TWIN)
    assert preview.counts["booking_participants"] == 1
    assert preview.counts["restrictions"] == 1
    await merge(merging)
    # What went is kept for the logs that name it; a booking says who made it, as it was said then.
    assert await named(uow, TWIN) == {"contacts", "relationships", "bookings"}
    async with uow(read_only=True) as u:
        moved = await u.scheduling.get_booking(booking.id)
        assert [(each.contact_id, each.relationship_id) for each in moved.participants] == [
            (MOTHER, relationship_id(MOTHER))
        ]
        for subject in (MOTHER, relationship_id(MOTHER)):
            assert len((await u.rights.restrictions_of(subject, PageRequest())).items) == 1
        gone = await u.rights.get_relationship(relationship_id(TWIN))
        assert gone.state is RelationshipState.ENDED
        (template,) = await u.identity.items(enrolment.id)
        assert await items.open(u, template) == b"the face"
        assert (template.contact_id, await u.identity.find_key(TWIN)) == (MOTHER, None)
        goes = await u.people.get_contact(TWIN)
        assert (goes.merged_into, goes.email, goes.external_id) == (MOTHER, None, None)
        assert (await u.records.find(ImportKind.CONTACTS, "C-TWIN")).id == MOTHER
        rows = [row async for row in u.audit.walk() if row.action == "contact.merge"]
    assert [(row.object_id, row.data["into"]) for row in rows] == [(TWIN, MOTHER)]
    # Nobody can take the time again: it is MOTHER's now.
    with pytest.raises(DecisionRefused, match="another visit at this time"):
        await world.booking.hold(family(MOTHER), relationship_id(MOTHER, OTHER_PRISONER), slot_key(DAY, time(10, 10)))


@pytest.mark.parametrize(
    ("theirs", "state", "answer"),
    [
        ({"state": RelationshipState.REFUSED}, RelationshipState.REFUSED, PrisonerAnswer.ACCEPTED),
        ({"state": RelationshipState.ENDED}, RelationshipState.ENDED, PrisonerAnswer.ACCEPTED),
        ({"state": RelationshipState.REQUESTED}, RelationshipState.APPROVED, PrisonerAnswer.ACCEPTED),
        ({"prisoner_answer": PrisonerAnswer.REFUSED}, RelationshipState.APPROVED, PrisonerAnswer.REFUSED),
    ],
    ids=["refused", "ended", "requested", "the prisoner's no"],
)
async def test_the_stricter_right_stays_whichever_record_had_it(
    merging: MergingService,
    uow: UnitOfWorkFactory,
    theirs: dict[str, Any],
    state: RelationshipState,
    answer: PrisonerAnswer,
) -> None:
    await add_twin(uow, **theirs)
    await merge(merging)
    async with uow(read_only=True) as u:
        link = await u.rights.get_relationship(relationship_id(MOTHER))
    assert (link.state, link.prisoner_answer) == (state, answer)


async def test_two_callers_of_one_booking_are_two_people(
    merging: MergingService, uow: UnitOfWorkFactory, world: World
) -> None:
    await world.grant(2)
    hold = await world.booking.hold(
        family(MOTHER), relationship_id(MOTHER), slot_key(DAY, time(10, 10)), guests=[relationship_id(FRIEND)]
    )
    await world.booking.confirm(family(MOTHER), hold.id)
    preview = await merging.preview_contacts(STAFF, MOTHER, FRIEND)
    assert [each.code for each in preview.obstacles] == ["both_in_one_booking"]
    with pytest.raises(Conflict):
        await merging.merge_contacts(STAFF, MOTHER, FRIEND, token=preview.token, reason="the same")
    assert (await merging.preview_contacts(STAFF, CHILD, FRIEND)).obstacles == ()


async def test_what_was_seen_is_what_is_done(merging: MergingService, uow: UnitOfWorkFactory, world: World) -> None:
    await add_twin(uow)
    preview = await merging.preview_contacts(STAFF, MOTHER, TWIN)
    await world.restrictions.add(
        STAFF, scope=RestrictionScope.PERSON, subject_id=TWIN, type="BAN", authority="Governor", starts_on=DAY
    )
    with pytest.raises(Conflict) as stale:
        await merging.merge_contacts(STAFF, MOTHER, TWIN, token=preview.token, reason="the same person")
    assert stale.value.code == "preview_stale"
    with pytest.raises(Invalid):
        await merging.merge_contacts(STAFF, MOTHER, TWIN, token=preview.token, reason=" ")
    with pytest.raises(Invalid):
        await merging.preview_contacts(STAFF, MOTHER, MOTHER)
    with pytest.raises(NotFound):
        await merging.preview_contacts(STRANGER_STAFF, MOTHER, TWIN)
    with pytest.raises(NotFound):
        await merging.preview_contacts(family(MOTHER), MOTHER, TWIN)


async def test_different_kinds_of_calls_are_not_mixed(merging: MergingService, uow: UnitOfWorkFactory) -> None:
    async with uow() as u:
        u.people.add(make_contact(TWIN))
        u.rights.add(make_link(TWIN, call_kind=CallKind.CONSULAR))
        await u.commit()
    preview = await merging.preview_contacts(STAFF, LAWYER, TWIN)
    assert [each.code for each in preview.obstacles] == ["call_kind"]


@on_both
async def test_hints_name_who_may_be_one_person_and_change_nothing(
    merging: MergingService, uow: UnitOfWorkFactory
) -> None:
    assert (await merging.hints(STAFF, PageRequest())).items == []
    await add_twin(uow)
    (hint,) = (await merging.hints(STAFF, PageRequest())).items
    assert ({hint.first.id, hint.second.id}, hint.reasons) == (
        {MOTHER, TWIN},
        (HintReason.EMAIL, HintReason.NAME_AND_BIRTH),
    )
    assert (await merging.hints(STRANGER_STAFF, PageRequest())).items == []
    await merge(merging)
    assert (await merging.hints(STAFF, PageRequest())).items == []


@on_both
async def test_two_records_of_a_prisoner_are_merged_by_number(
    merging: MergingService, uow: UnitOfWorkFactory, world: World
) -> None:
    preview = await merging.preview_prisoners(STAFF, "K-1", "K-2")
    assert preview.obstacles == ()
    await merging.merge_prisoners(STAFF, "K-1", "K-2", token=preview.token, reason="entered twice")
    assert await named(uow, OTHER_PRISONER) <= {"prisoners", "relationships"}
    async with uow(read_only=True) as u:
        links = await u.merging.relationships_of(prisoner_id=PRISONER)
        assert {link.contact_id for link in links} == {MOTHER, FRIEND, CHILD, LAWYER}
        gone = await u.people.get_prisoner(OTHER_PRISONER)
        assert (gone.merged_into, gone.prison_id) == (PRISONER, None)
        found = (await u.people.search_prisoners(PRISON, "", PageRequest())).items
        assert [prisoner.id for prisoner in found] == [PRISONER]
    with pytest.raises(NotFound):
        await merging.preview_prisoners(STAFF, "K-1", "K-2")
    with pytest.raises(NotFound):
        await merging.preview_prisoners(STRANGER_STAFF, "K-1", "K-2")


async def booked(world: World, prisoner: str, at: time, contact: str = MOTHER, day: date = DAY) -> Booking:
    hold = await world.booking.hold(family(contact), relationship_id(contact, prisoner), slot_key(day, at))
    return await world.booking.confirm(family(contact), hold.id)


async def merge_prisoners(merging: MergingService) -> None:
    preview = await merging.preview_prisoners(STAFF, "K-1", "K-2")
    assert preview.obstacles == ()
    await merging.merge_prisoners(STAFF, "K-1", "K-2", token=preview.token, reason="entered twice")


@on_both
async def test_what_a_prisoner_has_goes_along(
    merging: MergingService, uow: UnitOfWorkFactory, offers: OffersWorld
) -> None:
    """Credits with their visits, a request, a place on the waiting list, an alert and a restriction."""
    world = offers.world
    await world.grant(1)
    await world.grant(4, OTHER_PRISONER)
    own = await booked(world, PRISONER, time(11, 20), FRIEND)
    visit = await booked(world, OTHER_PRISONER, time(10, 10))
    entry = await offers.waitlist.join(STAFF, relationship_id(MOTHER, OTHER_PRISONER), WaitlistWish(first_day=DAY))
    await world.restrictions.add(
        STAFF,
        scope=RestrictionScope.PRISONER,
        subject_id=OTHER_PRISONER,
        type="PRE-INFORM",
        authority="the governor",
        starts_on=DAY + timedelta(days=1),
    )
    request = await booked(world, OTHER_PRISONER, time(9), day=DAY + timedelta(days=1))
    assert (visit.state, request.state) == (BookingState.BOOKED, BookingState.REQUESTED)
    async with uow() as u:
        u.rights.add(Alert("alr_1", OTHER_PRISONER, "CONTACT-RISK", DAY, world.clock(), "staff:x"))
        await u.commit()
    await merge_prisoners(merging)
    assert await named(uow, OTHER_PRISONER) <= {"prisoners", "relationships"}
    async with uow(read_only=True) as u:
        for each in (own, visit, request):
            assert (await u.scheduling.get_booking(each.id)).prisoner_id == PRISONER
        assert (await u.offers.get_entry(entry.id)).prisoner_id == PRISONER
        assert [each.id for each in await u.rights.alerts_of(PRISONER, first=DAY, last=DAY)] == ["alr_1"]
        lines = await u.allowance.events_of(OTHER_PRISONER)
        assert lines[-1].balance_after == 0
        assert {each.reason for each in lines if each.kind == "carried_out"} == {f"carried over to {PRISONER}"}
        lines = await u.allowance.events_of(PRISONER)
        assert {each.reason for each in lines if each.kind == "carried_in"} == {f"carried over from {OTHER_PRISONER}"}
        assert all(each.granted_at for each in lines if each.kind == "carried_in")
    # Four less the two that are spent; a cancelled visit gives back to the record that stayed, once.
    assert (await world.allowance.view(STAFF, PRISONER)).balance == 2
    for _ in range(2):
        await world.booking.cancel(family(MOTHER), visit.id)
    assert (await world.allowance.view(STAFF, PRISONER)).balance == 3
    # The prisoner is one now: nobody books them twice at a time.
    with pytest.raises(DecisionRefused):
        await booked(world, PRISONER, time(9), FRIEND, DAY + timedelta(days=1))
    await world.booking.decide(STAFF, request.id, approve=True, reason="looked at")


async def test_what_cannot_go_along_refuses_with_its_reason(
    merging: MergingService, uow: UnitOfWorkFactory, world: World
) -> None:
    await world.grant(1)
    await world.grant(1, OTHER_PRISONER)
    await booked(world, PRISONER, time(10, 10), FRIEND)
    other = await booked(world, OTHER_PRISONER, time(10, 10))

    async def obstacles() -> list[str]:
        return [each.code for each in (await merging.preview_prisoners(STAFF, "K-1", "K-2")).obstacles]

    assert await obstacles() == ["both_booked"]
    async with uow() as u:
        u.calls.add(
            Call(
                id="call_1",
                booking_id=other.id,
                prison_id=PRISON,
                prisoner_id=OTHER_PRISONER,
                kind=CallKind.SOCIAL,
                lobby_opens_at=other.starts_at,
                starts_at=other.starts_at,
                ends_at=other.ends_at,
                recorded=True,
                supervision="none",
                watch_banner=False,
                policy_version="default",
                created_at=world.clock(),
            )
        )
        await u.commit()
    assert await obstacles() == ["both_booked", "open_call"]
    preview = await merging.preview_prisoners(STAFF, "K-1", "K-2")
    with pytest.raises(Conflict, match="at the same time"):
        await merging.merge_prisoners(STAFF, "K-1", "K-2", token=preview.token, reason="entered twice")
    async with uow(read_only=True) as u:
        assert (await u.scheduling.get_booking(other.id)).prisoner_id == OTHER_PRISONER


@pytest.mark.parametrize("both_known", [True, False], ids=["one relationship stays", "the relationship moves"])
async def test_minutes_owed_to_a_prisoners_visitor_go_along(
    merging: MergingService, uow: UnitOfWorkFactory, world: World, both_known: bool
) -> None:
    await world.grant(1, OTHER_PRISONER)
    if not both_known:
        async with uow() as u:
            await u.session.execute(  # type: ignore[attr-defined]
                text("DELETE FROM relationships WHERE id = :id"), {"id": relationship_id(MOTHER)}
            )
            await u.commit()
    lost = await booked(world, OTHER_PRISONER, time(10, 10))
    async with uow() as u:
        failed, fault = BookingState.FAILED, OutcomeCode.TECHNICAL_FAILURE
        await world.booking.close_within(u, SYSTEM_ACTOR, lost.id, failed, fault, refund=False, owed=3600)
        await u.commit()
    paid = await booked(world, OTHER_PRISONER, time(11, 20))
    view = await world.allowance.view(STAFF, OTHER_PRISONER)
    assert view.minutes_owed == 60 - (paid.ends_at - paid.starts_at) // timedelta(minutes=1)
    await merge_prisoners(merging)
    stays = relationship_id(MOTHER, PRISONER if both_known else OTHER_PRISONER)
    after = await world.allowance.view(STAFF, PRISONER)
    assert after.owed == {stays: view.minutes_owed}
    assert (await world.allowance.view(family(MOTHER), PRISONER)).minutes_owed == view.minutes_owed
    lines = (await world.allowance.owed_history(STAFF, PRISONER, PageRequest())).items
    assert {each.relationship_id for each in lines} == {stays}
    await world.booking.cancel(family(MOTHER), paid.id)
    assert (await world.allowance.view(STAFF, PRISONER)).owed == {stays: 60}


@pytest.mark.parametrize(
    ("store_url", "call_kind"),
    [("sqlite", CallKind.SOCIAL), ("postgresql", CallKind.CONSULAR)],
    ids=["one right", "two rights"],
    indirect=["store_url"],
)
async def test_nobody_waits_with_themselves_as_a_guest(
    merging: MergingService, uow: UnitOfWorkFactory, offers: OffersWorld, call_kind: CallKind
) -> None:
    await add_twin(uow, call_kind=call_kind, kind=kind_for(call_kind))
    twin, child = relationship_id(TWIN), relationship_id(CHILD)
    day = WaitlistWish(first_day=DAY)
    alone = await offers.waitlist.join(STAFF, relationship_id(MOTHER), day, guests=[twin, child])
    both = await offers.waitlist.join(STAFF, relationship_id(FRIEND), day, guests=[relationship_id(MOTHER), twin])
    (wish,) = await offers.preferences.put(STAFF, relationship_id(MOTHER), [Wish(DAY, DAY)], guests=[child, twin])
    await merge(merging)
    async with uow(read_only=True) as u:
        guests = [(await u.offers.get_entry(each.id)).guest_ids for each in (alone, both)]
        guests.append((await u.offers.get_preference(wish.id)).guest_ids)
    assert guests == [(child,), (relationship_id(MOTHER),), (child,)]
    await offers.world.grant(2)
    assert await offers.preferences.run_once() == 1
    assert await offers.offering.sweep() == 2


@on_both
async def test_who_is_kept_apart_stays_so_until_the_later_of_two_days(
    merging: MergingService, uow: UnitOfWorkFactory
) -> None:
    days = [DAY + timedelta(days=number) for number in range(5)]
    later = DAY + timedelta(days=100)
    rules = {
        "nas_own_ends": NonAssociation("nas_own_ends", PRISONER, THIRD, days[0], "staff:x", ends_on=later),
        "nas_goes_stands": NonAssociation("nas_goes_stands", OTHER_PRISONER, THIRD, days[0], "staff:x"),
        "nas_own_stands": NonAssociation("nas_own_stands", PRISONER, THIRD, days[1], "staff:x"),
        "nas_goes_ends": NonAssociation("nas_goes_ends", OTHER_PRISONER, THIRD, days[1], "staff:x", ends_on=later),
        "nas_own_first": NonAssociation("nas_own_first", PRISONER, THIRD, days[2], "staff:x", ends_on=days[3]),
        "nas_goes_last": NonAssociation("nas_goes_last", OTHER_PRISONER, THIRD, days[2], "staff:x", ends_on=later),
        "nas_goes_alone": NonAssociation("nas_goes_alone", OTHER_PRISONER, THIRD, days[4], "staff:x"),
        "nas_both": NonAssociation("nas_both", PRISONER, OTHER_PRISONER, days[0], "staff:x"),
    }
    rules["nas_goes_stands"].external_id = "N-1"
    async with uow() as u:
        u.people.add(make_prisoner(THIRD, "K-3"))
        await u.flush()
        for rule in rules.values():
            u.rights.add(rule)
        await u.commit()
    preview = await merging.preview_prisoners(STAFF, "K-1", "K-2")
    await merging.merge_prisoners(STAFF, "K-1", "K-2", token=preview.token, reason="entered twice")
    async with uow(read_only=True) as u:
        left = await u.rights.non_associations_of(THIRD, first=date.min, last=date.max)
        rows = [row async for row in u.audit.walk()]
    assert {each.id: (each.ends_on, each.external_id) for each in left} == {
        "nas_own_ends": (None, "N-1"),
        "nas_own_stands": (None, None),
        "nas_own_first": (later, None),
        "nas_goes_alone": (None, None),
    }
    assert {each.other(THIRD) for each in left} == {PRISONER}
    assert {row.object_id: row.data["into"] for row in rows if row.action == "non_association.merge"} == {
        "nas_goes_stands": "nas_own_ends",
        "nas_goes_ends": "nas_own_stands",
        "nas_goes_last": "nas_own_first",
        "nas_both": None,
    }
    (merged,) = [row for row in rows if row.action == "prisoner.merge"]
    assert merged.data["non_associations_dropped"] == 4


@on_both
async def test_minutes_owed_that_have_paid_for_a_visit_to_come_go_along(
    merging: MergingService, uow: UnitOfWorkFactory, world: World
) -> None:
    await add_twin(uow)
    world.identity.approved.add(TWIN)
    await world.grant(1)

    async def book(at: time) -> str:
        hold = await world.booking.hold(family(TWIN), relationship_id(TWIN), slot_key(DAY, at))
        return (await world.booking.confirm(family(TWIN), hold.id)).id

    lost = await book(time(10, 10))
    failed, fault = BookingState.FAILED, OutcomeCode.TECHNICAL_FAILURE
    async with uow() as u:
        await world.booking.close_within(u, SYSTEM_ACTOR, lost, failed, fault, refund=True, owed=1800)
        await u.commit()
    await book(time(11, 20))  # the credit that came back
    paid = await book(time(14, 15))
    await merge(merging)
    assert (await world.allowance.view(STAFF, PRISONER)).minutes_owed == 0
    await world.booking.cancel(family(MOTHER), paid)
    assert (await world.allowance.view(STAFF, PRISONER)).owed == {relationship_id(MOTHER): 30}
    async with uow() as u:  # told again what the visit lost: it is owed for once
        booking = await u.scheduling.get_booking(lost, for_update=True)
        assert not await world.allowance.owe_within(u, SYSTEM_ACTOR, booking, 1800, "told again")
