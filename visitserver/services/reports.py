"""Numbers of use: for the people who run visits, and for those who ask whether they are run well."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from visitserver.domain.actors import Actor
from visitserver.domain.clock import Clock
from visitserver.domain.errors import Invalid
from visitserver.domain.people import Prison
from visitserver.domain.reports import MAX_DAYS, Report, VisitRow, make_report
from visitserver.domain.slots import day_starts
from visitserver.services.access_checks import own_prison
from visitserver.services.clock import today_at, usable_day
from visitserver.services.ports.uow import UnitOfWorkFactory

DEFAULT_DAYS: Final = 28
MOST_ROWS: Final = 200_000
"""Rows of one export: more than any prison has visits in a year."""


class ReportService:
    """Everything is about the actor's own prison."""

    def __init__(self, uow: UnitOfWorkFactory, clock: Clock) -> None:
        self._uow = uow
        self._clock = clock

    async def report(self, actor: Actor, *, first: date | None = None, last: date | None = None) -> Report:
        """The numbers of the prison's days `first` to `last` (1 to 366 of them; default: the last 28)."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            prison = await u.people.get_prison(actor.prison_id or "")
            first, last = self._period(prison, first, last)
            since, until = day_starts(first, prison.zone), day_starts(last + timedelta(days=1), prison.zone)
            visits = [row async for row in u.reports.visits(prison.id, since, until)]
            decisions = [row async for row in u.reports.decisions(prison.id, since, until)]
            return make_report(
                visits,
                decisions,
                await u.reports.requests(prison.id, since, until),
                first=first,
                last=last,
                zone=prison.zone,
                held_now=await u.reports.prisoners_held(prison.id),
            )

    async def visits(
        self, actor: Actor, *, first: date | None = None, last: date | None = None
    ) -> tuple[Prison, Sequence[VisitRow]]:
        """Every booking of the period, for an export; at most MOST_ROWS, Invalid beyond."""
        own_prison(actor, actor.prison_id)
        async with self._uow(read_only=True) as u:
            prison = await u.people.get_prison(actor.prison_id or "")
            first, last = self._period(prison, first, last)
            rows = []
            since, until = day_starts(first, prison.zone), day_starts(last + timedelta(days=1), prison.zone)
            async for row in u.reports.visits(prison.id, since, until):
                rows.append(row)
                if len(rows) > MOST_ROWS:
                    raise Invalid("That is too much for one file. Choose fewer days.", code="too_many", field="first")
            return prison, rows

    def _period(self, prison: Prison, first: date | None, last: date | None) -> tuple[date, date]:
        last = today_at(prison, self._clock()) if last is None else usable_day(last, "last")
        first = usable_day(first, "first") if first is not None else last - timedelta(days=DEFAULT_DAYS - 1)
        if not 1 <= (last - first).days + 1 <= MAX_DAYS:
            raise Invalid(f"Ask for 1 to {MAX_DAYS} days.", code="period", field="last")
        return first, last
