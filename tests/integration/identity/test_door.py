"""The check at the door: the machine passes or hands on, an officer decides the rest. On both databases."""

from __future__ import annotations

from datetime import date, time, timedelta

import pytest

from tests.fixtures.deciding import decide_at_once
from tests.fixtures.rights import CHILD, FRIEND, MOTHER, PRISONER, SOCIAL, family, slot_key
from tests.integration.identity.conftest import COLLEAGUE, OFFICER, STRANGER, Desk
from visitserver.domain.calls import CallKind
from visitserver.domain.errors import Conflict, Invalid, NotFound
from visitserver.domain.identity import CheckState, EnrolmentRoute, PictureKind, Verdict
from visitserver.domain.paging import PageRequest
from visitserver.domain.scheduling import Booking, BookingParticipant, BookingState, SupervisionLevel
from visitserver.services.ports.identity_engine import ImageRefused

ME = family(MOTHER)
FRAMES = [b"one", b"two", b"three", b"four", b"five"]
BOOKING = "bkg_one"


@pytest.fixture(autouse=True)
async def booking(desk: Desk) -> Booking:
    """A booked visit of three, one of them a child, in a quarter of an hour."""
    starts = desk.world.clock() + timedelta(minutes=15)
    made = Booking(
        id=BOOKING,
        prison_id=OFFICER.prison_id or "",
        prisoner_id=PRISONER,
        kind=CallKind.SOCIAL,
        state=BookingState.BOOKED,
        template_id=SOCIAL,
        slot_key=slot_key(date(2026, 3, 2), time(11, 30)),
        starts_at=starts,
        ends_at=starts + timedelta(minutes=30),
        supervision=SupervisionLevel.SAMPLE,
        created_at=desk.world.clock(),
        created_by="test",
        station_id="stn_1",
        participants=[
            BookingParticipant(BOOKING, contact_id, f"rel_{contact_id[4:]}_aalto", lead=contact_id == MOTHER)
            for contact_id in (MOTHER, FRIEND, CHILD)
        ],
    )
    async with desk.world.uow() as u:
        u.scheduling.add(made)
        await u.commit()
    return made


async def enrol(desk: Desk) -> str:
    await desk.enrolment.begin(ME, EnrolmentRoute.FACE)
    await desk.enrolment.upload_document(ME, b"a page")
    await desk.enrolment.upload_selfies(ME, FRAMES)
    submitted = await desk.enrolment.submit(ME)
    await desk.enrolment.review.approve(OFFICER, submitted.id, "fine")
    return submitted.id


async def kept(desk: Desk, owner_id: str) -> list[PictureKind]:
    async with desk.world.uow(read_only=True) as u:
        return [item.kind for item in await u.identity.items(owner_id)]


async def test_agree_passes_and_keeps_no_picture(desk: Desk) -> None:
    await enrol(desk)
    assert await desk.door.uses_faces(ME)
    assert await desk.door.outstanding(ME, BOOKING) == (MOTHER, FRIEND)
    check = await desk.door.check(ME, BOOKING, FRAMES)
    assert (check.state, check.verdict, check.policy_version) == (CheckState.PASSED, Verdict.AGREE, "dlib-door-1")
    assert desk.engine.verified == [desk.engine.template]
    assert await kept(desk, check.id) == []
    assert await desk.door.outstanding(ME, BOOKING) == (FRIEND,)
    assert (await desk.door.check(ME, BOOKING, FRAMES)).id == check.id  # asked once


@pytest.mark.parametrize("verdict", [Verdict.UNSURE, Verdict.DISAGREE, Verdict.COULD_NOT_CHECK])
async def test_anything_else_is_for_an_officer(desk: Desk, verdict: Verdict) -> None:
    enrolment_id = await enrol(desk)
    desk.engine.verdict, desk.engine.reasons = verdict, ("distance",)
    check = await desk.door.check(ME, BOOKING, FRAMES)
    assert check.state is CheckState.REVIEW
    assert await desk.door.outstanding(ME, BOOKING) == (MOTHER, FRIEND)
    (row,) = (await desk.door.review.queue(OFFICER, PageRequest())).items
    assert (row.check_id, row.contact.id, row.booking_id) == (check.id, MOTHER, BOOKING)
    view = await desk.door.review.view(OFFICER, check.id)
    assert sum(picture.kind is PictureKind.DOOR for picture in view.fresh) == 5
    assert {PictureKind.DOCUMENT_FACE, PictureKind.SELFIE_FACE} <= {picture.kind for picture in view.reference}
    assert await desk.door.review.picture(OFFICER, check.id, view.fresh[0].id) in (b"clean one", b"the face")
    assert view.reasons == ()
    with pytest.raises(Conflict):
        await desk.door.review.reveal_scores(OFFICER, check.id)
    done = await desk.door.review.decide(OFFICER, check.id, passed=True, reason="spoke with her")
    assert (done.state, done.decided_by) == (CheckState.PASSED, OFFICER.reference)
    assert (await desk.door.review.reveal_scores(OFFICER, check.id)).verdict is verdict
    assert await desk.door.outstanding(ME, BOOKING) == (FRIEND,)
    assert enrolment_id == check.enrolment_id


