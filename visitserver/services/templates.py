"""Session templates: added, copied, revised by a new version, ended. Never edited under existing bookings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from visitserver.domain import policies as keys
from visitserver.domain.actors import Actor
from visitserver.domain.changes import ChangeKind
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Invalid
from visitserver.domain.people import Prison
from visitserver.domain.scheduling import Booking, SessionTemplate, Station
from visitserver.domain.slots import day_starts
from visitserver.domain.time_ranges import check_day
from visitserver.services.access_checks import need_reason, own_prison
from visitserver.services.changes import Changes
from visitserver.services.clock import today_at
from visitserver.services.opened import note_opened
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory
from visitserver.services.template_carry import Standing, carry_over, standing
from visitserver.services.template_drafts import TemplateDraft, draft_of, make_template
from visitserver.services.template_series import series_of

__all__ = ["Revision", "TemplateDraft", "TemplateService"]

OPENED_DAYS = timedelta(days=62)
"""So far ahead the waiting list is told of a new session's times: nobody books further (SlotService)."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A new version, and what became of the bookings beyond the old one's last day."""

    template: SessionTemplate
    carried: Sequence[Booking]
    left: Sequence[Booking]


class TemplateService:
    """The use cases of a session template."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock, changes: Changes | None = None) -> None:
        self._uow = uow
        self._clock = clock
        self._changes = changes or Changes(clock)

    async def create(self, actor: Actor, draft: TemplateDraft, *, request_id: str | None = None) -> SessionTemplate:
        """Add a session at the actor's prison. Invalid for a draft that makes no sense or names foreign stations."""
        own_prison(actor, actor.prison_id)
        async with self._uow() as u:
            template = await make_template(u, actor, actor.prison_id or "", draft, self._clock)
            u.scheduling.add(template)
            u.audit.append("template.create", actor, template.id, {"version": template.version}, request_id)
            await self._opened(u, template)
            await u.commit()
            return template

    async def copy(
        self,
        actor: Actor,
        template_id: str,
        changes: Mapping[str, Any],
        valid_from: date,
        *,
        request_id: str | None = None,
    ) -> SessionTemplate:
        """A session of its own like this one, with `changes` (fields of TemplateDraft), from that day on."""
        check_day(valid_from, field="valid_from")
        async with self._uow(read_only=True) as u:
            model = await u.scheduling.get_template(template_id)
            own_prison(actor, model.prison_id)
        # A copy has a beginning of its own: its weeks are counted from there.
        draft = draft_of(replace(model, valid_from=valid_from, valid_to=None), changes, valid_from=valid_from)
        return await self.create(actor, draft, request_id=request_id)

    async def preview_version(
        self, actor: Actor, template_id: str, changes: Mapping[str, Any], from_day: date
    ) -> Standing:
        """What `new_version` would do to the bookings that stand. Changes nothing. Errors as `new_version`."""
        check_day(from_day, field="valid_from")
        async with self._uow(read_only=True) as u:
            old, prison = await self._own(u, actor, template_id)
            new = await self._next(u, actor, old, changes, from_day)
            await self._may_end(u, old, prison, from_day - timedelta(days=1))
            return await self._standing(u, old, new, prison, from_day)

    async def new_version(
        self,
        actor: Actor,
        template_id: str,
        changes: Mapping[str, Any],
        from_day: date,
        *,
        request_id: str | None = None,
    ) -> Revision:
        """The session as it is, but for `changes` (fields of TemplateDraft), from the prison's day `from_day` on.

        The old version ends the day before. Bookings beyond that day stay valid: those whose very time the new version
        has go over to it, the others are flagged for a person (docs/decisions/0231). Conflict (`template_superseded`)
        for a version that has a later one, (`template_ended`) when it ends before that day; Invalid for a day that is
        not to come.
        """
        check_day(from_day, field="valid_from")
        async with self._uow() as u:
            old, prison = await self._own(u, actor, template_id)
            # Whoever books holds this name shared: nobody is placed on a session while it changes.
            await u.lock(f"template:{old.id}")
            new = await self._next(u, actor, old, changes, from_day)
            await self._may_end(u, old, prison, from_day - timedelta(days=1))
            found = await self._standing(u, old, new, prison, from_day)
            old.valid_to = from_day - timedelta(days=1)
            u.scheduling.add(new)
            await u.flush()
            carried = await carry_over(u, new, found.carried)
            await self._successor(u, old, new)
            u.audit.append(
                "template.revise",
                actor,
                new.id,
                {"version": new.version, "old": old.id, "carried": len(carried), "left": len(found.left)},
                request_id,
            )
            self._note(u, actor, prison, old, from_day)
            self._note(u, actor, prison, new, from_day)
            await self._opened(u, new)
            await u.commit()
        await self._changes.after_commit()
        return Revision(new, carried, found.left)

    async def revise(
        self, actor: Actor, template_id: str, draft: TemplateDraft, *, request_id: str | None = None
    ) -> SessionTemplate:
        """End the old version the day before `draft.valid_from` and begin the new one, wholly different maybe.

        Conflict (`template_booked`) when bookings stand on the old version from that day on: see `new_version`.
        """
        async with self._uow() as u:
            old, prison = await self._own(u, actor, template_id)
            if draft.valid_from <= old.valid_from:
                raise Invalid("The new version begins after the old one did.", field="valid_from")
            await self._end_free(u, old, prison, draft.valid_from - timedelta(days=1))
            new = await make_template(u, actor, old.prison_id, draft, self._clock)
            new.version, new.supersedes = old.version + 1, old.id
            u.scheduling.add(new)
            await self._successor(u, old, new)
            u.audit.append("template.revise", actor, new.id, {"version": new.version, "old": old.id}, request_id)
            await self._opened(u, new)
            await u.commit()
            return new

    async def end(
        self, actor: Actor, template_id: str, last_day: date, *, request_id: str | None = None
    ) -> SessionTemplate:
        """Set the last day, which must not be past. Conflict when bookings stand on the session after it."""
        async with self._uow() as u:
            check_day(last_day, field="valid_to")
            template, prison = await self._own(u, actor, template_id)
            await self._end_free(u, template, prison, last_day)
            u.audit.append("template.end", actor, template.id, {"last_day": last_day.isoformat()}, request_id)
            await u.commit()
            return template

    async def preview_retire(self, actor: Actor, template_id: str, last_day: date) -> Standing:
        """The bookings that would lose their time. Changes nothing. Errors as `retire`."""
        check_day(last_day, field="valid_to")
        async with self._uow(read_only=True) as u:
            template, prison = await self._own(u, actor, template_id)
            await self._may_end(u, template, prison, last_day)
            return await self._standing(u, template, None, prison, last_day + timedelta(days=1))

    async def retire(
        self, actor: Actor, template_id: str, last_day: date, reason: str, *, request_id: str | None = None
    ) -> Revision:
        """Set the last day although bookings stand after it: they stay valid and are flagged; a person decides."""
        reason = need_reason(reason)
        check_day(last_day, field="valid_to")
        async with self._uow() as u:
            template, prison = await self._own(u, actor, template_id)
            await u.lock(f"template:{template.id}")
            await self._may_end(u, template, prison, last_day)
            following = last_day + timedelta(days=1)
            found = await self._standing(u, template, None, prison, following)
            template.valid_to = last_day
            u.audit.append(
                "template.retire",
                actor,
                template.id,
                {"last_day": last_day.isoformat(), "left": len(found.left), "reason": reason},
                request_id,
            )
            self._note(u, actor, prison, template, following)
            await u.commit()
        await self._changes.after_commit()
        return Revision(template, (), found.left)

    async def list(self, actor: Actor, *, first: date, last: date) -> Sequence[SessionTemplate]:
        """The sessions of the actor's prison that are valid on some day from `first` to `last`."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            return await u.scheduling.templates(actor.prison_id or "", first=first, last=last)

    async def get(self, actor: Actor, template_id: str) -> SessionTemplate:
        """One session of the actor's prison."""
        async with self._uow(read_only=True) as u:
            return (await self._own(u, actor, template_id))[0]

    async def versions(self, actor: Actor, template_id: str) -> Sequence[SessionTemplate]:
        """All versions of the session, the first one first."""
        async with self._uow(read_only=True) as u:
            template, _ = await self._own(u, actor, template_id)
            every = await u.scheduling.templates(template.prison_id, first=date.min, last=date.max)
            members = series_of(every, [template.id])
            return sorted((each for each in every if each.id in members), key=lambda each: each.version)

    async def stations(self, actor: Actor) -> Sequence[Station]:
        """The stations of the actor's prison by name."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            return await u.scheduling.stations(actor.prison_id or "")

    async def _own(self, u: UnitOfWork, actor: Actor, template_id: str) -> tuple[SessionTemplate, Prison]:
        template = await u.scheduling.get_template(template_id)
        own_prison(actor, template.prison_id)
        return template, await u.people.get_prison(template.prison_id)

    async def _next(
        self, u: UnitOfWork, actor: Actor, old: SessionTemplate, changes: Mapping[str, Any], from_day: date
    ) -> SessionTemplate:
        if from_day <= old.valid_from:
            raise Invalid("The new version begins after the old one did.", code="template", field="valid_from")
        later = await u.scheduling.templates(old.prison_id, first=old.valid_from, last=date.max)
        if any(each.supersedes == old.id for each in later):
            raise Conflict("There is a later version of this session: change that one.", code="template_superseded")
        new = await make_template(u, actor, old.prison_id, draft_of(old, changes, valid_from=from_day), self._clock)
        new.version, new.supersedes = old.version + 1, old.id
        return new

    async def _may_end(self, u: UnitOfWork, template: SessionTemplate, prison: Prison, last_day: date) -> None:
        today = today_at(prison, self._clock())
        if last_day < today:
            raise Invalid("A session changes from tomorrow on. Block today's times.", code="template", field="valid_to")
        _ends_within(template, last_day)

    async def _end_free(self, u: UnitOfWork, template: SessionTemplate, prison: Prison, last_day: date) -> None:
        await u.lock(f"template:{template.id}")
        if last_day < today_at(prison, self._clock()) - timedelta(days=1):
            raise Invalid("What has passed cannot be changed.", code="template", field="valid_to")
        _ends_within(template, last_day)
        after = day_starts(last_day + timedelta(days=1), prison.zone)
        if await u.scheduling.has_open_bookings(template.id, after=after):
            raise Conflict("Bookings stand on this session after that day.", code="template_booked")
        template.valid_to = last_day

    async def _standing(
        self, u: UnitOfWork, old: SessionTemplate, new: SessionTemplate | None, prison: Prison, from_day: date
    ) -> Standing:
        policies = await u.policies.at(prison.id, self._clock())
        return await standing(
            u,
            old,
            new,
            prison.zone,
            after=day_starts(from_day, prison.zone),
            buffer=timedelta(minutes=policies.number(keys.BUFFER_MINUTES)),
        )

    @staticmethod
    async def _successor(u: UnitOfWork, old: SessionTemplate, new: SessionTemplate) -> None:
        """What names the old version means the new one from its first day on."""
        await u.flush()
        await u.offers.extend_blocks(old.id, new.id)
        await u.offers.carry_waiting(old.id, new.id, new.valid_from)

    async def _opened(self, u: UnitOfWork, template: SessionTemplate) -> None:
        """Tell whoever waits that there are new times."""
        prison = await u.people.get_prison(template.prison_id)
        now = self._clock()
        starts = max(now, day_starts(template.valid_from, prison.zone))
        ends = starts + OPENED_DAYS
        if template.valid_to is not None:
            ends = min(ends, day_starts(template.valid_to + timedelta(days=1), prison.zone))
        note_opened(u, prison, starts, min(ends, now + OPENED_DAYS), cause=template.id)

    def _note(self, u: UnitOfWork, actor: Actor, prison: Prison, template: SessionTemplate, from_day: date) -> None:
        starts: datetime = day_starts(from_day, prison.zone)
        self._changes.note(
            u,
            ChangeKind.TEMPLATE_CHANGED,
            by=actor,
            prison_id=prison.id,
            template_id=template.id,
            from_=starts,
        )


def _ends_within(template: SessionTemplate, last_day: date) -> None:
    if last_day < template.valid_from:
        raise Invalid("The last day comes before the first.", code="template", field="valid_to")
    if template.valid_to is not None and template.valid_to < last_day:
        raise Conflict("This session ends before that day already.", code="template_ended")
