"""The identity page's steps, the pictures' way in, the door, and deleting; over real services and a fake engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import FormData

from signaling.ids import new_id
from tests.fakes.identity_engine import FakeIdentityEngine
from tests.fixtures.http_app import Browser
from tests.integration.web.visiting import Visiting
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.identity import Enrolment, EnrolmentState, Verdict
from visitserver.domain.paging import PageRequest
from visitserver.identity.vault import PersonVault
from visitserver.services.door import DoorService
from visitserver.services.enrolment import EnrolmentService


@dataclass
class Enrolling:
    """Kim's browser and what stands behind it."""

    visiting: Visiting
    engine: FakeIdentityEngine
    kim: Browser

    async def enrolment(self) -> Enrolment:
        found = await self.visiting.services.enrolment.mine(Actor(ActorKind.FAMILY, self.visiting.house.contact.id))
        assert found is not None
        return found  # type: ignore[no-any-return]

    async def page(self, path: str = "/identity") -> str:
        return await (await self.kim.get(path)).text()

    async def send(self, path: str, name: str, *pictures: bytes, **texts: list[str]) -> Any:
        """Post pictures as the page's module does."""
        form = FormData(default_to_multipart=True)
        for field, values in texts.items():
            for value in values:
                form.add_field(field, value)
        for number, picture in enumerate(pictures):
            form.add_field(name, picture, filename=f"{number}.jpg", content_type="image/jpeg")
        await self.kim.get("/home")
        return await self.kim.request("POST", path, data=form, headers={"X-CSRF-Token": self.kim.csrf})

    async def to_selfies(self) -> None:
        await self.page()
        assert (await self.kim.post("/identity", {"route": "face"})).status == 303
        sent = await self.send("/api/identity/document", "image", b"passport")
        assert (sent.status, await sent.json()) == (200, {"retake": []})


@pytest.fixture
async def enrolling(visiting: Visiting) -> Enrolling:
    engine = FakeIdentityEngine()
    house = visiting.house
    vault = PersonVault(bytes(range(32)))
    visiting.services.enrolment = EnrolmentService(house.uow, house.clock, engine, vault, new_id)
    visiting.services.door = DoorService(house.uow, house.clock, engine, vault, new_id)
    return Enrolling(visiting, engine, await house.family())


async def test_from_consent_to_handing_in(enrolling: Enrolling) -> None:
    page = await enrolling.page()
    assert "What we check, and what we keep" in page
    assert "Without face comparison" in page
    await enrolling.to_selfies()
    assert 'purpose="selfie"' in await enrolling.page()
    frames = [b"face"] * 5
    sent = await enrolling.send(
        "/api/identity/selfies", "frame", *frames, prompt=["straight", "left", "straight", "right", "closer"]
    )
    assert (sent.status, await sent.json()) == (200, {"retake": []})
    assert "Send it to the officer" in await enrolling.page()
    done = await enrolling.kim.request(
        "POST", "/api/identity/submit", json={}, headers={"X-CSRF-Token": enrolling.kim.csrf}
    )
    assert (await done.json()) == {"state": "submitted"}
    assert "An officer is looking at it" in await enrolling.page()
    assert "An officer is looking at it" in await enrolling.page("/home")


async def test_the_way_without_a_face_asks_for_no_picture(enrolling: Enrolling) -> None:
    await enrolling.page()
    assert (await enrolling.kim.post("/identity", {"route": "attended"})).status == 303
    page = await enrolling.page()
    assert "photo-capture" not in page.split("</main>")[0].split("<script")[0]
    assert "An officer looks at pictures of you and your document before each visit" in page
    assert (await enrolling.kim.post("/identity", {"route": "palm"})).status == 422


async def test_a_broken_picture_is_said_in_words_and_nothing_is_lost(enrolling: Enrolling) -> None:
    await enrolling.to_selfies()
    sent = await enrolling.send("/api/identity/document", "image", b"broken")
    assert sent.status == 422
    assert (await sent.json())["detail"]
    assert (await enrolling.enrolment()).state is EnrolmentState.DOCUMENT


@pytest.mark.parametrize(("pictures", "code"), [(0, "no_picture"), (2, "too_many")])
async def test_one_picture_of_a_document(enrolling: Enrolling, pictures: int, code: str) -> None:
    await enrolling.page()
    await enrolling.kim.post("/identity", {"route": "face"})
    sent = await enrolling.send("/api/identity/document", "image", *([b"passport"] * pictures))
    assert (sent.status, (await sent.json())["code"]) == (422, code)


async def test_what_is_no_form_is_refused(enrolling: Enrolling) -> None:
    await enrolling.page()
    await enrolling.kim.post("/identity", {"route": "face"})
    await enrolling.kim.get("/home")
    token = {"X-CSRF-Token": enrolling.kim.csrf}
    plain = await enrolling.kim.request("POST", "/api/identity/document", data=b"x", headers=token)
    assert plain.status == 415
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    for body in (b"", b"--b\r\n", b"junk", b"--b\r\nContent-Disposition: form-data; name=image\r\n\r\nhalf"):
        torn = await enrolling.kim.request("POST", "/api/identity/document", data=body, headers={**token, **kind})
        assert torn.status in (400, 422), body
        assert (await torn.json())["code"]


