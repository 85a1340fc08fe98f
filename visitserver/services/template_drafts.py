"""What staff say about a session, and turning it into a template that makes sense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, time, timedelta
from typing import Any

from signaling.ids import new_id
from visitserver.domain.actors import Actor
from visitserver.domain.allowance import CreditType
from visitserver.domain.calls import CallKind
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Invalid
from visitserver.domain.people import IncentiveLevel, LegalStatus
from visitserver.domain.scheduling import Location, SessionTemplate, SupervisionLevel
from visitserver.domain.slots import check_template
from visitserver.domain.time_ranges import check_day
from visitserver.services.ports.uow import UnitOfWork


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
    include_locations: frozenset[Location] = frozenset()
    exclude_locations: frozenset[Location] = frozenset()
    include_categories: frozenset[str] = frozenset()
    exclude_categories: frozenset[str] = frozenset()
    incentive_levels: frozenset[IncentiveLevel] = frozenset()
    legal_statuses: frozenset[LegalStatus] = frozenset()


FIELDS = tuple(field.name for field in fields(TemplateDraft))


def draft_of(template: SessionTemplate, changes: Mapping[str, Any], *, valid_from: date) -> TemplateDraft:
    """What the template says, with the changes, from that day on. Invalid for a field that no draft has.

    A session of every second, third… week keeps its rhythm: it begins with the first of its weeks from `valid_from` on.
    """
    if unknown := sorted(set(changes) - set(FIELDS) | ({"valid_from"} & set(changes))):
        raise Invalid(f"A session has no such thing to change: {unknown[0]}.", code="template", field=unknown[0])
    draft = TemplateDraft(**{name: getattr(template, name) for name in FIELDS})
    return replace(draft, **{**changes, "valid_from": _in_rhythm(template, changes, valid_from)})


async def make_template(
    u: UnitOfWork, actor: Actor, prison_id: str, draft: TemplateDraft, clock: Clock
) -> SessionTemplate:
    """A first version of it. Invalid for what makes no sense, and for stations or wings of another prison."""
    template = SessionTemplate(
        id=new_id("tpl"),
        prison_id=prison_id,
        created_by=actor.reference,
        created_at=clock(),
        **{name: getattr(draft, name) for name in FIELDS},
    )
    check_day(draft.valid_from, field="valid_from")
    if draft.valid_to is not None:
        check_day(draft.valid_to, field="valid_to")
    check_template(template)
    known = {station.id for station in await u.scheduling.stations(prison_id)}
    if not known.issuperset(draft.station_ids):
        raise Invalid("A station of another prison.", code="template", field="station_ids")
    wings = {wing.id for wing in await u.people.wings(prison_id)}
    if not wings.issuperset(draft.include_wings | draft.exclude_wings):
        raise Invalid("A wing of another prison.", code="template", field="include_wings")
    return template


def _in_rhythm(template: SessionTemplate, changes: Mapping[str, Any], day: date) -> date:
    """`day`, or the Monday of the next week in which the session recurs when it does not in the week of `day`."""
    weeks = template.every_weeks
    if weeks == 1 or changes.get("every_weeks", weeks) != weeks:
        return day
    monday = day - timedelta(days=day.weekday())
    first = template.valid_from - timedelta(days=template.valid_from.weekday())
    behind = (monday - first).days // 7 % weeks
    return day if behind == 0 else monday + timedelta(weeks=weeks - behind)
