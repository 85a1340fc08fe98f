"""The officer's side of an enrolment: look, decide, and only then see what the machine said."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Forbidden, NotFound
from visitserver.domain.identity import (
    Enrolment,
    EnrolmentRoute,
    EnrolmentState,
    IdentityPolicy,
    PictureKind,
    Verdict,
)
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.people import Contact
from visitserver.services.access_checks import need_reason
from visitserver.services.changes import ChangeKind, Changes
from visitserver.services.identity_items import SealedItems
from visitserver.services.identity_reading import reading_of
from visitserver.services.ports.identity_engine import DocumentReading
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

NOT_PROOF = "None of this proves that the document is authentic."
NO_DIGIT = "Nationality, sex and names have no check digit. Compare them with the picture."
REPLAY = "A replayed video or a virtual camera can show the right turn of a head. The program cannot tell."
AT_EACH_VISIT = (
    "This person chose the way without face comparison: "
    "an officer looks at pictures of them and their document before each visit."
)
_OF_THE_SCORE = frozenset({"distance", "doubt"})


@dataclass(frozen=True, slots=True)
class PictureRef:
    """A picture that can be asked for with `picture`."""

    id: str
    kind: PictureKind
    number: int


@dataclass(frozen=True, slots=True)
class Scores:
    """What the machine said: after a person's decision, never before."""

    verdict: Verdict | None
    distances: tuple[float, ...]
    reasons: tuple[str, ...]
    policy_version: str | None
    model_version: str | None


@dataclass(frozen=True, slots=True)
class QueueRow:
    """An enrolment that waits for an officer."""

    enrolment_id: str
    contact: Contact
    route: EnrolmentRoute
    waiting_since: datetime
    appealed: bool


@dataclass(frozen=True, slots=True)
class OfficerView:
    """Everything an officer decides by. It holds no figure of the comparison: those are in Scores.

    `contact` is what the caller typed; `reading` what the document says, with its checks. `document_face` and
    `selfie_face` are cut to the same size and framing. `observations` are codes about the pictures and the head's turn.
    """

    enrolment_id: str
    contact: Contact
    route: EnrolmentRoute
    state: EnrolmentState
    submitted_at: datetime | None
    reading: DocumentReading | None
    document_face: PictureRef | None
    selfie_face: PictureRef | None
    pictures: tuple[PictureRef, ...]
    document_problems: tuple[str, ...]
    observations: tuple[str, ...]
    liveness: str | None
    warnings: tuple[str, ...]
    appeal: str | None
    decided_at: datetime | None
    decided_by: str | None
    decision_reason: str | None
    words_for_caller: str | None
    scores_can_be_seen: bool