async def test_a_body_that_is_too_large_is_refused(enrolling: Enrolling) -> None:
    await enrolling.page()
    await enrolling.kim.post("/identity", {"route": "face"})
    sent = await enrolling.send("/api/identity/document", "image", bytes(13 * 1024 * 1024))
    assert sent.status == 413


async def test_pictures_need_the_token_of_a_page(enrolling: Enrolling) -> None:
    form = FormData()
    form.add_field("image", b"passport", filename="a.jpg")
    answer = await enrolling.kim.request("POST", "/api/identity/document", data=form)
    assert (answer.status, (await answer.json())["code"]) == (403, "csrf_failed")


async def _approve(enrolling: Enrolling) -> None:
    await enrolling.to_selfies()
    await enrolling.send("/api/identity/selfies", "frame", *[b"face"] * 5)
    await enrolling.kim.request("POST", "/api/identity/submit", json={}, headers={"X-CSRF-Token": enrolling.kim.csrf})
    officer = Actor(ActorKind.STAFF, "stf_1", enrolling.visiting.house.prison.id)
    await enrolling.visiting.services.enrolment.review.approve(
        officer, (await enrolling.enrolment()).id, "The same person."
    )


async def test_the_door_and_deleting_everything(enrolling: Enrolling) -> None:
    await _approve(enrolling)
    assert "We know that it is you" in await enrolling.page()
    assert "Prove it is you" not in (await enrolling.page("/home"))
    await enrolling.visiting.grant(1)
    booking_id = await enrolling.visiting.book()
    async with enrolling.visiting.house.uow(read_only=True) as u:
        booking = await u.scheduling.get_booking(booking_id)
    enrolling.visiting.house.clock.now = booking.starts_at
    enrolling.kim = await enrolling.visiting.house.family()
    assert "<door-check" in await enrolling.page(f"/visits/{booking_id}/waiting")
    enrolling.engine.verdict, enrolling.engine.reasons = Verdict.COULD_NOT_CHECK, ("no_face", "too_few_faces")
    sent = await enrolling.send(f"/api/visits/{booking_id}/door", "frame", *[b"face"] * 5)
    assert (await sent.json())["door"] == "retake"
    enrolling.engine.verdict, enrolling.engine.reasons = Verdict.AGREE, ()
    sent = await enrolling.send(f"/api/visits/{booking_id}/door", "frame", *[b"face"] * 5)
    assert (await sent.json()) == {"door": "passed", "words": []}

    page = await enrolling.page("/privacy/me")
    assert "Numbers made from your face" in page
    assert (await enrolling.kim.post("/privacy/me/delete-face")).status == 303
    page = await enrolling.page("/privacy/me")
    assert "Numbers made from your face" not in page
    assert "Photos of your document" not in page
    assert (await enrolling.enrolment()).state is EnrolmentState.EXPIRED


async def test_the_way_without_faces_brings_pictures_to_the_officer(enrolling: Enrolling) -> None:
    officer = Actor(ActorKind.STAFF, "stf_1", enrolling.visiting.house.prison.id)
    await enrolling.page()
    assert (await enrolling.kim.post("/identity", {"route": "attended"})).status == 303
    await enrolling.kim.request("POST", "/api/identity/submit", json={}, headers={"X-CSRF-Token": enrolling.kim.csrf})
    await enrolling.visiting.services.enrolment.review.approve(officer, (await enrolling.enrolment()).id, "known here")
    await enrolling.visiting.grant(1)
    booking_id = await enrolling.visiting.book()
    async with enrolling.visiting.house.uow(read_only=True) as u:
        enrolling.visiting.house.clock.now = (await u.scheduling.get_booking(booking_id)).starts_at
    enrolling.kim = await enrolling.visiting.house.family()
    assert " attended>" in await enrolling.page(f"/visits/{booking_id}/waiting")
    door = f"/api/visits/{booking_id}/door"
    assert (await enrolling.send(door, "frame", b"face", b"face")).status == 422, "the document is missing"
    sent = await enrolling.send(door, "frame", b"face", b"face", document=["with my passport"])
    assert (await sent.json()) == {"door": "review", "words": []}
    review = enrolling.visiting.services.door.review
    (row,) = (await review.queue(officer, PageRequest())).items
    view = await review.view(officer, row.check_id)
    assert sorted(one.kind.value for one in view.fresh) == ["document", "door", "door"]
    assert enrolling.engine.verified == []


async def test_a_doubt_goes_to_an_officer(enrolling: Enrolling) -> None:
    await _approve(enrolling)
    await enrolling.visiting.grant(1)
    booking_id = await enrolling.visiting.book()
    async with enrolling.visiting.house.uow(read_only=True) as u:
        enrolling.visiting.house.clock.now = (await u.scheduling.get_booking(booking_id)).starts_at
    enrolling.kim = await enrolling.visiting.house.family()
    enrolling.engine.verdict = Verdict.DISAGREE
    sent = await enrolling.send(f"/api/visits/{booking_id}/door", "frame", *[b"face"] * 5)
    assert (await sent.json()) == {"door": "review", "words": []}, "no program says no"
    state = await (await enrolling.kim.get(f"/api/visits/{booking_id}/state")).json()
    assert (state["door"], state["may_enter"]) == ("review", False)
