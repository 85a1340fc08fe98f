"""The floor: calls that a prisoner has whatever the incentive scheme or a punishment says (rule 11)."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from visitserver.domain import policies as keys
from visitserver.domain.people import ADULT_AGE, IncentiveLevel, LegalStatus, Prison, Prisoner, age_on
from visitserver.domain.policies import Policies
from visitserver.domain.slots import day_starts


@dataclass(frozen=True, slots=True)
class Floor:
    """`calls` calls of `minutes` minutes each from the prison's day `first` to `last`; it ends at `ends_at` (UTC)."""

    name: str
    calls: int
    minutes: int
    first: date
    last: date
    ends_at: datetime

    def covers(self, day: date) -> bool:
        return self.first <= day <= self.last


def floors_of(prisoner: Prisoner, prison: Prison, policies: Policies, day: date) -> tuple[Floor, ...]:
    """The floors that hold for a call on the prison's `day`, the most generous first; empty where policies set none.

    A month's: the highest of everybody's, the enhanced level's and that of the young. A week's, besides, on remand.
    """
    month = policies.number(keys.FLOOR_STANDARD)
    if prisoner.incentive_level is IncentiveLevel.ENHANCED:
        month = max(month, policies.number(keys.FLOOR_ENHANCED))
    if age_on(prisoner.born_on, day) < ADULT_AGE:
        month = max(month, policies.number(keys.FLOOR_UNDER_18))
    week = policies.number(keys.FLOOR_REMAND_WEEK) if prisoner.legal_status is LegalStatus.REMAND else 0
    minutes = policies.number(keys.FLOOR_MINUTES)
    found = []
    if week > 0:
        found.append(_of_week(week, minutes, day, prison.zone))
    if month > 0:
        found.append(_of_month(month, minutes, day, prison.zone))
    return tuple(found)


@lru_cache(maxsize=1024)
def _of_week(calls: int, minutes: int, day: date, zone: ZoneInfo) -> Floor:
    monday = day - timedelta(days=day.weekday())
    return _floor("week", calls, minutes, monday, monday + timedelta(days=6), zone)


@lru_cache(maxsize=1024)
def _of_month(calls: int, minutes: int, day: date, zone: ZoneInfo) -> Floor:
    last = day.replace(day=monthrange(day.year, day.month)[1])
    return _floor("month", calls, minutes, day.replace(day=1), last, zone)


def _floor(name: str, calls: int, minutes: int, first: date, last: date, zone: ZoneInfo) -> Floor:
    return Floor(name, calls, minutes, first, last, day_starts(last + timedelta(days=1), zone))