async def test_a_refusal_is_an_officers_word_and_stands(desk: Desk) -> None:
    await enrol(desk)
    desk.engine.verdict = Verdict.DISAGREE
    check = await desk.door.check(ME, BOOKING, FRAMES)
    with pytest.raises(Invalid):
        await desk.door.review.decide(OFFICER, check.id, passed=False, reason=" ")
    await desk.door.review.decide(OFFICER, check.id, passed=False, reason="somebody else at the camera")
    desk.engine.verdict = Verdict.AGREE
    assert (await desk.door.check(ME, BOOKING, FRAMES)).state is CheckState.REFUSED
    with pytest.raises(Conflict):
        await desk.door.review.decide(OFFICER, check.id, passed=True, reason="changed my mind")


async def test_poor_pictures_may_be_taken_again_twice(desk: Desk) -> None:
    await enrol(desk)
    desk.engine.verdict, desk.engine.reasons = Verdict.COULD_NOT_CHECK, ("too_dark", "too_few_faces")
    states = [(await desk.door.check(ME, BOOKING, FRAMES)).state for _ in range(4)]
    assert states == [CheckState.RETAKE, CheckState.RETAKE, CheckState.REVIEW, CheckState.REVIEW]
    assert len((await desk.door.review.queue(OFFICER, PageRequest())).items) == 1


async def test_a_better_picture_after_a_poor_one_passes(desk: Desk) -> None:
    await enrol(desk)
    desk.engine.verdict, desk.engine.reasons = Verdict.COULD_NOT_CHECK, ("blurred", "too_few_faces")
    assert (await desk.door.check(ME, BOOKING, FRAMES)).state is CheckState.RETAKE
    desk.engine.verdict, desk.engine.reasons = Verdict.AGREE, ()
    assert (await desk.door.check(ME, BOOKING, FRAMES)).state is CheckState.PASSED


async def test_an_engine_that_is_gone_is_an_officers_matter(desk: Desk) -> None:
    await enrol(desk)
    desk.engine.works = False
    check = await desk.door.check(ME, BOOKING, FRAMES)
    assert (check.state, check.verdict) == (CheckState.REVIEW, Verdict.COULD_NOT_CHECK)
    assert check.reasons == ("engine_stopped",)


async def test_the_attended_way_is_equal(desk: Desk) -> None:
    await desk.enrolment.approve_attended(OFFICER, MOTHER, "passport seen")
    check = await desk.door.check(ME, BOOKING, FRAMES[:3], document=b"with my passport")
    assert (check.state, check.route, check.verdict) == (CheckState.REVIEW, EnrolmentRoute.ATTENDED, None)
    assert check.reasons == ("attended",)
    view = await desk.door.review.view(OFFICER, check.id)
    assert [one.kind for one in view.fresh].count(PictureKind.DOOR) == 3
    (held,) = [one for one in view.fresh if one.kind is PictureKind.DOCUMENT]
    assert await desk.door.review.picture(OFFICER, check.id, held.id) == b"clean with my passport"
    async with desk.world.uow(read_only=True) as u:
        kept_now = await u.identity.items(check.id)
    assert all(b"passport" not in item.sealed and item.delete_after is not None for item in kept_now)
    await desk.door.review.decide(OFFICER, check.id, passed=True, reason="the face of the passport")
    assert await desk.door.outstanding(ME, BOOKING) == (FRIEND,)
    assert desk.engine.verified == []
    desk.world.clock.now += timedelta(days=31)
    await desk.enrolment.purge()
    assert await kept(desk, check.id) == []


@pytest.mark.parametrize(("frames", "document"), [([], b"passport"), (FRAMES, None)])
async def test_an_officer_has_something_to_look_at(desk: Desk, frames: list[bytes], document: bytes | None) -> None:
    await desk.enrolment.approve_attended(OFFICER, MOTHER, "passport seen")
    with pytest.raises(Invalid) as missing:
        await desk.door.check(ME, BOOKING, frames, document=document)
    assert missing.value.code == "no_picture"
    assert (await desk.door.review.queue(OFFICER, PageRequest())).items == []


async def test_the_way_without_faces_is_open_at_each_door(desk: Desk) -> None:
    await enrol(desk)
    check = await desk.door.check(ME, BOOKING, FRAMES, document=b"passport")
    assert (check.state, check.reasons, check.verdict) == (CheckState.REVIEW, ("attended",), None)
    assert desk.engine.verified == []


async def test_attended_with_an_engine_that_is_gone_keeps_nothing_unsafe(desk: Desk) -> None:
    await desk.enrolment.approve_attended(OFFICER, MOTHER, "passport seen")
    desk.engine.works = False
    check = await desk.door.check(ME, BOOKING, FRAMES, document=b"passport")
    assert (check.state, check.reasons) == (CheckState.REVIEW, ("attended", "engine_stopped"))
    assert await kept(desk, check.id) == []


