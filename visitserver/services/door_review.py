"""The officer's side of the door: everything that the machine did not pass."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, NotFound
from visitserver.domain.identity import CheckState, EnrolmentRoute, IdentityCheck, IdentityPolicy, PictureKind
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.people import Contact
from visitserver.services.access_checks import need_reason, own_prison
from visitserver.services.enrolment_review import PictureRef, Scores
from visitserver.services.identity_items import SealedItems
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory

_SHOWN = frozenset({PictureKind.DOCUMENT_FACE, PictureKind.SELFIE_FACE, PictureKind.DOCUMENT, PictureKind.DOOR})


@dataclass(frozen=True, slots=True)
class DoorRow:
    """A check that waits for an officer."""

    check_id: str
    booking_id: str
    contact: Contact
    route: EnrolmentRoute
    reasons: tuple[str, ...]
    waiting_since: datetime
    visit_starts_at: datetime


@dataclass(frozen=True, slots=True)
class DoorView:
    """What an officer decides by. `reference` are pictures of the enrolment that are still kept (30 days), `fresh`
    those taken now: of the attended way, pictures of the person and of them with their document, uncompared."""

    check_id: str
    booking_id: str
    contact: Contact
    route: EnrolmentRoute
    state: CheckState
    reasons: tuple[str, ...]
    liveness: str | None
    reference: tuple[PictureRef, ...]
    fresh: tuple[PictureRef, ...]
    decided_at: datetime | None
    decided_by: str | None
    decision_reason: str | None


class DoorReview:
    """The use cases of officers; those of other prisons find nothing (NotFound)."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, items: SealedItems, policy: IdentityPolicy) -> None:
        self._uow = uow
        self._clock = clock
        self._items = items
        self._policy = policy

    async def queue(self, actor: Actor, page: PageRequest) -> Page[DoorRow]:
        """Checks in review at the officer's prison, longest waiting first."""
        if not actor.is_system:
            own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            found = await u.identity.checks_in_review(None if actor.is_system else actor.prison_id, page)
            contacts = await u.people.contacts([check.contact_id for check in found.items])
            bookings = {check.booking_id: await u.scheduling.get_booking(check.booking_id) for check in found.items}
        rows = [
            DoorRow(
                check_id=one.id,
                booking_id=one.booking_id,
                contact=contacts[one.contact_id],
                route=one.route,
                reasons=one.reasons,
                waiting_since=one.created_at,
                visit_starts_at=bookings[one.booking_id].starts_at,
            )
            for one in found.items
        ]
        return Page(rows, found.next_cursor)

    async def view(self, actor: Actor, check_id: str, *, request_id: str | None = None) -> DoorView:
        """Everything to decide by, without the machine's figures."""
        async with self._uow() as u:
            check = await self._of_own_prison(u, actor, check_id)
            contact = await u.people.get_contact(check.contact_id)
            fresh = await self._pictures(u, check.id)
            reference = await self._pictures(u, check.enrolment_id) if check.enrolment_id else ()
            u.audit.append("door.view", actor, check.id, {}, request_id)
            await u.commit()
        return DoorView(
            check_id=check.id,
            booking_id=check.booking_id,
            contact=contact,
            route=check.route,
            state=check.state,
            reasons=tuple(reason for reason in check.reasons if reason not in ("distance", "doubt")),
            liveness=check.liveness,
            reference=reference,
            fresh=fresh,
            decided_at=check.decided_at,
            decided_by=check.decided_by,
            decision_reason=check.decision_reason,
        )

    async def picture(self, actor: Actor, check_id: str, picture_id: str, *, request_id: str | None = None) -> bytes:
        """A picture of `view`, as JPEG. Noted before it is given."""
        async with self._uow() as u:
            check = await self._of_own_prison(u, actor, check_id)
            owners = [check.id, *([check.enrolment_id] if check.enrolment_id else [])]
            items = [item for owner in owners for item in await u.identity.items(owner)]
            item = next((item for item in items if item.id == picture_id and item.kind in _SHOWN), None)
            if item is None:
                raise NotFound("There is no such picture.")
            content = await self._items.open(u, item)
            data = {"kind": item.kind.value, "sha256": item.sha256}
            u.audit.append("door.picture", actor, check.id, data, request_id)
            await u.commit()
        return content

    async def decide(
        self, actor: Actor, check_id: str, *, passed: bool, reason: str, request_id: str | None = None
    ) -> IdentityCheck:
        """The officer has looked: let in, or not, with a reason."""
        async with self._uow() as u:
            check = await self._of_own_prison(u, actor, check_id)
            await u.lock(f"door:{check.booking_id}:{check.contact_id}")
            # A colleague may have decided while we waited.
            check = await u.identity.get_check(check_id, fresh=True)
            now = self._clock()
            check.decide(passed=passed, by=actor.reference, at=now, reason=need_reason(reason))
            await u.identity.keep_pictures_until(check.id, now + timedelta(days=self._policy.picture_days))
            data = {"passed": passed, "contact": check.contact_id}
            u.audit.append("door.decide", actor, check.id, data, request_id)
            u.outbox.add("door.decided", {"check_id": check.id, "state": check.state.value}, request_id=request_id)
            await u.commit()
            return check

    async def reveal_scores(self, actor: Actor, check_id: str, *, request_id: str | None = None) -> Scores:
        """What the machine said. Conflict (code `scores_hidden`) while the check waits for the officer."""
        async with self._uow() as u:
            check = await self._of_own_prison(u, actor, check_id)
            if check.state is CheckState.REVIEW:
                raise Conflict("Decide first. The machine's figures are shown afterwards.", code="scores_hidden")
            u.audit.append("door.scores", actor, check.id, {}, request_id)
            await u.commit()
        return Scores(check.verdict, check.distances, check.reasons, check.policy_version, check.model_version)

    async def _pictures(self, u: UnitOfWork, owner_id: str) -> tuple[PictureRef, ...]:
        items = await u.identity.items(owner_id)
        return tuple(PictureRef(item.id, item.kind, item.number) for item in items if item.kind in _SHOWN)

    async def _of_own_prison(self, u: UnitOfWork, actor: Actor, check_id: str) -> IdentityCheck:
        check = await u.identity.get_check(check_id)
        own_prison(actor, check.prison_id)
        return check
