"""The queue, and each kind of review, in a browser: what is shown, in which order, and what a decision does."""

from __future__ import annotations

from datetime import date, timedelta

import cv2
import numpy as np
import pytest
from playwright.async_api import Browser, expect

from signaling.ids import new_id
from tests.e2e.support import axe
from tests.e2e.support.browser import PHONE, WIDE
from tests.integration.console.house import ConsoleHouse, picture
from visitserver.domain.identity import (
    CheckState,
    Enrolment,
    EnrolmentRoute,
    EnrolmentState,
    IdentityCheck,
    PictureKind,
    Verdict,
)
from visitserver.domain.paging import PageRequest
from visitserver.domain.rights import PrisonerAnswer, RelationshipState
from visitserver.services.identity_reading import plain_of
from visitserver.services.ports.audit import AuditFilter
from visitserver.services.ports.identity_engine import DocumentFields, DocumentReading, FieldCheck

SCORE = 0.4321


def face(bgr: tuple[int, int, int]) -> bytes:
    """A JPEG that can be told from others: no picture of a person is needed here."""
    image = np.full((240, 240, 3), bgr, np.uint8)
    cv2.circle(image, (120, 110), 60, (230, 230, 230), -1)
    encoded, data = cv2.imencode(".jpg", image)
    assert encoded
    return bytes(data.tobytes())


def reading(birth: date) -> DocumentReading:
    """A passport whose family name is not the one that was typed, and whose number was misread."""
    fields = DocumentFields("P", "FIN", "XP81224O1", "AALTONEN", "MAIJA", "FIN", "F", birth, date(2031, 5, 1), "")
    checks = (
        FieldCheck("check_digit:number", False),
        FieldCheck("check_digit:birth_date", True),
        FieldCheck("check_digit:expires", True),
        FieldCheck("check_digit:composite", False),
        FieldCheck("expiry", True, "2031-05-01"),
        FieldCheck("family_name_agrees", False),
        FieldCheck("given_names_agree", True),
        FieldCheck("birth_date_agrees", True),
    )
    lines = ("P<FINAALTONEN<<MAIJA<<<<<<<<<<<<<<<<<<<<<<<<", "XP81224O17FIN8403018F3105018<<<<<<<<<<<<<<02")
    return DocumentReading(fields, "TD3", lines, (), checks, ("zone_unclear",), True)


async def enrol(house: ConsoleHouse, number: int = 0, route: EnrolmentRoute = EnrolmentRoute.FACE) -> str:
    """An enrolment that was handed in, with its pictures sealed."""
    import json

    contact = house.pairs[number].contact
    now = house.now()
    enrolment = Enrolment(
        id=new_id("enr"),
        contact_id=contact.id,
        route=route,
        state=EnrolmentState.SUBMITTED,
        created_at=now - timedelta(hours=30),
        expires_at=now + timedelta(days=20),
        notice_version="2026-1",
        informed_at=now - timedelta(hours=30),
        submitted_at=now - timedelta(hours=29),
    )
    if route is EnrolmentRoute.FACE:
        enrolment.document_problems = ("zone_unclear",)
        enrolment.face_verdict, enrolment.face_distances = Verdict.AGREE, (SCORE, 0.41, 0.47)
        enrolment.face_reasons, enrolment.liveness = ("distance",), "turned 0.41 left right"
        enrolment.policy_version, enrolment.model_version = "dlib-enrolment-1", "dlib_resnet_v1"
    async with house.http.uow() as u:
        u.identity.add(enrolment)
        if route is EnrolmentRoute.FACE:
            contents = {
                PictureKind.DOCUMENT: [face((120, 90, 60))],
                PictureKind.DOCUMENT_FACE: [face((60, 120, 90))],
                PictureKind.SELFIE: [face((90, 60, 120)), face((90, 60, 160))],
                PictureKind.SELFIE_FACE: [face((90, 60, 120))],
                PictureKind.READING: [json.dumps(plain_of(reading(contact.born_on))).encode()],
            }
            await house.services.enrolment._items.replace(
                u, contact.id, enrolment.id, contents, delete_after=now + timedelta(days=60)
            )
        await u.commit()
    return enrolment.id