async def test_attended_pictures_that_are_none_leave_no_trace(desk: Desk) -> None:
    await desk.enrolment.approve_attended(OFFICER, MOTHER, "passport seen")
    with pytest.raises(ImageRefused):
        await desk.door.check(ME, BOOKING, FRAMES, document=b"broken")
    assert (await desk.door.review.queue(OFFICER, PageRequest())).items == []


async def test_without_an_enrolment_an_officer_looks(desk: Desk) -> None:
    no_enrolment = await desk.door.check(ME, BOOKING, FRAMES, document=b"passport")
    assert await kept(desk, no_enrolment.id) == [PictureKind.DOCUMENT, *[PictureKind.DOOR] * 5]
    assert (no_enrolment.state, no_enrolment.reasons) == (CheckState.REVIEW, ("no_enrolment",))


async def test_a_template_that_is_gone(desk: Desk) -> None:
    enrolment_id = await enrol(desk)
    async with desk.world.uow() as u:
        await u.identity.delete_items(enrolment_id, frozenset({PictureKind.TEMPLATE}))
        await u.commit()
    check = await desk.door.check(ME, BOOKING, FRAMES)
    assert (check.state, check.reasons) == (CheckState.REVIEW, ("no_template",))
    assert await kept(desk, check.id) == [PictureKind.DOOR] * 5


async def test_every_adult_is_checked_and_children_are_counted(desk: Desk) -> None:
    await enrol(desk)
    await desk.enrolment.approve_attended(OFFICER, FRIEND, "seen")
    beside = await desk.door.check(ME, BOOKING, FRAMES, document=b"passport", contact_id=FRIEND)
    assert (beside.contact_id, beside.state) == (FRIEND, CheckState.REVIEW)
    with pytest.raises(Invalid) as minor:
        await desk.door.check(ME, BOOKING, FRAMES, contact_id=CHILD)
    assert minor.value.code == "minor"
    with pytest.raises(NotFound):
        await desk.door.check(ME, BOOKING, FRAMES, contact_id="con_lawyer")


async def test_when_the_door_is_open(desk: Desk, booking: Booking) -> None:
    await enrol(desk)
    clock = desk.world.clock
    clock.now = booking.starts_at - timedelta(minutes=31)
    with pytest.raises(Conflict) as early:
        await desk.door.check(ME, BOOKING, FRAMES)
    assert early.value.code == "too_early"
    clock.now = booking.ends_at
    with pytest.raises(Conflict):
        await desk.door.check(ME, BOOKING, FRAMES)


async def test_strangers_find_nothing(desk: Desk) -> None:
    await enrol(desk)
    desk.engine.verdict = Verdict.UNSURE
    check = await desk.door.check(ME, BOOKING, FRAMES)
    for attempt in (
        desk.door.check(family("con_lawyer"), BOOKING, FRAMES),
        desk.door.check(OFFICER, BOOKING, FRAMES),
        desk.door.outstanding(family("con_lawyer"), BOOKING),
        desk.door.review.view(STRANGER, check.id),
        desk.door.review.decide(STRANGER, check.id, passed=True, reason="reason"),
        desk.door.review.decide(ME, check.id, passed=True, reason="it is me"),
        desk.door.review.view(ME, check.id),
        desk.door.review.queue(ME, PageRequest()),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert (await desk.door.review.queue(STRANGER, PageRequest())).items == []


async def test_broken_pictures_leave_no_trace(desk: Desk) -> None:
    await enrol(desk)
    with pytest.raises(ImageRefused):
        await desk.door.check(ME, BOOKING, [b"one", b"broken", b"three"])
    assert (await desk.door.check(ME, BOOKING, FRAMES)).state is CheckState.PASSED


async def test_an_approval_that_ran_out_is_none(desk: Desk, booking: Booking) -> None:
    enrolment_id = await enrol(desk)
    async with desk.world.uow() as u:
        (await u.identity.get_enrolment(enrolment_id)).expires_at = desk.world.clock()
        await u.commit()
    assert (await desk.door.check(ME, BOOKING, FRAMES, document=b"passport")).reasons == ("no_enrolment",)


async def test_of_two_officers_at_the_door_one_decides(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await enrol(desk)
    desk.engine.verdict = Verdict.DISAGREE
    check = await desk.door.check(ME, BOOKING, FRAMES)
    review = desk.door.review
    done = await decide_at_once(
        desk.world,
        monkeypatch,
        [
            lambda: review.decide(OFFICER, check.id, passed=False, reason="somebody else at the camera"),
            lambda: review.decide(COLLEAGUE, check.id, passed=True, reason="a new haircut"),
        ],
    )
    assert len(done) == 1
    async with desk.world.uow(read_only=True) as u:
        kept = await u.identity.get_check(check.id)
    officer, state = [(OFFICER, CheckState.REFUSED), (COLLEAGUE, CheckState.PASSED)][done[0]]
    assert (kept.decided_by, kept.state) == (officer.reference, state)
