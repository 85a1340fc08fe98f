"""Enrolment from consent to a person's decision, on both databases."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from tests.fakes.identity_engine import READING
from tests.fixtures.deciding import decide_at_once
from tests.fixtures.rights import FRIEND, MOTHER, STAFF, family, make_contact
from tests.integration.identity.conftest import COLLEAGUE, OFFICER, STRANGER, Desk
from visitserver.domain.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from visitserver.domain.identity import Enrolment, EnrolmentRoute, EnrolmentState, PictureKind, Verdict
from visitserver.domain.paging import PageRequest
from visitserver.services.identity_standing import identity_standings
from visitserver.services.ports.audit import AuditFilter
from visitserver.services.ports.identity_engine import FieldCheck, ImageRefused

ME = family(MOTHER)
SELFIES = [b"one", b"two", b"three", b"four", b"five"]


async def hand_in(desk: Desk) -> Enrolment:
    await desk.enrolment.begin(ME, EnrolmentRoute.FACE)
    await desk.enrolment.upload_document(ME, b"a page")
    await desk.enrolment.upload_selfies(ME, SELFIES)
    return await desk.enrolment.submit(ME)


async def items_of(desk: Desk, owner_id: str) -> list[PictureKind]:
    async with desk.world.uow(read_only=True) as u:
        return [item.kind for item in await u.identity.items(owner_id)]


async def approved(desk: Desk, contact_id: str = MOTHER) -> bool:
    async with desk.world.uow(read_only=True) as u:
        standing = (await identity_standings(u, [contact_id])).get(contact_id)
    return standing is not None and standing.expires_at is not None and desk.world.clock() < standing.expires_at


async def test_the_whole_way(desk: Desk) -> None:
    assert await desk.enrolment.mine(ME) is None
    begun = await desk.enrolment.begin(ME, EnrolmentRoute.FACE, request_id="req_1")
    assert (begun.state, begun.informed_at) == (EnrolmentState.INFORMED, desk.world.clock())
    document = await desk.enrolment.upload_document(ME, b"a page")
    assert (document.enrolment.state, document.retake) == (EnrolmentState.DOCUMENT, False)
    selfies = await desk.enrolment.upload_selfies(ME, SELFIES, prompts=["straight"] * 5)
    assert (selfies.enrolment.state, selfies.problems) == (EnrolmentState.SELFIE, ())
    assert (await desk.enrolment.submit(ME)).state is EnrolmentState.SUBMITTED
    assert not await approved(desk)

    (row,) = (await desk.enrolment.review.queue(OFFICER, PageRequest())).items
    assert (row.enrolment_id, row.contact.id) == (begun.id, MOTHER)
    view = await desk.enrolment.review.view(OFFICER, begun.id)
    assert view.reading is not None and view.reading.fields == READING.fields
    assert view.contact.name == "Maija Mother"
    assert view.document_face is not None and view.selfie_face is not None
    assert await desk.enrolment.review.picture(OFFICER, begun.id, view.document_face.id) == b"the portrait"
    assert await desk.enrolment.review.picture(OFFICER, begun.id, view.selfie_face.id) == b"the face"
    assert sum(picture.kind is PictureKind.SELFIE for picture in view.pictures) == 5
    assert any("authentic" in warning for warning in view.warnings)

    done = await desk.enrolment.review.approve(OFFICER, begun.id, "document and face agree")
    assert (done.state, done.decided_by) == (EnrolmentState.APPROVED, OFFICER.reference)
    assert done.document_valid_until is not None and done.expires_at == done.document_valid_until
    assert await approved(desk)
    assert (await desk.enrolment.review.queue(OFFICER, PageRequest())).items == []
    async with desk.world.uow(read_only=True) as u:
        rows = (await u.audit.rows(AuditFilter(object_id=begun.id), PageRequest())).items
    actions = [row.action for row in reversed(rows)]
    assert actions == [
        *("identity.begin", "identity.document", "identity.selfies", "identity.submit", "identity.view"),
        *("identity.picture", "identity.picture", "identity.approve"),
    ]
    assert rows[-1].request_id == "req_1"


async def test_the_officer_decides_before_the_figures_are_shown(desk: Desk) -> None:
    desk.engine.verdict, desk.engine.distance, desk.engine.reasons = Verdict.DISAGREE, 0.81, ("distance",)
    submitted = await hand_in(desk)
    # The machine says disagree, and nothing happens but that an officer looks, who is told nothing of it.
    assert submitted.state is EnrolmentState.SUBMITTED
    view = await desk.enrolment.review.view(OFFICER, submitted.id)
    shown = repr(replace(view, contact=None))  # type: ignore[arg-type]
    assert "0.81" not in shown and "disagree" not in shown and "distance" not in shown
    assert not view.scores_can_be_seen
    with pytest.raises(Conflict) as hidden:
        await desk.enrolment.review.reveal_scores(OFFICER, submitted.id)
    assert hidden.value.code == "scores_hidden"
    await desk.enrolment.review.approve(OFFICER, submitted.id, "older photo; asked by telephone")
    scores = await desk.enrolment.review.reveal_scores(OFFICER, submitted.id)
    assert (scores.verdict, scores.distances) == (Verdict.DISAGREE, (0.81,) * 5)
    assert await approved(desk)


async def test_more_information_then_again(desk: Desk) -> None:
    first = await hand_in(desk)
    asked = await desk.enrolment.review.ask_more(OFFICER, first.id, "Please photograph the other side, too.")
    assert asked.words_for_caller == "Please photograph the other side, too."
    with pytest.raises(Conflict):
        await desk.enrolment.submit(ME)  # nothing new was sent
    await desk.enrolment.upload_document(ME, b"a better page")
    assert await items_of(desk, first.id) == [PictureKind.DOCUMENT, PictureKind.DOCUMENT_FACE, PictureKind.READING]
    await desk.enrolment.upload_selfies(ME, SELFIES)
    assert (await desk.enrolment.submit(ME)).id == first.id


async def test_refusal_appeal_another_officer(desk: Desk) -> None:
    first = await hand_in(desk)
    with pytest.raises(Invalid):
        await desk.enrolment.review.refuse(OFFICER, first.id, "", "words")
    refused = await desk.enrolment.review.refuse(
        OFFICER, first.id, "not the same person", "We could not see that it is you."
    )
    assert refused.state is EnrolmentState.REFUSED
    assert PictureKind.TEMPLATE not in await items_of(desk, first.id)
    await desk.enrolment.appeal(ME, "I had a beard then.")
    with pytest.raises(Forbidden) as same:
        await desk.enrolment.review.approve(OFFICER, first.id, "again")
    assert same.value.code == "appeal_same_officer"
    assert (await desk.enrolment.review.view(COLLEAGUE, first.id)).appeal == "I had a beard then."
    await desk.enrolment.review.approve(COLLEAGUE, first.id, "it is the same person")
    assert await approved(desk)


async def test_after_a_refusal_one_may_start_once_more(desk: Desk) -> None:
    first = await hand_in(desk)
    await desk.enrolment.review.refuse(OFFICER, first.id, "unreadable", "The document cannot be read.")
    second = await desk.enrolment.again(ME)
    assert (second.state, second.id != first.id) == (EnrolmentState.INVITED, True)
    assert (await hand_in(desk)).id == second.id


async def test_the_way_without_faces(desk: Desk) -> None:
    begun = await desk.enrolment.begin(ME, EnrolmentRoute.ATTENDED)
    with pytest.raises(Conflict):
        await desk.enrolment.upload_selfies(ME, SELFIES)
    submitted = await desk.enrolment.submit(ME)
    view = await desk.enrolment.review.view(OFFICER, submitted.id)
    assert (view.reading, view.pictures) == (None, ())
    assert "an officer looks at pictures of them" in view.warnings[0]
    await desk.enrolment.review.approve(OFFICER, begun.id, "met by video")
    assert await approved(desk)
    assert not await desk.door.uses_faces(ME)


async def test_an_officer_approves_somebody_who_came_in_person(desk: Desk) -> None:
    made = await desk.enrolment.approve_attended(OFFICER, FRIEND, "passport seen at the gate")
    assert (made.route, made.state) == (EnrolmentRoute.ATTENDED, EnrolmentState.APPROVED)
    assert await approved(desk, FRIEND)
    async with desk.world.uow() as u:
        u.people.add(make_contact("con_unrelated"))
        await u.commit()
    with pytest.raises(NotFound):
        await desk.enrolment.approve_attended(OFFICER, "con_unrelated", "reason")


async def test_officers_of_other_prisons_find_nothing(desk: Desk) -> None:
    submitted = await hand_in(desk)
    review = desk.enrolment.review
    assert (await review.queue(STRANGER, PageRequest())).items == []
    view = await review.view(OFFICER, submitted.id)
    for attempt in (
        review.view(STRANGER, submitted.id),
        review.picture(STRANGER, submitted.id, view.pictures[0].id),
        review.approve(STRANGER, submitted.id, "reason"),
        review.refuse(STRANGER, submitted.id, "reason", "words"),
        review.reveal_scores(STRANGER, submitted.id),
        review.view(ME, submitted.id),
        review.approve(ME, submitted.id, "it is me"),
        review.queue(ME, PageRequest()),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_template_and_reading_are_no_pictures(desk: Desk) -> None:
    submitted = await hand_in(desk)
    async with desk.world.uow(read_only=True) as u:
        items = await u.identity.items(submitted.id)
    for item in items:
        if item.kind in (PictureKind.TEMPLATE, PictureKind.READING):
            with pytest.raises(NotFound):
                await desk.enrolment.review.picture(OFFICER, submitted.id, item.id)


async def test_nothing_lies_open_in_the_database(desk: Desk) -> None:
    await hand_in(desk)
    async with desk.world.uow() as u:
        rows = (await u.session.execute(text("SELECT sealed FROM sealed_items"))).all()  # type: ignore[attr-defined]
        assert len(rows) == 10
        for (sealed,) in rows:
            for secret in (b"the page", b"clean one", b"the face", b"MAIJA", b"L898902C3", desk.engine.template[:16]):
                assert secret not in bytes(sealed)


async def test_taking_consent_back_erases_everything(desk: Desk) -> None:
    submitted = await hand_in(desk)
    await desk.enrolment.review.approve(OFFICER, submitted.id, "fine")
    await desk.enrolment.revoke(ME)
    assert await items_of(desk, submitted.id) == []
    assert not await approved(desk)
    async with desk.world.uow(read_only=True) as u:
        assert await u.identity.find_key(MOTHER) is None
    # And one may begin again, with a new key.
    assert (await hand_in(desk)).state is EnrolmentState.SUBMITTED


async def test_what_is_kept_and_for_how_long(desk: Desk) -> None:
    submitted = await hand_in(desk)
    await desk.enrolment.review.approve(OFFICER, submitted.id, "fine")
    clock = desk.world.clock
    clock.advance(days=29, hours=23)
    assert await desk.enrolment.purge() == 0
    clock.advance(hours=2)
    assert await desk.enrolment.purge() == 9
    assert await items_of(desk, submitted.id) == [PictureKind.TEMPLATE]
    assert await approved(desk)
    clock.advance(days=366)
    assert await desk.enrolment.purge() >= 0
    assert await items_of(desk, submitted.id) == []
    assert await desk.enrolment.purge() == 0


async def test_a_template_that_is_used_is_kept(desk: Desk) -> None:
    submitted = await hand_in(desk)
    done = await desk.enrolment.review.approve(OFFICER, submitted.id, "fine")
    async with desk.world.uow() as u:
        (template,) = await u.identity.items(submitted.id, PictureKind.TEMPLATE)
        await u.identity.template_used(template.id, desk.world.clock() + timedelta(days=300))
        await u.commit()
    desk.world.clock.advance(days=380)
    assert done.expires_at > desk.world.clock()
    await desk.enrolment.purge()
    assert await items_of(desk, submitted.id) == [PictureKind.TEMPLATE]


async def test_what_was_never_handed_in_goes(desk: Desk) -> None:
    begun = await desk.enrolment.begin(ME, EnrolmentRoute.FACE)
    await desk.enrolment.upload_document(ME, b"a page")
    desk.world.clock.advance(days=31)
    with pytest.raises(Conflict):
        await desk.enrolment.upload_document(ME, b"a page")
    await desk.enrolment.purge()
    assert await items_of(desk, begun.id) == []
    latest = await desk.enrolment.mine(ME)
    assert latest is not None and latest.state is EnrolmentState.EXPIRED


async def test_what_waits_for_an_officer_does_not_run_out(desk: Desk) -> None:
    submitted = await hand_in(desk)
    desk.world.clock.advance(days=45)
    await desk.enrolment.purge()
    assert len((await desk.enrolment.review.queue(OFFICER, PageRequest())).items) == 1
    assert PictureKind.DOCUMENT in await items_of(desk, submitted.id)


async def test_a_new_approval_takes_the_place_of_the_old(desk: Desk) -> None:
    first = await hand_in(desk)
    await desk.enrolment.review.approve(OFFICER, first.id, "fine")
    second = await hand_in(desk)
    assert await approved(desk)  # the old one holds until the new one is decided
    await desk.enrolment.review.approve(OFFICER, second.id, "fine again")
    assert PictureKind.TEMPLATE not in await items_of(desk, first.id)
    async with desk.world.uow(read_only=True) as u:
        assert (await u.identity.approved_enrolments([MOTHER]))[MOTHER].id == second.id


async def test_bad_pictures_change_nothing(desk: Desk) -> None:
    begun = await desk.enrolment.begin(ME, EnrolmentRoute.FACE)
    with pytest.raises(ImageRefused):
        await desk.enrolment.upload_document(ME, b"broken")
    desk.engine.works = False
    with pytest.raises(Unavailable) as stopped:
        await desk.enrolment.upload_document(ME, b"a page")
    assert stopped.value.code == "engine_stopped"
    desk.engine.works = True
    await desk.enrolment.upload_document(ME, b"a page")
    for frames in (SELFIES[:2], SELFIES * 3):
        with pytest.raises(Invalid):
            await desk.enrolment.upload_selfies(ME, frames)
    desk.engine.works = False
    with pytest.raises(Unavailable):
        await desk.enrolment.upload_selfies(ME, SELFIES)
    latest = await desk.enrolment.mine(ME)
    assert latest is not None
    assert (latest.id, latest.state) == (begun.id, EnrolmentState.DOCUMENT)


async def test_problems_of_a_document_are_kept_and_do_not_stop_anybody(desk: Desk) -> None:
    desk.engine.reading = replace(
        READING, problems=("zone_too_small",), checks=(FieldCheck("expiry", False, "2025-01-01"),), fields=None
    )
    await desk.enrolment.begin(ME, EnrolmentRoute.FACE)
    sent = await desk.enrolment.upload_document(ME, b"a page")
    assert sent.retake
    assert sent.enrolment.document_problems == ("zone_too_small", "expired")
    desk.engine.verdict, desk.engine.reasons = Verdict.COULD_NOT_CHECK, ("no_face", "too_few_faces")
    selfies = await desk.enrolment.upload_selfies(ME, SELFIES)
    assert selfies.retake
    await desk.enrolment.submit(ME)
    view = await desk.enrolment.review.view(OFFICER, sent.enrolment.id)
    assert view.observations == ("no_face", "too_few_faces")


async def test_steps_out_of_order(desk: Desk) -> None:
    for step in (desk.enrolment.upload_document(ME, b"a page"), desk.enrolment.upload_selfies(ME, SELFIES)):
        with pytest.raises(Conflict):
            await step
    with pytest.raises(NotFound):
        await desk.enrolment.submit(ME)
    await desk.enrolment.begin(ME, EnrolmentRoute.FACE)
    with pytest.raises(Conflict):
        await desk.enrolment.upload_selfies(ME, SELFIES)
    with pytest.raises(Conflict):
        await desk.enrolment.submit(ME)
    with pytest.raises(Forbidden):
        await desk.enrolment.begin(STAFF, EnrolmentRoute.FACE)
    submitted = await hand_in(desk)
    with pytest.raises(Conflict):
        await desk.enrolment.begin(ME, EnrolmentRoute.ATTENDED)
    await desk.enrolment.review.approve(OFFICER, submitted.id, "fine")
    with pytest.raises(Conflict):
        await desk.enrolment.review.refuse(OFFICER, submitted.id, "late thought", "no")


async def test_the_audit_log_holds_no_personal_data(desk: Desk) -> None:
    submitted = await hand_in(desk)
    async with desk.world.uow(read_only=True) as u:
        rows = (await u.audit.rows(AuditFilter(object_id=submitted.id), PageRequest())).items
    written = json.dumps([[row.action, dict(row.data)] for row in rows])
    for secret in ("MAIJA", "Maija", "L898902C3", "1980"):
        assert secret not in written
    assert "0.3000" in written  # scores and hashes are kept


async def test_of_two_officers_who_decide_at_once_one_decides(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted = await hand_in(desk)
    review = desk.enrolment.review
    done = await decide_at_once(
        desk.world,
        monkeypatch,
        [
            lambda: review.approve(OFFICER, submitted.id, "the same person"),
            lambda: review.refuse(COLLEAGUE, submitted.id, "somebody else", "Write to us."),
        ],
    )
    assert len(done) == 1
    async with desk.world.uow(read_only=True) as u:
        kept = await u.identity.get_enrolment(submitted.id)
        rows = (await u.audit.rows(AuditFilter(object_id=submitted.id), PageRequest())).items
    officer, state = [(OFFICER, EnrolmentState.APPROVED), (COLLEAGUE, EnrolmentState.REFUSED)][done[0]]
    assert (kept.decided_by, kept.state) == (officer.reference, state)
    assert len([row for row in rows if row.action in ("identity.approve", "identity.refuse")]) == 1