async def knock(house: ConsoleHouse, number: int = 0, enrolment_id: str | None = None) -> str:
    """Somebody in the waiting room whom the machine did not pass."""
    booking = await house.book(house.pairs[number], timedelta(minutes=10))
    contact = house.pairs[number].contact
    check = IdentityCheck(
        id=new_id("chk"),
        booking_id=booking.id,
        prison_id=house.http.prison.id,
        contact_id=contact.id,
        state=CheckState.REVIEW,
        route=EnrolmentRoute.FACE,
        created_at=house.now() - timedelta(minutes=2),
        enrolment_id=enrolment_id,
        verdict=Verdict.UNSURE,
        reasons=("doubt", "too_dark"),
        distances=(SCORE,),
        liveness="not_turned 0.02",
    )
    async with house.http.uow() as u:
        u.identity.add(check)
        pictures = {PictureKind.DOOR: [face((40, 40, 90)), face((40, 40, 110)), face((40, 40, 130))]}
        await house.services.door._items.replace(
            u, contact.id, check.id, pictures, delete_after=house.now() + timedelta(days=30)
        )
        await u.commit()
    return check.id


async def audited(house: ConsoleHouse, action: str) -> list[str]:
    """The objects of an action's audit rows."""
    async with house.http.uow(read_only=True) as u:
        return [row.object_id for row in (await u.audit.rows(AuditFilter(action=action), PageRequest(50))).items]


async def ask_again(house: ConsoleHouse, number: int) -> str:
    """Turn a pair's relationship back into a request; its id."""
    link = house.pairs[number].relationship
    async with house.http.uow() as u:
        found = await u.rights.get_relationship(link.id)
        found.state, found.prisoner_answer = RelationshipState.REQUESTED, PrisonerAnswer.UNANSWERED
        await u.commit()
    return link.id


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
async def test_the_queue_puts_the_waiting_room_first_and_every_page_is_accessible(
    house: ConsoleHouse, chrome: Browser, size: tuple[int, int]
) -> None:
    enrolment_id = await enrol(house)
    check_id = await knock(house, 0, enrolment_id)
    attended_id = await enrol(house, 1, EnrolmentRoute.ATTENDED)
    link_id = await ask_again(house, 2)
    async with house.staff(chrome, "officer", size) as officer:
        page = officer.page
        await page.goto("/staff/reviews")
        sections = await page.locator("section h2").all_inner_texts()
        assert [text.rstrip("0123456789+ ") for text in sections] == ["At the door now", "Identity", "Contact requests"]
        await expect(page.locator("section").nth(0)).to_contain_text("waits now")
        await expect(page.locator("section").nth(1)).to_contain_text("urgent")  # 29 hours
        for name, path in {
            "reviews": "/staff/reviews",
            "reviews-identity": "/staff/reviews?kind=identity",
            "review-identity": f"/staff/reviews/identity/{enrolment_id}",
            "review-attended": f"/staff/reviews/identity/{attended_id}",
            "review-door": f"/staff/reviews/door/{check_id}",
            "review-relationship": f"/staff/reviews/relationships/{link_id}",
            "today-queue": "/staff",
        }.items():
            response = await page.goto(path)
            assert response is not None and response.status == 200, path
            await axe.check(page)
            assert not await officer.overflows(), path
            await picture(officer, f"{name}-{size[0]}")


async def test_an_identity_is_decided_before_the_machine_is_heard(house: ConsoleHouse, chrome: Browser) -> None:
    enrolment_id = await enrol(house)
    async with house.staff(chrome, "officer", allow=["422"]) as officer:
        page = officer.page
        await page.goto(f"/staff/reviews/identity/{enrolment_id}")
        await expect(page.get_by_text("None of this proves that the document is authentic.")).to_be_visible()
        await page.wait_for_load_state("load")
        faces = page.locator(".faces img")
        sizes = await faces.evaluate_all("all => all.map(one => [one.width, one.height, one.naturalWidth > 0])")
        assert len(sizes) == 2 and sizes[0] == sizes[1] and sizes[0][2]
        row = page.get_by_role("row", name="Family name")
        await expect(row).to_contain_text("AALTONEN")
        await expect(row).to_contain_text("Aalto")
        await expect(row).to_contain_text("as typed: no")
        await expect(page.get_by_role("row", name="Number")).to_contain_text("check digit: no")
        assert str(SCORE)[:4] not in await page.content(), "the score is in the page before the decision"
        await page.get_by_label("Refuse").check()
        await page.fill("#reason", "The name is another one.")
        await page.get_by_role("button", name="Decide").click()
        await expect(page.locator(".has-error")).to_contain_text("Please write what the caller reads.")
        assert await page.input_value("#reason") == "The name is another one."
        await page.get_by_label("Approve").check()
        await page.get_by_role("button", name="Decide").click()
        await expect(page.locator("h1")).to_contain_text("Approved")
        assert str(SCORE)[:4] not in await page.content()
        await page.get_by_role("button", name="Show what the machine said").click()
        await expect(page.get_by_text("0.43 · 0.41 · 0.47")).to_be_visible()
        await axe.check(page)
        await picture(officer, "review-identity-decided")
    assert await audited(house, "identity.approve") == [enrolment_id]
    assert await audited(house, "identity.scores") == [enrolment_id]


