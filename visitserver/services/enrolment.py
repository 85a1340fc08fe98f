"""Showing once who one is: the steps of the person who enrols. An officer decides (enrolment_review.py)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from visitserver.domain.identity import (
    Enrolment,
    EnrolmentRoute,
    EnrolmentState,
    IdentityPolicy,
    PictureKind,
)
from visitserver.services.access_checks import need_reason
from visitserver.services.changes import ChangeKind, Changes
from visitserver.services.enrolment_review import EnrolmentReview
from visitserver.services.identity_items import SealedItems
from visitserver.services.identity_reading import plain_of
from visitserver.services.identity_retention import IdentityRetention
from visitserver.services.ports.identity import Vault
from visitserver.services.ports.identity_engine import (
    Claim,
    DocumentReading,
    FaceComparison,
    IdentityEngine,
    ProgressCallback,
)
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

MOST_FRAMES = 10
_PICTURES = frozenset(PictureKind) - {PictureKind.TEMPLATE}
_TAKES_SELFIES = frozenset({EnrolmentState.DOCUMENT, EnrolmentState.SELFIE})


@dataclass(frozen=True, slots=True)
class DocumentUpload:
    """What came of a picture of a document. It is kept in any case; `retake` says that a better one would help."""

    enrolment: Enrolment
    problems: tuple[str, ...]
    retake: bool


@dataclass(frozen=True, slots=True)
class SelfieUpload:
    """What came of the frames. `problems` are about the pictures; what the comparison says is for officers alone."""

    enrolment: Enrolment
    problems: tuple[str, ...]
    retake: bool


class EnrolmentService:
    """The use cases of the family, with the officers' (`review`) and the nightly ones (`purge`) beside them."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        engine: IdentityEngine,
        vault: Vault,
        new_id: Callable[[str], str],
        policy: IdentityPolicy | None = None,
        changes: Changes | None = None,
    ) -> None:
        self._uow = uow
        self._changes = changes or Changes(clock)
        self._clock = clock
        self._engine = engine
        self._new_id = new_id
        self._policy = policy or IdentityPolicy()
        self._items = SealedItems(vault, clock, new_id)
        self.review = EnrolmentReview(uow, clock, self._items, new_id, self._policy)
        self._retention = IdentityRetention(uow, clock, self._policy)

    async def mine(self, actor: Actor) -> Enrolment | None:
        """The newest enrolment of the person, in whatever state; None when there has been none."""
        async with self._uow(read_only=True) as u:
            return await u.identity.latest_enrolment(_family(actor))

    async def begin(self, actor: Actor, route: EnrolmentRoute, *, request_id: str | None = None) -> Enrolment:
        """The person was told what is checked and kept, and chose a way (for faces: consented).

        Choosing again before handing in starts over. Conflict while an officer is looking.
        """
        async with self._uow() as u:
            found = await self._latest(u, actor)
            if found is not None and found.state is EnrolmentState.SUBMITTED:
                raise Conflict("An officer is looking at it now.", code="enrolment_state")
            if found is None or (found.state is not EnrolmentState.INVITED and not found.collecting):
                found = self._new(actor, route)
                u.identity.add(found)
            found.move(EnrolmentState.INFORMED)
            found.route, found.informed_at = route, self._clock()
            found.notice_version = self._policy.notice_version
            await self._forget_pictures(u, found)
            u.audit.append("identity.begin", actor, found.id, {"route": route.value}, request_id)
            await u.commit()
            return found

    async def again(self, actor: Actor, *, request_id: str | None = None) -> Enrolment:
        """Take the pictures again, or start over after a refusal or when an approval ran out."""
        async with self._uow() as u:
            found = await self._latest(u, actor)
            if found is None:
                raise NotFound("There is nothing to start over.")
            if found.collecting:
                found.move(EnrolmentState.INFORMED)
                await self._forget_pictures(u, found)
            elif found.state in (EnrolmentState.REFUSED, EnrolmentState.EXPIRED, EnrolmentState.APPROVED):
                found = self._new(actor, found.route)
                u.identity.add(found)
            else:
                raise Conflict("This cannot be started over now.", code="enrolment_state")
            u.audit.append("identity.again", actor, found.id, {}, request_id)
            await u.commit()
            return found

    async def upload_document(
        self,
        actor: Actor,
        image: bytes,
        *,
        progress: ProgressCallback | None = None,
        request_id: str | None = None,
    ) -> DocumentUpload:
        """A picture of the document. Raises ImageRefused for no picture, Unavailable when it could not be looked at."""
        async with self._uow(read_only=True) as u:
            enrolment = await self._collecting(u, actor)
            contact = await u.people.get_contact(enrolment.contact_id)
        now = self._clock()
        claim = Claim(contact.given_name, contact.family_name, contact.born_on)
        reading = await self._engine.read_document(image, today=now.date(), claim=claim, progress=progress)
        if not reading.page:
            raise _not_looked_at(reading.problems)
        async with self._uow() as u:
            await u.lock(f"contact:{actor.id}")
            enrolment = await self._collecting(u, actor)
            enrolment.move(EnrolmentState.DOCUMENT)
            problems = list(reading.problems)
            if any(check.check == "expiry" and check.ok is False for check in reading.checks):
                problems.append("expired")
            enrolment.document_problems = tuple(problems)
            enrolment.document_valid_until = _end_of(reading)
            enrolment.face_verdict, enrolment.face_distances, enrolment.face_reasons = None, (), ()
            hashes = await self._items.replace(
                u,
                enrolment.contact_id,
                enrolment.id,
                {
                    PictureKind.DOCUMENT: [reading.page],
                    PictureKind.DOCUMENT_FACE: [reading.portrait],
                    PictureKind.READING: [json.dumps(plain_of(reading)).encode()],
                    # What was compared with the older picture of the document holds no more.
                    PictureKind.SELFIE: [],
                    PictureKind.SELFIE_FACE: [],
                    PictureKind.TEMPLATE: [],
                },
                delete_after=self._unless_decided(),
            )
            data = {"problems": problems, "sha256": hashes[:1]}
            u.audit.append("identity.document", actor, enrolment.id, data, request_id)
            await u.commit()
        return DocumentUpload(enrolment, tuple(problems), reading.wants_retake)

    async def upload_selfies(
        self,
        actor: Actor,
        images: Sequence[bytes],
        *,
        prompts: Sequence[str] = (),
        progress: ProgressCallback | None = None,
        request_id: str | None = None,
    ) -> SelfieUpload:
        """Frames of the face; `prompts` say what each was asked for."""
        policy = self._policy.enrolment
        if not policy.enough <= len(images) <= MOST_FRAMES:
            words = f"Send {policy.enough} to {MOST_FRAMES} pictures of your face."
            raise Invalid(words, code="frames", field="frame")
        async with self._uow(read_only=True) as u:
            enrolment = await self._collecting(u, actor)
            page = await self._items.first(u, enrolment.id, PictureKind.DOCUMENT)
            if page is None or enrolment.route is not EnrolmentRoute.FACE:
                raise Conflict("Send the picture of your document first.", code="enrolment_state")
            document = await self._items.open(u, page)
        comparison = await self._engine.compare(document, images, policy=policy, prompts=prompts, progress=progress)
        if not comparison.frames:
            raise _not_looked_at(comparison.reasons)
        async with self._uow() as u:
            await u.lock(f"contact:{actor.id}")
            enrolment = await self._collecting(u, actor)
            now_page = await self._items.first(u, enrolment.id, PictureKind.DOCUMENT)
            if now_page is None or now_page.id != page.id or enrolment.state not in _TAKES_SELFIES:
                raise Conflict("The picture of your document has changed. Send these again.", code="enrolment_state")
            enrolment.move(EnrolmentState.SELFIE)
            await self._keep_comparison(u, actor, enrolment, comparison, request_id)
            await u.commit()
        problems = tuple(reason for reason in comparison.reasons if reason not in ("distance", "doubt"))
        return SelfieUpload(enrolment, problems, "too_few_faces" in problems or "several_faces" in problems)

    async def submit(self, actor: Actor, *, request_id: str | None = None) -> Enrolment:
        """Hand in. With faces: needs both kinds of pictures. Attended: an officer looks at each door."""
        async with self._uow() as u:
            found = await self._latest(u, actor)
            if found is None:
                raise NotFound("There is nothing to hand in.")
            if found.route is EnrolmentRoute.FACE and found.state is not EnrolmentState.SELFIE:
                raise Conflict("Your pictures are not complete yet.", code="enrolment_state")
            found.move(EnrolmentState.SUBMITTED)
            found.submitted_at = self._clock()
            u.audit.append("identity.submit", actor, found.id, {"route": found.route.value}, request_id)
            u.outbox.add("identity.submitted", {"enrolment_id": found.id}, request_id=request_id)
            await u.commit()
            return found

    async def appeal(self, actor: Actor, words: str, *, request_id: str | None = None) -> Enrolment:
        """Ask for another officer after a refusal, while the pictures are still kept."""
        async with self._uow() as u:
            found = await self._latest(u, actor)
            if found is None or found.state is not EnrolmentState.REFUSED:
                raise Conflict("There is no refusal to appeal against.", code="enrolment_state")
            found.move(EnrolmentState.SUBMITTED)
            found.appeal = need_reason(words)
            found.appealed_at = found.submitted_at = self._clock()
            await u.identity.keep_pictures_until(found.id, self._unless_decided())
            u.audit.append("identity.appeal", actor, found.id, {}, request_id)
            await u.commit()
            return found

    async def revoke(self, actor: Actor, *, request_id: str | None = None) -> None:
        """Take consent back: the person's key goes, and with it every picture and the template. Approvals end."""
        contact_id = _family(actor)
        async with self._uow() as u:
            await u.lock(f"contact:{contact_id}", f"person-key:{contact_id}")
            found = await u.identity.latest_enrolment(contact_id)
            approved = (await u.identity.approved_enrolments([contact_id])).get(contact_id)
            for enrolment in {one for one in (found, approved) if one is not None}:
                if enrolment.state is not EnrolmentState.EXPIRED:
                    enrolment.move(EnrolmentState.EXPIRED)
            await u.identity.delete_key(contact_id)
            u.audit.append("identity.erase", actor, contact_id, {}, request_id)
            self._changes.note(u, ChangeKind.IDENTITY_CHANGED, by=actor, contact_id=contact_id)
            await u.commit()
        await self._changes.after_commit()

    async def purge(self) -> int:
        """Delete what has been kept long enough; how many items went. Safe to run at any time, and twice."""
        return await self._retention.run_once()

    async def approve_attended(
        self, actor: Actor, contact_id: str, reason: str, *, request_id: str | None = None
    ) -> Enrolment:
        """See EnrolmentReview.approve_attended."""
        return await self.review.approve_attended(actor, contact_id, reason, request_id=request_id)

    def _new(self, actor: Actor, route: EnrolmentRoute) -> Enrolment:
        now = self._clock()
        return Enrolment(
            id=self._new_id("enr"),
            contact_id=_family(actor),
            route=route,
            state=EnrolmentState.INVITED,
            created_at=now,
            expires_at=now + timedelta(days=self._policy.hand_in_days),
            notice_version=self._policy.notice_version,
        )

    async def _latest(self, u: UnitOfWork, actor: Actor) -> Enrolment | None:
        contact_id = _family(actor)
        await u.lock(f"contact:{contact_id}")
        return await u.identity.latest_enrolment(contact_id)

    async def _collecting(self, u: UnitOfWork, actor: Actor) -> Enrolment:
        contact_id = _family(actor)
        found = await u.identity.latest_enrolment(contact_id)
        if found is None or not found.collecting or self._clock() >= found.expires_at:
            raise Conflict("No pictures are asked for now.", code="enrolment_state")
        return found

    async def _keep_comparison(
        self,
        u: UnitOfWork,
        actor: Actor,
        enrolment: Enrolment,
        comparison: FaceComparison,
        request_id: str | None,
    ) -> None:
        enrolment.face_verdict = comparison.verdict
        enrolment.face_reasons = comparison.reasons
        enrolment.face_distances = comparison.distances
        enrolment.liveness = liveness_text(comparison)
        enrolment.policy_version = comparison.policy_version
        enrolment.model_version = comparison.model_version
        owner = (u, enrolment.contact_id, enrolment.id)
        pictures = {PictureKind.SELFIE: comparison.frames, PictureKind.SELFIE_FACE: [comparison.face]}
        hashes = await self._items.replace(*owner, pictures, delete_after=self._unless_decided())
        template = {PictureKind.TEMPLATE: [comparison.template or b""]}
        await self._items.replace(*owner, template, delete_after=None, model_version=comparison.model_version)
        data = {
            "verdict": comparison.verdict.value,
            "distances": [f"{distance:.4f}" for distance in comparison.distances],
            "policy": comparison.policy_version,
            "model": comparison.model_version,
            "sha256": hashes,
        }
        u.audit.append("identity.selfies", actor, enrolment.id, data, request_id)

    async def _forget_pictures(self, u: UnitOfWork, enrolment: Enrolment) -> None:
        await u.identity.delete_items(enrolment.id, frozenset(PictureKind))
        enrolment.document_problems, enrolment.document_valid_until = (), None
        enrolment.face_verdict, enrolment.face_distances, enrolment.face_reasons = None, (), ()
        enrolment.liveness = None

    def _unless_decided(self) -> datetime:
        """When pictures go that nobody has decided about; a decision sets its own day."""
        return self._clock() + timedelta(days=self._policy.hand_in_days + self._policy.picture_days)


def liveness_text(comparison: FaceComparison) -> str:
    """The observation in a few characters, for the record: `turned 0.41 left right`."""
    seen = comparison.liveness
    return " ".join([seen.observed, f"{seen.change:.2f}", *seen.directions])


def _family(actor: Actor) -> str:
    if actor.kind is not ActorKind.FAMILY:
        raise Forbidden("Only the person concerned does this.")
    return actor.id


def _not_looked_at(reasons: Sequence[str]) -> Unavailable:
    code = reasons[0] if reasons else "engine_stopped"
    return Unavailable("Our program could not look at your picture now. Please send it again in a minute.", code=code)


def _end_of(reading: DocumentReading) -> datetime | None:
    """The end of the document's last day, UTC."""
    if reading.fields is None or reading.fields.expires is None:
        return None
    return datetime.combine(reading.fields.expires, time.max, UTC)
