"""A prisoner's ledger for staff, as JSON: what there is, its lines, minutes owed, credits given and taken."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from aiohttp import web
from pydantic import AwareDatetime, Field

from visitserver.domain.allowance import CreditType, LedgerEventKind
from visitserver.domain.owed import OwedEventKind
from visitserver.domain.paging import PageRequest
from visitserver.http.ctx import Ctx
from visitserver.http.forms import Body
from visitserver.http.registry import RouteTable
from visitserver.services.allowance import MOST_AT_ONCE

routes = RouteTable("staff")

PATH = "/api/prisoners/{prisoner_id}/allowance"


class Part(Body):
    """Which part of a list."""

    cursor: str | None = Field(None, max_length=200)
    limit: int = Field(50, ge=1, le=200)


class AllowanceOut(Body):
    """What a prisoner has; see AllowanceView. `owed` are minutes by relationship."""

    balance: int
    available: int
    accumulated: int
    privileged: int
    compassionate: int
    reception: int
    next_credit: date | None
    first_expiry: datetime | None
    floor_left: int
    floor_until: date | None
    minutes_owed: int
    owed: dict[str, int]


class LineOut(Body):
    """One line of the ledger."""

    sequence: int
    at: datetime
    kind: LedgerEventKind
    credit_id: str
    credit_type: CreditType
    reason: str
    actor: str
    balance_after: int
    booking_id: str | None
    expires_at: datetime | None
    call_day: date | None


class LinesOut(Body):
    """Lines, newest first, and where they go on."""

    items: list[LineOut]
    next_cursor: str | None


class OwedOut(Body):
    """One line of an account of minutes owed."""

    relationship_id: str
    at: datetime
    kind: OwedEventKind
    seconds: int
    reason: str
    actor: str
    balance_after: int
    booking_id: str


class OwedLinesOut(Body):
    """Lines of all the prisoner's relationships, newest first, and where they go on."""

    items: list[OwedOut]
    next_cursor: str | None


class CreditsBody(Body):
    """Credits that staff give or take back, and why. `key` is the program's own name for it: sent twice, done once."""

    type: Literal["standard", "privileged", "compassionate"]
    reason: str = Field(min_length=3, max_length=200)
    count: int = Field(1, ge=1, le=MOST_AT_ONCE)
    key: str = Field(min_length=8, max_length=64, pattern=r"[A-Za-z0-9_-]+")


class GivenBody(CreditsBody):
    """Credits that staff give. `expires_at` ends them."""

    expires_at: AwareDatetime | None = None


class BalanceOut(Body):
    """The balance after it."""

    balance: int


@routes.get(PATH, action="allowance.read", summary="What a prisoner has", kind="json", response=AllowanceOut)
async def allowance(_request: web.Request, ctx: Ctx) -> AllowanceOut:
    view = await ctx.services.allowance.view(ctx.actor, ctx.param("prisoner_id"))
    return AllowanceOut(**{name: getattr(view, name) for name in AllowanceOut.model_fields})


@routes.get(
    PATH + "/lines", action="allowance.read", summary="The ledger's lines", kind="json", query=Part, response=LinesOut
)
async def lines(_request: web.Request, ctx: Ctx) -> LinesOut:
    wanted = ctx.query(Part)
    part = PageRequest(wanted.limit, wanted.cursor)
    page = await ctx.services.allowance.history(ctx.actor, ctx.param("prisoner_id"), part)
    items = [LineOut(**{name: getattr(line, name) for name in LineOut.model_fields}) for line in page.items]
    return LinesOut(items=items, next_cursor=page.next_cursor)


@routes.get(
    PATH + "/owed", action="allowance.read", summary="Minutes owed", kind="json", query=Part, response=OwedLinesOut
)
async def owed(_request: web.Request, ctx: Ctx) -> OwedLinesOut:
    wanted = ctx.query(Part)
    part = PageRequest(wanted.limit, wanted.cursor)
    page = await ctx.services.allowance.owed_history(ctx.actor, ctx.param("prisoner_id"), part)
    items = [OwedOut(**{name: getattr(line, name) for name in OwedOut.model_fields}) for line in page.items]
    return OwedLinesOut(items=items, next_cursor=page.next_cursor)


@routes.post(
    PATH + "/credits",
    action="allowance.grant",
    summary="Give credits with a reason",
    kind="json",
    body=GivenBody,
    response=BalanceOut,
)
async def give(_request: web.Request, ctx: Ctx) -> BalanceOut:
    wanted = await ctx.body(GivenBody)
    balance = await ctx.services.allowance.grant(
        ctx.actor,
        ctx.param("prisoner_id"),
        CreditType(wanted.type),
        wanted.reason,
        count=wanted.count,
        expires_at=wanted.expires_at,
        event_key=wanted.key,
        request_id=ctx.request_id,
    )
    return BalanceOut(balance=balance)


@routes.post(
    PATH + "/credits/withdrawal",
    action="allowance.take",
    summary="Take credits back with a reason",
    kind="json",
    body=CreditsBody,
    response=BalanceOut,
)
async def take(_request: web.Request, ctx: Ctx) -> BalanceOut:
    wanted = await ctx.body(CreditsBody)
    balance = await ctx.services.allowance.take_away(
        ctx.actor,
        ctx.param("prisoner_id"),
        CreditType(wanted.type),
        wanted.reason,
        count=wanted.count,
        event_key=wanted.key,
        request_id=ctx.request_id,
    )
    return BalanceOut(balance=balance)