async def test_more_is_asked_for_in_the_callers_words(house: ConsoleHouse, chrome: Browser) -> None:
    enrolment_id = await enrol(house)
    async with house.staff(chrome, "officer") as officer:
        page = officer.page
        await page.goto(f"/staff/reviews/identity/{enrolment_id}")
        await page.get_by_label("Ask for more").check()
        await page.fill("#words", "Please photograph the page with the two lines of letters again, in daylight.")
        await page.get_by_role("button", name="Decide").click()
        await expect(page.locator("h1")).to_contain_text("More was asked for")
    async with house.http.uow(read_only=True) as u:
        found = await u.identity.get_enrolment(enrolment_id)
    assert found.state is EnrolmentState.MORE_INFORMATION
    assert found.words_for_caller is not None and found.words_for_caller.startswith("Please photograph")


@pytest.mark.parametrize(
    ("choice", "state", "word"),
    [("Let in", CheckState.PASSED, "Let in"), ("Do not let in", CheckState.REFUSED, "Not let in")],
)
async def test_the_door_is_decided_with_a_reason(
    house: ConsoleHouse, chrome: Browser, choice: str, state: CheckState, word: str
) -> None:
    enrolment_id = await enrol(house)
    check_id = await knock(house, 0, enrolment_id)
    async with house.staff(chrome, "officer") as officer:
        page = officer.page
        await page.goto("/staff/wall")
        await page.get_by_role("link", name="1 person waits at the door for an officer").click()
        await page.locator("section").first.get_by_role("link", name="Maija Aalto").click()
        await page.wait_for_url(f"**/staff/reviews/door/{check_id}")
        await page.wait_for_load_state("load")
        loaded = await page.locator(".frames img").evaluate_all("all => all.map(one => one.naturalWidth > 0)")
        assert loaded == [True] * 6  # three of now; document, its face and the selfie's of then
        assert str(SCORE)[:4] not in await page.content()
        await page.get_by_role("radio", name=choice, exact=False).first.check()
        await page.fill("#reason", "Looked at the pictures, and spoke with her.")
        await page.get_by_role("button", name="Decide").click()
        await expect(page.locator("h1")).to_contain_text(word)
    async with house.http.uow(read_only=True) as u:
        assert (await u.identity.get_check(check_id)).state is state


async def test_a_contact_request_is_approved_or_refused(house: ConsoleHouse, chrome: Browser) -> None:
    first, second = await ask_again(house, 0), await ask_again(house, 1)
    async with house.staff(chrome, "officer") as officer:
        page = officer.page
        for link_id, choice in ((first, "Approve"), (second, "Refuse")):
            await page.goto(f"/staff/reviews/relationships/{link_id}")
            await page.get_by_label(choice).check()
            await page.fill("#reason", "As the social worker says.")
            await page.get_by_role("button", name="Decide").click()
            await page.wait_for_url("**/staff/reviews")
    async with house.http.uow(read_only=True) as u:
        states = [(await u.rights.get_relationship(link_id)).state for link_id in (first, second)]
    assert states == [RelationshipState.APPROVED, RelationshipState.REFUSED]


async def test_pictures_are_for_officers_of_the_prison_alone(house: ConsoleHouse) -> None:
    enrolment_id = await enrol(house)
    check_id = await knock(house, 0, enrolment_id)
    officer, elsewhere, auditor = [await house.http.staff(who) for who in ("officer", "other-officer", "auditor")]
    view = await house.services.door.review.view(_officer(house), check_id)
    own = await house.services.enrolment.review.view(_officer(house), enrolment_id)
    for path in (
        f"/api/reviews/door/{check_id}/pictures/{view.fresh[0].id}",
        f"/api/reviews/identity/{enrolment_id}/pictures/{own.pictures[0].id}",
    ):
        response = await officer.get(path)
        assert response.status == 200 and response.content_type == "image/jpeg"
        assert response.headers["Cache-Control"] == "no-store"
        assert (await elsewhere.get(path)).status == 404
        assert (await auditor.get(path)).status == 403


def _officer(house: ConsoleHouse):  # type: ignore[no-untyped-def]
    from visitserver.domain.actors import Actor, ActorKind

    return Actor(ActorKind.STAFF, "stf_test", house.http.prison.id)
