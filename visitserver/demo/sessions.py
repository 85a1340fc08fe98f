"""The demo's sessions: a regular week, and at every start one that is open right now."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from visitserver.demo.seed import SignIns
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.allowance import CreditType
from visitserver.domain.calls import CallKind
from visitserver.domain.people import Prison
from visitserver.domain.scheduling import SessionTemplate, SupervisionLevel
from visitserver.domain.slots import slots_of
from visitserver.services.templates import TemplateDraft

if TYPE_CHECKING:
    from visitserver.bootstrap import House

VISIT_MINUTES: Final = 30
STILL_USEFUL: Final = timedelta(minutes=22)
"""An open session with less left than this is not worth showing."""
_LAST_MINUTE: Final = time(23, 55)
_EVERY_DAY: Final = tuple(range(7))
_SOCIAL: Final = frozenset({CallKind.SOCIAL})
_LEGAL: Final = frozenset({CallKind.LEGAL})


async def regular_week(house: House, sign_ins: SignIns) -> None:
    """Templates as a scheduler would make them: weekdays, weekends, legal visits."""
    scheduler = _scheduler(sign_ins)
    today = house.clock().date() - timedelta(days=1)
    social = tuple(id_ for name, id_ in sign_ins.stations.items() if "legal" not in name)
    legal = tuple(id_ for name, id_ in sign_ins.stations.items() if "legal" in name)
    drafts = (
        TemplateDraft("Weekday afternoons", (0, 1, 2, 3, 4), time(13), time(17), VISIT_MINUTES, 5, social, today),
        TemplateDraft("Weekends", (5, 6), time(9), time(18), VISIT_MINUTES, 5, social, today),
        TemplateDraft(
            "Legal visits",
            (0, 1, 2, 3, 4),
            time(8),
            time(16),
            60,
            1,
            legal,
            today,
            kinds=_LEGAL,
            supervision=SupervisionLevel.NONE,
            credit_type=None,
        ),
    )
    for draft in drafts:
        await house.services.templates.create(scheduler, draft)


async def open_now(house: House, sign_ins: SignIns) -> None:
    """See to it that a social and a legal visit can be booked this minute, for today.

    Shortly before midnight, when no visit fits into the day any more, the next one begins at 00:00.
    """
    scheduler = _scheduler(sign_ins)
    async with house.uow(read_only=True) as u:
        prison = await u.people.get_prison(sign_ins.prison_id)
    now = house.clock().astimezone(prison.zone)
    existing = await house.services.templates.list(scheduler, first=now.date(), last=now.date())
    social = tuple(id_ for name, id_ in sign_ins.stations.items() if "legal" not in name)
    legal = tuple(id_ for name, id_ in sign_ins.stations.items() if "legal" in name)
    for name, kinds, stations in (("Open now", _SOCIAL, social), ("Open now, legal", _LEGAL, legal)):
        if any(template.kinds == kinds and _covers(template, prison, now) for template in existing):
            continue
        starts_at = now.replace(minute=now.minute - now.minute % 5, second=0, microsecond=0)
        if datetime.combine(now.date(), _LAST_MINUTE, prison.zone) - starts_at < timedelta(minutes=VISIT_MINUTES):
            starts_at = datetime.combine(now.date() + timedelta(days=1), time.min, prison.zone)
        draft = TemplateDraft(
            name=f"{name} ({starts_at:%d.%m. %H:%M})",
            weekdays=_EVERY_DAY,
            starts_at=starts_at.time().replace(tzinfo=None),
            ends_at=_LAST_MINUTE,
            duration_minutes=VISIT_MINUTES,
            capacity=len(stations),
            station_ids=stations,
            valid_from=starts_at.date(),
            valid_to=starts_at.date(),
            kinds=kinds,
            supervision=SupervisionLevel.SAMPLE if kinds == _SOCIAL else SupervisionLevel.NONE,
            credit_type=CreditType.STANDARD if kinds == _SOCIAL else None,
        )
        await house.services.templates.create(scheduler, draft)


def _covers(template: SessionTemplate, prison: Prison, now: datetime) -> bool:
    return any(
        slot.starts_at <= now.astimezone(UTC) and now.astimezone(UTC) + STILL_USEFUL <= slot.ends_at
        for slot in slots_of(template, prison.zone, now.date(), now.date(), buffer=timedelta(minutes=5))
    )


def _scheduler(sign_ins: SignIns) -> Actor:
    return Actor(ActorKind.STAFF, sign_ins.scheduler_id, sign_ins.prison_id, frozenset({"scheduler"}))
