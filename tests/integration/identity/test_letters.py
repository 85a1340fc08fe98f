"""Letters about the proof of who one is: what an officer decided, in the words they meant for the caller."""

from __future__ import annotations

from tests.fixtures.rights import MOTHER, family
from tests.integration.identity.conftest import OFFICER, Desk
from visitserver.domain.identity import EnrolmentRoute
from visitserver.domain.outbox import OutboxState
from visitserver.domain.paging import PageRequest
from visitserver.notify.letters import Letters, Sender
from visitserver.notify.mail import Mail
from visitserver.notify.worker import OutboxWorker

ME = family(MOTHER)
SENDER = Sender("visits@kuura.example", "https://visits.example")


class Postbox:
    """A Mailer that keeps what it is given."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []

    async def send(self, mail: Mail) -> None:
        self.mails.append(mail)


async def hand_in(desk: Desk) -> str:
    await desk.enrolment.begin(ME, EnrolmentRoute.FACE)
    return await send(desk)


async def send(desk: Desk) -> str:
    await desk.enrolment.upload_document(ME, b"a page")
    await desk.enrolment.upload_selfies(ME, [b"one", b"two", b"three"])
    return (await desk.enrolment.submit(ME)).id


async def letters(desk: Desk) -> list[Mail]:
    """Those that are sent now; nothing of it may fail."""
    postbox = Postbox()
    await OutboxWorker(desk.world.uow, desk.world.clock, Letters(SENDER, desk.world.clock), postbox).drain()
    async with desk.world.uow(read_only=True) as u:
        messages = (await u.outbox.messages(None, PageRequest())).items
    assert {
        (one.topic, one.state, one.last_error) for one in messages if one.state is not OutboxState.DELIVERED
    } == set()
    return postbox.mails


async def test_from_handing_in_to_an_appeal(desk: Desk) -> None:
    enrolment_id = await hand_in(desk)
    (arrived,) = await letters(desk)
    assert (arrived.to, arrived.subject) == ("mother@example.org", "Your proof of who you are has arrived")

    await desk.enrolment.review.ask_more(OFFICER, enrolment_id, "The photo of the {document} is cut off.")
    (more,) = await letters(desk)
    assert "The photo of the {document} is cut off." in more.text
    assert more.text.endswith("https://visits.example/identity\n")

    await send(desk)
    await letters(desk)
    await desk.enrolment.review.refuse(OFFICER, enrolment_id, "looks forged", "We could not read your document.")
    (refused,) = await letters(desk)
    assert "We could not read your document." in refused.text
    assert "another officer looks at it again" in refused.text
    assert "forged" not in refused.text + refused.subject


async def test_an_approval(desk: Desk) -> None:
    enrolment_id = await hand_in(desk)
    await letters(desk)
    await desk.enrolment.review.approve(OFFICER, enrolment_id, "same face")
    (approved,) = await letters(desk)
    assert approved.subject == "Your proof of who you are was accepted"
    assert "same face" not in approved.text


async def test_what_is_over_is_not_told_any_more(desk: Desk) -> None:
    """The arrival was not told before the decision, and the decision was taken back before it was told."""
    enrolment_id = await hand_in(desk)
    await desk.enrolment.review.approve(OFFICER, enrolment_id, "same face")
    await desk.enrolment.revoke(ME)
    assert await letters(desk) == []
