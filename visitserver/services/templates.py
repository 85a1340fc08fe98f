"""Session templates: added, revised by a new version, ended. Never edited under existing bookings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, time, timedelta

from signaling.ids import new_id
from visitserver.domain.actors import Actor
from visitserver.domain.allowance import CreditType
from visitserver.domain.calls import CallKind
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Conflict, Invalid
from visitserver.domain.people import Prison
from visitserver.domain.scheduling import SessionTemplate, Station, SupervisionLevel
from visitserver.domain.slots import check_template, day_starts
from visitserver.services.access_checks import own_prison
from visitserver.services.clock import today_at
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory


@dataclass(frozen=True, slots=True)
class TemplateDraft:
    """What staff say about a session; see SessionTemplate for the meaning of each."""

    name: str
    weekdays: tuple[int, ...]
    starts_at: time
    ends_at: time
    duration_minutes: int
    capacity: int
    station_ids: tuple[str, ...]
    valid_from: date
    valid_to: date | None = None
    every_weeks: int = 1
    capacity_supervised: int | None = None
    kinds: frozenset[CallKind] = frozenset({CallKind.SOCIAL})
    supervision: SupervisionLevel = SupervisionLevel.SAMPLE
    credit_type: CreditType | None = CreditType.STANDARD
    public: bool = True
    include_wings: frozenset[str] = frozenset()
    exclude_wings: frozenset[str] = frozenset()


class TemplateService:
    """The use cases of a session template."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    async def create(self, actor: Actor, draft: TemplateDraft, *, request_id: str | None = None) -> SessionTemplate:
        """Add a session at the actor's prison. Invalid for a draft that makes no sense or names foreign stations."""
        own_prison(actor, actor.prison_id)
        async with self._uow() as u:
            template = await self._make(u, actor, actor.prison_id or "", draft)
            u.scheduling.add(template)
            u.audit.append("template.create", actor, template.id, {"version": template.version}, request_id)
            await u.commit()
            return template

    async def revise(
        self, actor: Actor, template_id: str, draft: TemplateDraft, *, request_id: str | None = None
    ) -> SessionTemplate:
        """End the old version the day before `draft.valid_from` and begin the new one that day.

        Conflict (`template_booked`) when bookings stand on the old version from that day on: move or cancel them first.
        """
        async with self._uow() as u:
            old = await u.scheduling.get_template(template_id)
            own_prison(actor, old.prison_id)
            if draft.valid_from <= old.valid_from:
                raise Invalid("The new version begins after the old one did.", field="valid_from")
            await self._end(u, actor, old, draft.valid_from - timedelta(days=1))
            new = replace(await self._make(u, actor, old.prison_id, draft), version=old.version + 1, supersedes=old.id)
            u.scheduling.add(new)
            u.audit.append("template.revise", actor, new.id, {"version": new.version, "old": old.id}, request_id)
            await u.commit()
            return new

    async def end(
        self, actor: Actor, template_id: str, last_day: date, *, request_id: str | None = None
    ) -> SessionTemplate:
        """Set the last day, which must not be past. Conflict when bookings stand on the session after it."""
        async with self._uow() as u:
            template = await u.scheduling.get_template(template_id)
            own_prison(actor, template.prison_id)
            await self._end(u, actor, template, last_day)
            u.audit.append("template.end", actor, template.id, {"last_day": last_day.isoformat()}, request_id)
            await u.commit()
            return template

    async def list(self, actor: Actor, *, first: date, last: date) -> Sequence[SessionTemplate]:
        """The sessions of the actor's prison that are valid on some day from `first` to `last`."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            return await u.scheduling.templates(actor.prison_id or "", first=first, last=last)

    async def get(self, actor: Actor, template_id: str) -> SessionTemplate:
        """One session of the actor's prison."""
        async with self._uow(read_only=True) as u:
            template = await u.scheduling.get_template(template_id)
            own_prison(actor, template.prison_id)
            return template

    async def stations(self, actor: Actor) -> Sequence[Station]:
        """The stations of the actor's prison by name."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            return await u.scheduling.stations(actor.prison_id or "")

    async def _make(self, u: UnitOfWork, actor: Actor, prison_id: str, draft: TemplateDraft) -> SessionTemplate:
        values = {name: getattr(draft, name) for name in TemplateDraft.__dataclass_fields__}
        template = SessionTemplate(
            id=new_id("tpl"), prison_id=prison_id, created_by=actor.reference, created_at=self._clock(), **values
        )
        check_template(template)
        known = {station.id for station in await u.scheduling.stations(prison_id)}
        if not known.issuperset(draft.station_ids):
            raise Invalid("A station of another prison.", code="template", field="station_ids")
        wings = {wing.id for wing in await u.people.wings(prison_id)}
        if not wings.issuperset(draft.include_wings | draft.exclude_wings):
            raise Invalid("A wing of another prison.", code="template", field="include_wings")
        return template

    async def _end(self, u: UnitOfWork, actor: Actor, template: SessionTemplate, last_day: date) -> None:
        # Whoever books holds this name shared: nobody is placed on a session while it is being ended.
        await u.lock(f"template:{template.id}")
        prison: Prison = await u.people.get_prison(template.prison_id)
        now = self._clock()
        if last_day < today_at(prison, now) - timedelta(days=1):
            raise Invalid("What has passed cannot be changed.", code="template", field="valid_to")
        if last_day < template.valid_from:
            raise Invalid("The last day comes before the first.", code="template", field="valid_to")
        if template.valid_to is not None and template.valid_to < last_day:
            raise Conflict("This session ends before that day already.", code="template_ended")
        after = day_starts(last_day + timedelta(days=1), prison.zone)
        if await u.scheduling.has_open_bookings(template.id, after=after):
            raise Conflict("Bookings stand on this session after that day.", code="template_booked")
        template.valid_to = last_day
