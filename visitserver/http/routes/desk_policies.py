"""Policies: what holds at the prison and since when; a new value, with a look at what it would change beforehand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from aiohttp import web
from pydantic import BaseModel, Field, ValidationError

from visitserver.domain.access import allows
from visitserver.domain.errors import Conflict, Invalid
from visitserver.domain.policies import WEEKDAYS, PolicyData
from visitserver.domain.slots import day_starts
from visitserver.http.console import policy_words as words
from visitserver.http.console.days import Day
from visitserver.http.console.lists import PageQuery, links
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable
from visitserver.services.policies import LONGEST_AUTHORITY, PolicyLine
from visitserver.services.policy_preview import (
    TimesThen,
    VisitsThen,
    changes_times,
    flags_visits,
    pays,
    rules_that_read,
)

routes = RouteTable("staff")

URL: Final = "/staff/policies"
ONE: Final = "/staff/policies/one"
LISTED: Final = 25
"""So many of the visits that would be flagged are named; the others are a number."""
VERSIONS: Final = 20

Count = Annotated[int, Field(ge=0, le=10_000_000)]
Code = Annotated[str, Field(max_length=64)]


class PolicyQuery(PageQuery):
    """Which policy. `done`: it has just been set."""

    key: str = Field("", max_length=100)
    done: Literal["", "set"] = ""


class Times(BaseModel):
    """What TimesThen says, in a form."""

    pairs: Count
    first: Day | None
    last: Day | None
    now: Count
    then: Count
    gained: Count
    lost: Count


class Counted(BaseModel):
    """What has been counted up to now, as the page carries it from one part of the visits to the next.

    `found`: bookings that would be flagged, the first LISTED of them; `cursor`: where the next part begins.
    """

    all: Count = 0
    looked: Count = 0
    flagged: Count = 0
    relieved: Count = 0
    failed: Count = 0
    found: list[Code] = Field(default=[], max_length=LISTED)
    cursor: str | None = Field(None, max_length=400)
    times: Times | None = None

    def and_of(self, part: VisitsThen) -> Counted:
        """The same with a further part."""
        return Counted(
            all=part.all,
            looked=self.looked + part.looked,
            flagged=self.flagged + len(part.flagged),
            relieved=self.relieved + part.relieved,
            failed=self.failed + part.failed,
            found=[*self.found, *(each.booking.id for each in part.flagged)][:LISTED],
            cursor=part.next_cursor,
            times=self.times,
        )


class PolicyForm(Body):
    """A new value: `look` shows what it would change, `count` goes on counting, `set` sets what was looked at.

    `value`: the value in one or several fields. Without a first day it holds from now on. `seen` is the newest version
    of the prison that the page has shown, `counted` what it has counted.
    """

    key: str = Field(max_length=100)
    do: Literal["look", "count", "set"] = "look"
    value: list[str] = Field(default=[], max_length=600)
    first_day: Day | None = None
    reason: str = Field("", max_length=2000)
    authority: str = Field("", max_length=LONGEST_AUTHORITY)
    seen: int | None = Field(None, ge=0, le=1_000_000)
    counted: str = Field("", max_length=5000)


@routes.get(URL, action="policy.read", summary="The prison's policies", query=PageQuery)
async def policy_list(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    """One line for each key: as many as the program knows."""
    groups: dict[str, list[PolicyLine]] = defaultdict(list)
    for line in await ctx.services.policies.lines(ctx.actor):
        groups[words.group(line.key)].append(line)
    planned = {each.key: each for each in reversed(await ctx.services.policies.to_come(ctx.actor))}
    prison = await ctx.services.desk.prison(ctx.actor)
    return ctx.render(
        "staff/policies.html",
        groups={name: groups[name] for name in dict.fromkeys(words.GROUPS.values()) if name in groups},
        planned=planned,
        words=words,
        prison=prison,
        zone=prison.timezone,
        may_set=_may_set(ctx),
    )


@routes.get(ONE, action="policy.read", summary="One policy and its history", query=PolicyQuery)
async def policy_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _page(ctx, ctx.query(PolicyQuery))


@routes.post(ONE, action="policy.set", summary="Set a policy", body=PolicyForm)
async def set_policy(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    """A value is looked at before it is set: the form that sets it stands below what it would change."""
    form = await ctx.form(PolicyForm)
    query = PolicyQuery(key=form.values.get("key", "")[:100])
    if form.model is None:
        return await _page(ctx, query, form=form)
    wanted = form.model
    line = await ctx.services.policies.line(ctx.actor, wanted.key)
    try:
        value = words.read(line.key, wanted.value)
        begins = await _begins(ctx, wanted)
    except Invalid as error:
        return await _page(ctx, query, form=form.error(error.field or "value", error.detail))
    counted = _carried(wanted.counted)
    if wanted.do != "set":
        counted = await _count(ctx, wanted, value, begins, counted if wanted.do == "count" else None)
        return await _page(ctx, query, form=form, value=value, counted=counted)
    try:
        await ctx.services.policies.set(
            ctx.actor,
            ctx.actor.prison_id,
            line.key.name,
            value,
            wanted.reason,
            authority=wanted.authority,
            valid_from=begins,
            seen=wanted.seen,
            request_id=ctx.request_id,
        )
    except Invalid as error:
        form = form.error(error.field or "reason", error.detail)
        return await _page(ctx, query, form=form, value=value, counted=counted)
    except Conflict as error:
        # What they looked at was about what held then: they look again before they set it.
        return await _page(ctx, query, form=form, said=f"It was not set. {error.detail}")
    return ctx.redirect(f"{ONE}?key={line.key.name}&done=set")


async def _begins(ctx: Ctx, wanted: PolicyForm) -> datetime | None:
    """When the day begins from which it is to hold; None for at once."""
    today = await ctx.services.desk.today(ctx.actor)
    if wanted.first_day is None or wanted.first_day == today:
        return None
    if wanted.first_day < today:
        raise Invalid("A policy cannot begin in the past.", field="first_day")
    return day_starts(wanted.first_day, (await ctx.services.desk.prison(ctx.actor)).zone)


def _carried(text: str) -> Counted | None:
    """What an earlier page has counted; None when it is no such thing: then it is counted anew."""
    try:
        return Counted.model_validate_json(text)
    except ValidationError:
        return None


async def _count(
    ctx: Ctx, wanted: PolicyForm, value: PolicyData, begins: datetime | None, before: Counted | None
) -> Counted:
    preview, actor = ctx.services.policy_preview, ctx.actor
    counted = before or Counted()
    if before is None and changes_times(wanted.key):
        found = await preview.times(actor, wanted.key, value)
        counted = counted.model_copy(update={"times": _times(found)})
    if flags_visits(wanted.key) and (before is None or before.cursor is not None):
        part = await preview.visits(actor, wanted.key, value, valid_from=begins, cursor=counted.cursor)
        counted = counted.and_of(part)
    return counted


def _times(found: TimesThen) -> Times:
    return Times(
        pairs=found.pairs,
        first=found.first,
        last=found.last,
        now=found.now,
        then=found.then,
        gained=found.gained,
        lost=found.lost,
    )


def _may_set(ctx: Ctx) -> bool:
    return allows("policy.set", ctx.principal.roles)


async def _page(
    ctx: Ctx,
    query: PolicyQuery,
    *,
    form: Form[PolicyForm] = EMPTY,
    value: PolicyData | None = None,
    counted: Counted | None = None,
    said: str = "",
) -> web.StreamResponse:
    """The policy; with `value` and what was `counted`, the form that sets it as well."""
    services, actor = ctx.services, ctx.actor
    line = await services.policies.line(actor, query.key)
    key = line.key
    history = await services.policies.history(actor, key.name, query.part(VERSIONS))
    versions = await services.policies.versions(actor, key.name)
    prison = await services.desk.prison(actor)
    given: Sequence[str] = ()
    if form is not EMPTY:
        posted = await ctx.request.post()
        given = [str(each) for each in posted.getall("value", [])]
    elif line.value is not None:
        given = words.filled_in(key, line.value)
    page: dict[str, Any] = {
        "key": key,
        "line": line,
        "rules": rules_that_read(key.name),
        "history": history,
        "links": links(ctx, history, query),
        "names": await services.desk.staff_names(actor, [one.created_by for one in history.items]),
        "newest": versions[-1].version if versions else 0,
        "given": given,
        "value": value,
        "fields": words.filled_in(key, value) if value is not None else [],
        "counted": counted,
        "found": await _found(ctx, counted.found) if counted else [],
        "flags_visits": flags_visits(key.name),
        "changes_times": changes_times(key.name),
        "pays": pays(key.name),
    }
    return ctx.render(
        "staff/policy.html",
        status=409 if said else 422 if form.errors else 200,
        **page,
        form=form,
        said=said,
        done=query.done,
        at_once=services.policy_preview.at_once,
        weekdays=WEEKDAYS,
        words=words,
        now_utc=ctx.clock().astimezone(UTC),
        prison=prison,
        zone=prison.timezone,
        today=await services.desk.today(actor),
        may_set=_may_set(ctx),
        may_see_visits=allows("schedule.read", ctx.principal.roles),
    )


async def _found(ctx: Ctx, booking_ids: Sequence[str]) -> list[Any]:
    """The visits of this prison with these ids."""
    return [await ctx.services.desk.view(ctx.actor, each) for each in booking_ids]
