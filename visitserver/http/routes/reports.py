"""Numbers: how visits are used, what is refused and why, how long people wait; on a page, and as files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Final

from aiohttp import web

from visitserver.domain.calls import OutcomeCode
from visitserver.domain.reports import Report, Spread
from visitserver.domain.rules.order import RULES
from visitserver.http.console.days import Day
from visitserver.http.console.lists import PageQuery
from visitserver.http.csv_export import Value, csv_response
from visitserver.http.ctx import Ctx
from visitserver.http.registry import RouteTable

routes = RouteTable("staff")

REPORTS: Final = "/staff/reports"
_NUMBERS: Final[Mapping[str, str]] = {rule.key: rule.number for rule in RULES}


class Period(PageQuery):
    """The prison's days, both included."""

    first: Day | None = None
    last: Day | None = None


class Table(StrEnum):
    """What can be had as a file."""

    WEEKS = "weeks"
    CAUSES = "causes"
    RULES = "rules"
    WAITING = "waiting"
    OVERBOOKED = "overbooked"
    VISITS = "visits"


@routes.get(REPORTS, action="report.read", summary="Numbers about visits", query=Period)
async def reports(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    wanted = ctx.query(Period)
    report = await ctx.services.reports.report(ctx.actor, first=wanted.first, last=wanted.last)
    return ctx.render(
        "staff/reports.html",
        report=report,
        rule_numbers=_NUMBERS,
        outcomes={code.value: code.value.replace("_", " ") for code in OutcomeCode},
        tables=list(Table),
        query=f"first={report.first}&last={report.last}",
    )


@routes.get(
    REPORTS + "/{table:weeks|causes|rules|waiting|overbooked|visits}.csv",
    action="report.export",
    summary="Numbers about visits as a file",
    query=Period,
    produces="text/csv",
)
async def export(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    wanted = ctx.query(Period)
    table = Table(request.match_info["table"])
    if table is Table.VISITS:
        return await _visits(ctx, wanted)
    report = await ctx.services.reports.report(ctx.actor, first=wanted.first, last=wanted.last)
    header, rows = _TABLES[table](report)
    return csv_response(f"{table}-{report.first}-{report.last}.csv", header, rows)


Rows = tuple[list[str], list[list[Value]]]


async def _visits(ctx: Ctx, wanted: Period) -> web.Response:
    prison, visits = await ctx.services.reports.visits(ctx.actor, first=wanted.first, last=wanted.last)
    header = [
        *("booking", "kind", "state", "outcome", "day", "start", "end", "time_zone"),
        *("booked_at_utc", "days_ahead", "overbooked", "connected_minutes"),
    ]
    rows: list[list[Value]] = []
    for row in visits:
        start, end = row.starts_at.astimezone(prison.zone), row.ends_at.astimezone(prison.zone)
        connected = None if row.connected_seconds is None else round(row.connected_seconds / 60, 1)
        rows.append(
            [
                *(row.booking_id, row.kind.value, row.state.value, row.outcome, start.date()),
                *(f"{start:%H:%M}", f"{end:%H:%M}", prison.timezone, f"{row.created_at:%Y-%m-%dT%H:%MZ}"),
                *((row.starts_at - row.created_at).days, "yes" if row.overbooked else "no", connected),
            ]
        )
    return csv_response(f"visits-{wanted.first or 'latest'}.csv", header, rows)


def _weeks(report: Report) -> Rows:
    header = [
        *("week_from", "booked", "held", "cancelled", "no_shows", "failed"),
        *("connected_hours", "lost_minutes", "prisoners_visited"),
    ]
    return header, [
        [
            *(week.monday, week.booked, week.held, week.cancelled, week.no_shows, week.failed),
            round(week.connected / timedelta(hours=1), 1),
            round(week.lost / timedelta(minutes=1)),
            len(week.prisoners),
        ]
        for week in report.weeks
    ]


def _causes(report: Report) -> Rows:
    return ["cause", "visits"], [[cause, count] for cause, count in report.causes.items()]


def _rules(report: Report) -> Rows:
    rows: list[list[Value]] = []
    for answer, counts in (("refused", report.refusals), ("review", report.reviews)):
        rows += [[key, _NUMBERS.get(key), answer, count] for key, count in counts.items()]
    return ["rule", "number", "answer", "times"], rows


def _waiting(report: Report) -> Rows:
    rows: list[list[Value]] = [
        ["from booking to visit", *_hours(report.ahead)],
        ["from request for a visit to decision", *_hours(report.review_wait)],
        ["from contact request to decision", *_hours(report.request_wait)],
    ]
    return ["what", "count", "median_hours", "nine_of_ten_hours"], rows


def _overbooked(report: Report) -> Rows:
    return ["day", "visits_beyond_capacity"], [[day, count] for day, count in report.overbooked.items()]


def _hours(times: Spread) -> list[Value]:
    return [
        times.count,
        None if times.median is None else round(times.median / timedelta(hours=1), 1),
        None if times.ninth is None else round(times.ninth / timedelta(hours=1), 1),
    ]


_TABLES: Final = {
    Table.WEEKS: _weeks,
    Table.CAUSES: _causes,
    Table.RULES: _rules,
    Table.WAITING: _waiting,
    Table.OVERBOOKED: _overbooked,
}
