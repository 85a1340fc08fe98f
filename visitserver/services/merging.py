"""Two records of one person: hints for staff, a preview, and the merge itself, which cannot be taken back."""

from __future__ import annotations

from dataclasses import replace

from signaling.ids import new_id
from visitserver.domain.actors import Actor
from visitserver.domain.carrying import CarryingLedger
from visitserver.domain.changes import ChangeKind
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Invalid, NotFound
from visitserver.domain.identity import EnrolmentState
from visitserver.domain.merging import DuplicateHint, HintReason, MergePreview, Obstacle, combine, identifier_for
from visitserver.domain.occupancy import ResourceKind
from visitserver.domain.owed import OwedAccount
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.people import Contact, Prisoner
from visitserver.domain.rights import Relationship, RelationshipState
from visitserver.services.access_checks import need_reason, own_prison
from visitserver.services.changes import Changes
from visitserver.services.identity_items import SealedItems
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory
from visitserver.services.records import etag_of

_MERGED = "Merged with another record of the same person."


class MergingService:
    """Everything is of the actor's own prison. Who merges sees first what would happen, and confirms just that."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, changes: Changes, items: SealedItems) -> None:
        self._uow = uow
        self._clock = clock
        self._changes = changes
        self._items = items

    async def hints(self, actor: Actor, page: PageRequest) -> Page[DuplicateHint]:
        """Contacts known at the actor's prison who may be one person: by name and birth date, e-mail, or document."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            found, cursor = await u.merging.hints(actor.prison_id or "", page)
            people = await u.people.contacts(sorted({each for pair in found for each in pair[:2]}))
        reasons: dict[tuple[str, str], list[HintReason]] = {}
        for first, second, reason in found:
            reasons.setdefault((first, second), []).append(reason)
        return Page([DuplicateHint(people[a], people[b], tuple(why)) for (a, b), why in reasons.items()], cursor)

    async def preview_contacts(self, actor: Actor, stays_id: str, goes_id: str) -> MergePreview:
        """What merging the second contact into the first would do."""
        async with self._uow(read_only=True) as u:
            return await self._contacts(u, actor, stays_id, goes_id)

    async def merge_contacts(
        self,
        actor: Actor,
        stays_id: str,
        goes_id: str,
        *,
        token: str,
        reason: str,
        request_id: str | None = None,
    ) -> Contact:
        """Make the two one, as the preview with this `token` said. Conflict when it would not be that any more."""
        reason = need_reason(reason)
        async with self._uow() as u:
            links = [*await u.merging.relationships_of(contact_id=stays_id)]
            links += await u.merging.relationships_of(contact_id=goes_id)
            people = {f"contact:{each}" for each in (stays_id, goes_id)}
            people |= {f"person-key:{each}" for each in (stays_id, goes_id)}
            await u.lock(*people, *{f"prisoner:{link.prisoner_id}" for link in links})
            preview = await self._contacts(u, actor, stays_id, goes_id)
            _must_be(preview, token)
            stays, goes = await u.people.get_contact(stays_id), await u.people.get_contact(goes_id)
            await self._merge_links(u, actor, stays_id, goes_id, contacts=True)
            await self._merge_identity(u, stays_id, goes_id)
            await u.flush()
            await u.merging.move_contact(goes_id, stays_id)
            await u.merging.move_account(kind="contact", goes=goes_id, stays=stays_id)
            identifier = identifier_for(stays, goes)
            stays.email, goes.email = stays.email or goes.email, None
            stays.phone, goes.phone = stays.phone or goes.phone, None
            stays.timezone = stays.timezone or goes.timezone
            goes.merged_into = stays_id
            await u.flush()
            stays.external_id, stays.external_source = identifier
            self._changes.note(u, ChangeKind.PEOPLE_MERGED, by=actor, contact_id=stays_id)
            data = {"into": stays_id, "reason": reason, **preview.counts}
            u.audit.append("contact.merge", actor, goes_id, data, request_id)
            await u.commit()
        await self._changes.after_commit()
        return stays

    async def preview_prisoners(self, actor: Actor, stays_number: str, goes_number: str) -> MergePreview:
        """What merging the second prisoner's record into the first's would do."""
        async with self._uow(read_only=True) as u:
            return await self._prisoners(u, actor, stays_number, goes_number)

    async def merge_prisoners(
        self,
        actor: Actor,
        stays_number: str,
        goes_number: str,
        *,
        token: str,
        reason: str,
        request_id: str | None = None,
    ) -> Prisoner:
        """See `merge_contacts`."""
        reason = need_reason(reason)
        async with self._uow() as u:
            stays, goes = await self._pair(u, actor, stays_number, goes_number)
            links = [*await u.merging.relationships_of(prisoner_id=stays.id)]
            links += await u.merging.relationships_of(prisoner_id=goes.id)
            await u.lock(
                f"prisoner:{stays.id}", f"prisoner:{goes.id}", *{f"contact:{each.contact_id}" for each in links}
            )
            preview = await self._prisoners(u, actor, stays_number, goes_number)
            _must_be(preview, token)
            carried = await self._carry_credits(u, actor, stays.id, goes.id)
            await self._merge_links(u, actor, stays.id, goes.id, contacts=False)
            await u.flush()
            dropped = await u.merging.move_prisoner(goes.id, stays.id)
            await u.merging.move_account(kind="prisoner", goes=goes.id, stays=stays.id)
            identifier = identifier_for(stays, goes)
            goes.merged_into, goes.prison_id, goes.wing_id = stays.id, None, None
            await u.flush()
            stays.external_id, stays.external_source = identifier
            self._changes.note(u, ChangeKind.PEOPLE_MERGED, by=actor, prison_id=stays.prison_id, prisoner_id=stays.id)
            prison_id = stays.prison_id
            for each, kept in dropped.items():
                u.audit.append("non_association.merge", actor, each, {"into": kept}, request_id, prison_id=prison_id)
            data = {"into": stays.id, "reason": reason, **preview.counts, "non_associations_dropped": len(dropped)}
            data["credits_carried"] = carried
            u.audit.append("prisoner.merge", actor, goes.id, data, request_id, prison_id=prison_id)
            await u.commit()
        await self._changes.after_commit()
        return stays

    async def _contacts(self, u: UnitOfWork, actor: Actor, stays_id: str, goes_id: str) -> MergePreview:
        if stays_id == goes_id:
            raise Invalid("These are one record already.", code="same", field="other")
        stays, goes = await u.people.get_contact(stays_id), await u.people.get_contact(goes_id)
        for contact in (stays, goes):
            known = actor.is_system or (
                actor.is_staff and await u.records.contact_known_at(contact.id, actor.prison_id or "")
            )
            if not known or contact.merged_into is not None:
                raise NotFound("There is no such person.")
        obstacles = []
        elsewhere = await u.merging.prisons_of_contact(goes_id) - {actor.prison_id or ""}
        if elsewhere and not actor.is_system:
            words = "The record that would go is known at another prison, too."
            obstacles.append(Obstacle("elsewhere", words))
        if await u.merging.shared_bookings(stays_id, goes_id):
            obstacles.append(Obstacle("both_in_one_booking", "Both are callers of one and the same booking."))
        elif await u.merging.clashes(stays_id, goes_id, kind=ResourceKind.CONTACT):
            obstacles.append(Obstacle("both_booked", "Both have visits at the same time. Cancel or move one."))
        obstacles += await self._link_obstacles(u, stays_id, goes_id, contacts=True)
        counts = await u.merging.counts(contact_id=goes_id)
        notes = []
        if counts.get("accounts") and (await u.merging.counts(contact_id=stays_id)).get("accounts"):
            notes.append("Both can sign in: the sign-in of the record that goes is deleted.")
        approved = await u.identity.approved_enrolments([stays_id, goes_id])
        if len(approved) == 2:
            notes.append("Both have an approved identity: that of the record that stays counts, the other is erased.")
        return _with_token(MergePreview(stays, goes, counts, tuple(obstacles), tuple(notes)))

    async def _prisoners(self, u: UnitOfWork, actor: Actor, stays_number: str, goes_number: str) -> MergePreview:
        stays, goes = await self._pair(u, actor, stays_number, goes_number)
        obstacles = await self._link_obstacles(u, stays.id, goes.id, contacts=False)
        if stays.prison_id != goes.prison_id:
            obstacles.append(Obstacle("elsewhere", "The two records are of different prisons. Transfer one first."))
        if await u.merging.clashes(stays.id, goes.id, kind=ResourceKind.PRISONER):
            obstacles.append(Obstacle("both_booked", "Both have visits at the same time. Cancel or move one."))
        if await u.merging.open_calls(goes.id):
            obstacles.append(Obstacle("open_call", "A call of the record that would go is on. Wait until it is over."))
        counts = await u.merging.counts(prisoner_id=goes.id)
        balance = (await _ledger(u, goes.id)).balance
        note = "Visit credits and minutes owed are carried over ({balance} credits). Take away what was given twice."
        return _with_token(MergePreview(stays, goes, counts, tuple(obstacles), (note.format(balance=balance),)))

    async def _pair(
        self, u: UnitOfWork, actor: Actor, stays_number: str, goes_number: str
    ) -> tuple[Prisoner, Prisoner]:
        if stays_number.strip() == goes_number.strip():
            raise Invalid("These are one record already.", code="same", field="other")
        found = []
        for number in (stays_number, goes_number):
            prisoner = await u.people.find_prisoner_by_number(number.strip())
            if prisoner is None or prisoner.merged_into is not None:
                raise NotFound("There is no such prisoner here.")
            own_prison(actor, prisoner.prison_id)
            found.append(prisoner)
        return found[0], found[1]

    async def _link_obstacles(self, u: UnitOfWork, stays: str, goes: str, *, contacts: bool) -> list[Obstacle]:
        found = []
        for mine, other in await self._same_links(u, stays, goes, contacts=contacts):
            if mine.call_kind is not other.call_kind:
                words = "Two relationships with one person are for different kinds of calls. Make them the same first."
                found.append(Obstacle("call_kind", words))
        return list(dict.fromkeys(found))

    async def _same_links(
        self, u: UnitOfWork, stays: str, goes: str, *, contacts: bool
    ) -> list[tuple[Relationship, Relationship]]:
        """Pairs of relationships that would be one: the one that stays, the one that goes."""

        async def of(person: str) -> dict[tuple[str, str], Relationship]:
            wanted = {"contact_id": person} if contacts else {"prisoner_id": person}
            return {
                (link.prisoner_id if contacts else link.contact_id, link.kind): link
                for link in await u.merging.relationships_of(**wanted)
            }

        own, others = await of(stays), await of(goes)
        return [(own[key], others[key]) for key in own.keys() & others.keys()]

    async def _merge_links(self, u: UnitOfWork, actor: Actor, stays: str, goes: str, *, contacts: bool) -> None:
        pairs = await self._same_links(u, stays, goes, contacts=contacts)
        gone = {other.id for _, other in pairs}
        for mine, other in pairs:
            combine(mine, other)
            await self._carry_minutes(u, actor, mine, other)
            identifier = identifier_for(mine, other)
            other.external_id = None
            await u.flush()
            mine.external_id, mine.external_source = identifier
            await u.merging.move_relationship(other.id, mine.id)
            # The row stays for the logs that name it, and opens nothing.
            other.state, other.reason = RelationshipState.ENDED, _MERGED
            other.decided_at, other.decided_by = self._clock(), actor.reference
        wanted = {"contact_id": goes} if contacts else {"prisoner_id": goes}
        for link in await u.merging.relationships_of(**wanted):
            if link.id in gone:
                continue
            if contacts:
                link.contact_id = stays
            else:
                link.prisoner_id = stays

    async def _carry_credits(self, u: UnitOfWork, actor: Actor, stays: str, goes: str) -> int:
        """Every credit and debt goes to the ledger that stays, by lines in both that say where from; how many."""
        old, new = await _ledger(u, goes), await _ledger(u, stays)
        carried = old.carry_into(new, at=self._clock(), actor=actor.reference)
        u.allowance.append(old.new)
        u.allowance.append(new.new)
        return carried

    async def _carry_minutes(self, u: UnitOfWork, actor: Actor, mine: Relationship, other: Relationship) -> None:
        """The same with the minutes owed to the relationship that goes."""
        old, new = await _account(u, other), await _account(u, mine)
        old.carry_into(new, at=self._clock(), actor=actor.reference)
        u.allowance.append(old.new)
        u.allowance.append(new.new)

    async def _merge_identity(self, u: UnitOfWork, stays: str, goes: str) -> None:
        """Seal what there is of the one for the other; of two approvals the one of the record that stays counts."""
        approved = await u.identity.approved_enrolments([stays, goes])
        if len(approved) == 2:
            approved[goes].move(EnrolmentState.EXPIRED)
        else:
            await self._items.rekey(u, goes, stays)
        await u.identity.delete_key(goes)


async def _ledger(u: UnitOfWork, prisoner_id: str) -> CarryingLedger:
    return CarryingLedger(prisoner_id, await u.allowance.events_of(prisoner_id), new_id=new_id)


async def _account(u: UnitOfWork, link: Relationship) -> OwedAccount:
    return OwedAccount(link.prisoner_id, link.id, await u.allowance.owed_events(link.id), new_id=new_id)


def _with_token(preview: MergePreview) -> MergePreview:
    state = {
        "stays": preview.stays.id,
        "goes": preview.goes.id,
        **{f"count:{name}": number for name, number in preview.counts.items()},
        **{f"obstacle:{number}": each.code for number, each in enumerate(preview.obstacles)},
        **{f"note:{number}": each for number, each in enumerate(preview.notes)},
    }
    return replace(preview, token=etag_of(state))


def _must_be(preview: MergePreview, token: str) -> None:
    if preview.obstacles:
        raise Conflict(preview.obstacles[0].words, code=preview.obstacles[0].code)
    if preview.token != token:
        raise Conflict("Something has changed since you looked. Look again.", code="preview_stale")