class EnrolmentReview:
    """The use cases of officers. Those of other prisons find nothing (NotFound)."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        items: SealedItems,
        new_id: Callable[[str], str],
        policy: IdentityPolicy,
    ) -> None:
        self._uow = uow
        self._clock = clock
        self._items = items
        self._new_id = new_id
        self._policy = policy

    async def queue(self, actor: Actor, page: PageRequest) -> Page[QueueRow]:
        """Those that wait, of people who want to visit somebody at the officer's prison, longest waiting first."""
        async with self._uow(read_only=True) as u:
            found = await u.identity.enrolments(_prison(actor), frozenset({EnrolmentState.SUBMITTED}), page)
            contacts = await u.people.contacts([enrolment.contact_id for enrolment in found.items])
        rows = [
            QueueRow(
                enrolment_id=one.id,
                contact=contacts[one.contact_id],
                route=one.route,
                waiting_since=one.submitted_at or one.created_at,
                appealed=one.appealed_at is not None,
            )
            for one in found.items
        ]
        return Page(rows, found.next_cursor)

    async def view(self, actor: Actor, enrolment_id: str, *, request_id: str | None = None) -> OfficerView:
        """Everything to decide by. That it was looked at is noted before it is given."""
        async with self._uow() as u:
            found = await self._of_own_prison(u, actor, enrolment_id)
            contact = await u.people.get_contact(found.contact_id)
            items = await u.identity.items(found.id)
            kept = [item for item in items if item.kind is PictureKind.READING]
            reading = reading_of(json.loads(await self._items.open(u, kept[0]))) if kept else None
            u.audit.append("identity.view", actor, found.id, {}, request_id)
            await u.commit()
        pictures = tuple(
            PictureRef(item.id, item.kind, item.number)
            for item in items
            if item.kind not in (PictureKind.READING, PictureKind.TEMPLATE)
        )
        return OfficerView(
            enrolment_id=found.id,
            contact=contact,
            route=found.route,
            state=found.state,
            submitted_at=found.submitted_at,
            reading=reading,
            document_face=_of_kind(pictures, PictureKind.DOCUMENT_FACE),
            selfie_face=_of_kind(pictures, PictureKind.SELFIE_FACE),
            pictures=pictures,
            document_problems=found.document_problems,
            observations=tuple(reason for reason in found.face_reasons if reason not in _OF_THE_SCORE),
            liveness=found.liveness,
            warnings=_warnings(found),
            appeal=found.appeal,
            decided_at=found.decided_at,
            decided_by=found.decided_by,
            decision_reason=found.decision_reason,
            words_for_caller=found.words_for_caller,
            scores_can_be_seen=found.decided,
        )

    async def picture(
        self, actor: Actor, enrolment_id: str, picture_id: str, *, request_id: str | None = None
    ) -> bytes:
        """A picture as JPEG, re-encoded by us and without metadata. Noted before it is given."""
        async with self._uow() as u:
            found = await self._of_own_prison(u, actor, enrolment_id)
            item = next((item for item in await u.identity.items(found.id) if item.id == picture_id), None)
            if item is None or item.kind in (PictureKind.READING, PictureKind.TEMPLATE):
                raise NotFound("There is no such picture.")
            content = await self._items.open(u, item)
            data = {"kind": item.kind.value, "sha256": item.sha256}
            u.audit.append("identity.picture", actor, found.id, data, request_id)
            await u.commit()
        return content

    async def approve(
        self, actor: Actor, enrolment_id: str, reason: str, *, request_id: str | None = None
    ) -> Enrolment:
        """This person is who they say. Holds until the document's end or the policy's, whichever is first."""
        async with self._uow() as u:
            found = await self._to_decide(u, actor, enrolment_id)
            before = (await u.identity.approved_enrolments([found.contact_id])).get(found.contact_id)
            if before is not None:
                before.move(EnrolmentState.EXPIRED)
                await u.identity.delete_items(before.id, frozenset({PictureKind.TEMPLATE}))
            now = self._clock()
            until = now + timedelta(days=self._policy.approval_days)
            if found.document_valid_until is not None and found.document_valid_until > now:
                until = min(until, found.document_valid_until)
            found.expires_at = until
            return await self._decided(u, actor, found, EnrolmentState.APPROVED, reason, None, request_id)

    async def ask_more(
        self, actor: Actor, enrolment_id: str, words: str, *, request_id: str | None = None
    ) -> Enrolment:
        """Better pictures, another document: `words` tell the caller what is needed."""
        async with self._uow() as u:
            found = await self._to_decide(u, actor, enrolment_id)
            found.expires_at = self._clock() + timedelta(days=self._policy.hand_in_days)
            words = need_reason(words)
            return await self._decided(u, actor, found, EnrolmentState.MORE_INFORMATION, words, words, request_id)

    async def refuse(
        self, actor: Actor, enrolment_id: str, reason: str, words: str, *, request_id: str | None = None
    ) -> Enrolment:
        """`reason` for the record, `words` for the caller, who may appeal to another officer."""
        async with self._uow() as u:
            found = await self._to_decide(u, actor, enrolment_id)
            words = need_reason(words)
            return await self._decided(u, actor, found, EnrolmentState.REFUSED, reason, words, request_id)

    async def reveal_scores(self, actor: Actor, enrolment_id: str, *, request_id: str | None = None) -> Scores:
        """What the machine said. Conflict (code `scores_hidden`) before the decision."""
        async with self._uow() as u:
            found = await self._of_own_prison(u, actor, enrolment_id)
            if not found.decided:
                raise Conflict("Decide first. The machine's figures are shown afterwards.", code="scores_hidden")
            if found.scores_revealed_at is None:
                found.scores_revealed_at, found.scores_revealed_to = self._clock(), actor.reference
            u.audit.append("identity.scores", actor, found.id, {}, request_id)
            await u.commit()
        return Scores(
            found.face_verdict, found.face_distances, found.face_reasons, found.policy_version, found.model_version
        )

    async def approve_attended(
        self, actor: Actor, contact_id: str, reason: str, *, request_id: str | None = None
    ) -> Enrolment:
        """Approve somebody without a comparison: an officer looks at their pictures at the door of each visit."""
        async with self._uow() as u:
            await u.lock(f"contact:{contact_id}")
            prison_id = _prison(actor)
            if prison_id is not None and not await u.identity.concerns_prison(contact_id, prison_id):
                raise NotFound("There is no such person here.")
            now = self._clock()
            found = await u.identity.latest_enrolment(contact_id)
            if found is None or found.state is not EnrolmentState.SUBMITTED:
                found = Enrolment(
                    id=self._new_id("enr"),
                    contact_id=contact_id,
                    route=EnrolmentRoute.ATTENDED,
                    state=EnrolmentState.SUBMITTED,
                    created_at=now,
                    expires_at=now,
                    notice_version=self._policy.notice_version,
                    submitted_at=now,
                )
                u.identity.add(found)
            found.route = EnrolmentRoute.ATTENDED
            found.expires_at = now + timedelta(days=self._policy.approval_days)
            return await self._decided(u, actor, found, EnrolmentState.APPROVED, reason, None, request_id)

    async def _decided(
        self,
        u: UnitOfWork,
        actor: Actor,
        found: Enrolment,
        state: EnrolmentState,
        reason: str,
        words: str | None,
        request_id: str | None,
    ) -> Enrolment:
        found.move(state)
        found.decided_at, found.decided_by = self._clock(), actor.reference
        found.decision_reason, found.words_for_caller = need_reason(reason), words
        keep = timedelta(days=self._policy.picture_days)
        if state is not EnrolmentState.MORE_INFORMATION:
            await u.identity.keep_pictures_until(found.id, self._clock() + keep)
        if state is EnrolmentState.REFUSED:
            await u.identity.delete_items(found.id, frozenset({PictureKind.TEMPLATE}))
        u.audit.append(f"identity.{_WORD[state]}", actor, found.id, {"contact": found.contact_id}, request_id)
        u.outbox.add(f"identity.{state.value}", {"enrolment_id": found.id}, request_id=request_id)
        # A visit that was flagged for want of it is so no more: the job sees to that within seconds.
        Changes(self._clock).note(u, ChangeKind.IDENTITY_CHANGED, by=actor, contact_id=found.contact_id)
        await u.commit()
        return found

    async def _to_decide(self, u: UnitOfWork, actor: Actor, enrolment_id: str) -> Enrolment:
        found = await self._of_own_prison(u, actor, enrolment_id)
        await u.lock(f"contact:{found.contact_id}")
        # A colleague may have decided while we waited.
        found = await u.identity.get_enrolment(enrolment_id, fresh=True)
        if found.appealed_at is not None and found.decided_by == actor.reference:
            raise Forbidden("Another officer decides about an appeal.", code="appeal_same_officer")
        return found

    async def _of_own_prison(self, u: UnitOfWork, actor: Actor, enrolment_id: str) -> Enrolment:
        prison_id = _prison(actor)
        found = await u.identity.get_enrolment(enrolment_id)
        if prison_id is not None and not await u.identity.concerns_prison(found.contact_id, prison_id):
            raise NotFound("There is no such identity check.")
        return found


_WORD = {
    EnrolmentState.APPROVED: "approve",
    EnrolmentState.MORE_INFORMATION: "ask_more",
    EnrolmentState.REFUSED: "refuse",
}


def _prison(actor: Actor) -> str | None:
    """The officer's prison, None for the system. NotFound for anybody who is neither."""
    if actor.is_system:
        return None
    if not actor.is_staff or actor.prison_id is None:
        raise NotFound("There is no such thing here.")
    return actor.prison_id


def _of_kind(pictures: tuple[PictureRef, ...], kind: PictureKind) -> PictureRef | None:
    return next((picture for picture in pictures if picture.kind is kind), None)


def _warnings(enrolment: Enrolment) -> tuple[str, ...]:
    if enrolment.route is EnrolmentRoute.ATTENDED:
        return (AT_EACH_VISIT,)
    return (NOT_PROOF, NO_DIGIT, REPLAY)
