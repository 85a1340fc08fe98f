"""The check at the door of each visit: the caller with their own template, and an officer for everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Invalid, NotFound
from visitserver.domain.identity import (
    CheckState,
    Enrolment,
    EnrolmentRoute,
    IdentityCheck,
    IdentityPolicy,
    PictureKind,
    SealedItem,
    Verdict,
)
from visitserver.domain.scheduling import Booking, BookingState
from visitserver.services.access_checks import own_booking
from visitserver.services.door_review import DoorReview
from visitserver.services.enrolment import liveness_text
from visitserver.services.identity_items import SealedItems
from visitserver.services.ports.identity import Vault
from visitserver.services.ports.identity_engine import FaceComparison, IdentityEngine, ProgressCallback
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

MOST_FRAMES = 10
OPENS_BEFORE = timedelta(minutes=30)
_ABOUT_PICTURES = frozenset({"no_face", "too_dark", "too_bright", "blurred", "too_small", "several_faces"})


class DoorService:
    """The caller's side. `review` is the officers'."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        engine: IdentityEngine,
        vault: Vault,
        new_id: Callable[[str], str],
        policy: IdentityPolicy | None = None,
    ) -> None:
        self._uow = uow
        self._clock = clock
        self._engine = engine
        self._new_id = new_id
        self._policy = policy or IdentityPolicy()
        self._items = SealedItems(vault, clock, new_id)
        self.review = DoorReview(uow, clock, self._items, self._policy)

    async def uses_faces(self, actor: Actor) -> bool:
        """Whether the person's approved enrolment is by face, so that pictures are asked for at the door."""
        async with self._uow(read_only=True) as u:
            enrolment = await self._enrolment(u, actor.id)
            return enrolment is not None and enrolment.route is EnrolmentRoute.FACE

    async def check(
        self,
        actor: Actor,
        booking_id: str,
        frames: Sequence[bytes],
        *,
        document: bytes | None = None,
        contact_id: str | None = None,
        prompts: Sequence[str] = (),
        progress: ProgressCallback | None = None,
        request_id: str | None = None,
    ) -> IdentityCheck:
        """Fresh frames of one adult caller (`contact_id`: another one of the same booking, at the same camera).

        `passed` when the machine says agree; `retake` when the pictures were no good (twice at most); anything else
        is `review`: an officer looks. A check that passed, waits or was refused is given again, whatever is sent.

        The way without faces needs `document`, a picture of the person holding theirs: nothing is compared, and all the
        pictures are for an officer (`review`). Whoever sends it takes that way for this visit, however they enrolled.
        Raises ImageRefused, NotFound, Conflict, Invalid (`no_picture`).
        """
        if len(frames) > MOST_FRAMES:
            raise Invalid(f"Send at most {MOST_FRAMES} pictures.", code="frames", field="frame")
        async with self._uow(read_only=True) as u:
            booking = await self._open_booking(u, actor, booking_id)
            who = await self._adult(u, booking, contact_id or actor.id)
            standing = self._standing(await self._own(u, booking.id, who))
            if standing is not None:
                return standing
            enrolment = await self._enrolment(u, who)
            item = await self._items.first(u, enrolment.id, PictureKind.TEMPLATE) if enrolment else None
            template = await self._items.open(u, item) if item is not None else None
        if not frames:
            raise Invalid("Send pictures of your face.", code="no_picture", field="frame")
        by_officer = enrolment is None or enrolment.route is EnrolmentRoute.ATTENDED
        if by_officer and document is None:
            raise Invalid("Send a picture of yourself with your document.", code="no_picture", field="document")
        if by_officer or document is not None or template is None or item is None:
            reason = "no_enrolment" if enrolment is None else "no_template"
            if enrolment is not None and (by_officer or document is not None):
                reason = "attended"
            return await self._for_officer(actor, booking, who, enrolment, reason, frames, document, request_id)
        comparison = await self._engine.verify(
            template,
            frames,
            policy=self._policy.door,
            model_version=item.model_version,
            prompts=prompts,
            progress=progress,
        )
        pictures = {PictureKind.DOOR: comparison.frames, PictureKind.SELFIE_FACE: [comparison.face]}
        return await self._record(
            actor, booking, who, enrolment, comparison, comparison.reasons, pictures, item, request_id
        )

    async def outstanding(self, actor: Actor, booking_id: str) -> tuple[str, ...]:
        """The adults of the booking (contact ids, the lead first) who have not passed yet."""
        async with self._uow(read_only=True) as u:
            booking = await u.scheduling.get_booking(booking_id)
            own_booking(actor, booking)
            contacts = await u.people.contacts(booking.contact_ids)
            checks = await u.identity.checks_of_booking(booking.id)
        passed = {check.contact_id for check in checks if check.state is CheckState.PASSED}
        day = booking.starts_at.date()
        return tuple(one for one in booking.contact_ids if contacts[one].is_adult_on(day) and one not in passed)

    async def _for_officer(
        self,
        actor: Actor,
        booking: Booking,
        contact_id: str,
        enrolment: Enrolment | None,
        reason: str,
        frames: Sequence[bytes],
        document: bytes | None,
        request_id: str | None,
    ) -> IdentityCheck:
        """Keep the pictures for an officer, uncompared; none when no engine is there to make them safe to look at."""
        clean = await self._engine.clean([*frames, *([document] if document is not None else [])])
        faces = clean.pictures[: len(frames)]
        pictures = {PictureKind.DOOR: faces, PictureKind.DOCUMENT: clean.pictures[len(frames) :]}
        reasons = (reason, *clean.problems)
        return await self._record(actor, booking, contact_id, enrolment, None, reasons, pictures, None, request_id)

    async def _record(
        self,
        actor: Actor,
        booking: Booking,
        contact_id: str,
        enrolment: Enrolment | None,
        comparison: FaceComparison | None,
        reasons: Sequence[str],
        pictures: Mapping[PictureKind, Sequence[bytes]],
        template: SealedItem | None,
        request_id: str | None,
    ) -> IdentityCheck:
        async with self._uow() as u:
            await u.lock(f"door:{booking.id}:{contact_id}")
            earlier = await self._own(u, booking.id, contact_id)
            # Another window of the same person may have been quicker.
            if (standing := self._standing(earlier)) is not None:
                return standing
            check = IdentityCheck(
                id=self._new_id("chk"),
                booking_id=booking.id,
                prison_id=booking.prison_id,
                contact_id=contact_id,
                state=self._state(comparison, earlier),
                route=EnrolmentRoute.ATTENDED if comparison is None else EnrolmentRoute.FACE,
                created_at=self._clock(),
                enrolment_id=enrolment.id if enrolment else None,
                reasons=tuple(reasons),
            )
            u.identity.add(check)
            data: dict[str, object] = {"state": check.state.value, "contact": contact_id, "reasons": list(reasons)}
            if comparison is not None:
                check.verdict, check.distances = comparison.verdict, comparison.distances
                check.liveness = liveness_text(comparison)
                check.policy_version, check.model_version = comparison.policy_version, comparison.model_version
                data["verdict"] = comparison.verdict.value
                data["distances"] = [f"{distance:.4f}" for distance in comparison.distances]
                data["policy"], data["model"] = comparison.policy_version, comparison.model_version
            if check.state is CheckState.REVIEW:
                # Only an officer needs the pictures; of a check that passed none are kept.
                until = self._clock() + timedelta(days=self._policy.picture_days)
                data["sha256"] = await self._items.replace(u, contact_id, check.id, pictures, delete_after=until)
            if template is not None:
                await u.identity.template_used(template.id, self._clock())
            u.audit.append("door.check", actor, check.id, data, request_id, prison_id=booking.prison_id)
            if check.state is CheckState.REVIEW:
                u.outbox.add("door.review", {"check_id": check.id, "prison_id": check.prison_id}, request_id=request_id)
            await u.commit()
            return check

    def _state(self, comparison: FaceComparison | None, earlier: Sequence[IdentityCheck]) -> CheckState:
        """The machine passes or hands on. It never refuses."""
        if comparison is None:
            return CheckState.REVIEW
        if comparison.verdict is Verdict.AGREE:
            return CheckState.PASSED
        retakes = sum(check.state is CheckState.RETAKE for check in earlier)
        poor = comparison.verdict is Verdict.COULD_NOT_CHECK and not _ABOUT_PICTURES.isdisjoint(comparison.reasons)
        return CheckState.RETAKE if poor and retakes < self._policy.door_retakes else CheckState.REVIEW

    @staticmethod
    def _standing(checks: Sequence[IdentityCheck]) -> IdentityCheck | None:
        """The newest check, when it is one that stands."""
        return checks[-1] if checks and checks[-1].state is not CheckState.RETAKE else None

    async def _own(self, u: UnitOfWork, booking_id: str, contact_id: str) -> list[IdentityCheck]:
        return [check for check in await u.identity.checks_of_booking(booking_id) if check.contact_id == contact_id]

    async def _enrolment(self, u: UnitOfWork, contact_id: str) -> Enrolment | None:
        found = (await u.identity.approved_enrolments([contact_id])).get(contact_id)
        return found if found is not None and found.holds_at(self._clock()) else None

    async def _open_booking(self, u: UnitOfWork, actor: Actor, booking_id: str) -> Booking:
        if actor.kind is not ActorKind.FAMILY:
            raise NotFound("There is no such booking.")
        booking = await u.scheduling.get_booking(booking_id)
        own_booking(actor, booking)
        now = self._clock()
        if booking.state is not BookingState.BOOKED or now >= booking.ends_at:
            raise Conflict("This visit is not open.", code="booking_state")
        if now < booking.starts_at - OPENS_BEFORE:
            raise Conflict("The door opens half an hour before the visit.", code="too_early")
        return booking

    async def _adult(self, u: UnitOfWork, booking: Booking, contact_id: str) -> str:
        if contact_id not in booking.contact_ids:
            raise NotFound("There is no such caller in this booking.")
        contact = await u.people.get_contact(contact_id)
        if not contact.is_adult_on(booking.starts_at.date()):
            raise Invalid("Children are counted, not checked.", code="minor", field="contact_id")
        return contact_id
