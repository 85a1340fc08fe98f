"""From templates to slots: weekdays and wall-clock times of a prison, told in UTC."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from dateutil.rrule import WEEKLY, rrule

from visitserver.domain.errors import Invalid
from visitserver.domain.occupancy import CELL
from visitserver.domain.scheduling import LOCATION_LEVELS, SessionTemplate, SessionTerms, Slot

_NEVER = datetime.min.replace(tzinfo=UTC)
_KEY = re.compile(r"(?P<template>[a-z]{2,8}_[a-z0-9_]{1,31})@(?P<start>\d{8}T\d{4})Z")


def slots_of(
    template: SessionTemplate, zone: ZoneInfo, first: date, last: date, *, buffer: timedelta
) -> Iterator[Slot]:
    """The template's slots on the prison's days from `first` to `last`, in order.

    Slots begin at wall-clock times: the session's start, then every duration and buffer, rounded up to five minutes. A
    wall-clock time that a clock change skips has no slot; of one that comes twice the first is meant. A slot that a
    shortened day pushes into the one before is left out, so a template never competes with itself.
    """
    terms = SessionTerms.of(template)
    step = timedelta(minutes=template.duration_minutes) + -(-buffer // CELL) * CELL
    duration = timedelta(minutes=template.duration_minutes)
    for day in _days(template, first, last):
        busy_until: datetime | None = None
        wall = datetime.combine(day, template.starts_at)
        end = datetime.combine(day, template.ends_at)
        while wall + duration <= end:
            starts_at = to_utc(wall, zone)
            if starts_at is not None and (busy_until is None or starts_at >= busy_until):
                busy_until = starts_at + step
                yield Slot(terms, starts_at, starts_at + duration, day)
            wall += step


def slot_at(template: SessionTemplate, zone: ZoneInfo, starts_at: datetime, *, buffer: timedelta) -> Slot | None:
    """The template's slot that begins at `starts_at`, or None when there is none."""
    day = starts_at.astimezone(zone).date()
    for slot in slots_of(template, zone, day, day, buffer=buffer):
        if slot.starts_at == starts_at:
            return slot
    return None


def parse_slot_key(key: str) -> tuple[str, datetime]:
    """(template id, start in UTC) of `Slot.key`; Invalid for anything else."""
    match = _KEY.fullmatch(key)
    if match is not None:
        try:
            starts_at = datetime.strptime(match["start"], "%Y%m%dT%H%M").replace(tzinfo=UTC)
        except ValueError:
            starts_at = _NEVER
        # So far away a day before or after it would be no day any more.
        if 2000 <= starts_at.year < 2200:
            return match["template"], starts_at
    raise Invalid("There is no such time.", code="slot_key", field="slot")


def to_utc(wall: datetime, zone: ZoneInfo) -> datetime | None:
    """The first moment at which the clocks of `zone` show `wall` (naive); None when they skip it."""
    moment = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    # A wall-clock time that is skipped comes back as another one.
    return moment if moment.astimezone(zone).replace(tzinfo=None, fold=0) == wall else None


@lru_cache(maxsize=4096)
def day_starts(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a day in `zone`, in UTC; where clocks skip midnight, the moment to which they jump."""
    midnight = datetime.combine(day, time.min)
    # The offset that holds before a gap, read off a skipped wall-clock time, gives the end of the gap.
    return to_utc(midnight, zone) or midnight.replace(tzinfo=zone, fold=0).astimezone(UTC)


def check_template(template: SessionTemplate) -> None:
    """Raises Invalid for a template that makes no slots or slots off the five-minute grid."""

    def refuse(detail: str, field: str) -> Invalid:
        return Invalid(detail, code="template", field=field)

    if not template.weekdays or any(day not in range(7) for day in template.weekdays):
        raise refuse("Choose one or more days of the week.", "weekdays")
    if template.duration_minutes not in range(5, 181) or template.duration_minutes % 5:
        raise refuse("A visit lasts 5 to 180 minutes, in steps of five.", "duration_minutes")
    if any(
        moment.minute % 5 or moment.second or moment.microsecond for moment in (template.starts_at, template.ends_at)
    ):
        raise refuse("Sessions begin and end on a five-minute mark.", "starts_at")
    if _minutes(template.ends_at) - _minutes(template.starts_at) < template.duration_minutes:
        raise refuse("The session is shorter than one visit.", "ends_at")
    if template.every_weeks not in range(1, 53):
        raise refuse("A session recurs every 1 to 52 weeks.", "every_weeks")
    if template.capacity < 1 or (template.capacity_supervised or 0) < 0:
        raise refuse("A session has room for one visit or more.", "capacity")
    if not template.station_ids:
        raise refuse("Choose one or more stations.", "station_ids")
    if not template.kinds:
        raise refuse("Choose one or more kinds of visit.", "kinds")
    if len({kind.privileged for kind in template.kinds}) > 1:
        raise refuse("Legal visits and others have sessions of their own.", "kinds")
    for name in ("include_locations", "exclude_locations"):
        for path in getattr(template, name):
            if not 1 <= len(path) <= LOCATION_LEVELS or not all(level.strip() for level in path):
                raise refuse(f"A location has one to {LOCATION_LEVELS} levels, none of them empty.", name)
    if template.valid_to is not None and template.valid_to < template.valid_from:
        raise refuse("The last day comes before the first.", "valid_to")


def _days(template: SessionTemplate, first: date, last: date) -> Iterator[date]:
    first = max(first, template.valid_from)
    last = last if template.valid_to is None else min(last, template.valid_to)
    if last < first:
        return
    # Weeks are counted from the Monday of the template's first week; start near `first`, not years before it.
    monday = template.valid_from - timedelta(days=template.valid_from.weekday())
    cycle = timedelta(weeks=template.every_weeks)
    start = monday + (first - monday) // cycle * cycle
    midnight = time.min
    rule = rrule(
        WEEKLY,
        dtstart=datetime.combine(start, midnight),
        interval=template.every_weeks,
        byweekday=sorted(set(template.weekdays)),
        until=datetime.combine(last, midnight),
    )
    for moment in rule:
        if moment.date() >= first:
            yield moment.date()


def _minutes(moment: time) -> int:
    return moment.hour * 60 + moment.minute
