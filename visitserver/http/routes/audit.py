"""The audit log, to read; and the button that checks its chain."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import Field

from visitserver.domain.audit_check import AuditReport
from visitserver.domain.paging import PageRequest
from visitserver.http.ctx import Ctx
from visitserver.http.forms import Body
from visitserver.http.registry import RouteTable
from visitserver.services.ports.audit import AuditFilter

routes = RouteTable("staff")

AUDIT: Final = "/staff/audit"


class Wanted(Body):
    """Which rows. Newest first."""

    action: str | None = Field(None, max_length=64)
    object: str | None = Field(None, max_length=100)
    actor: str | None = Field(None, max_length=100)
    after: str | None = Field(None, max_length=200)
    lang: str = Field("", max_length=16)


@routes.get(AUDIT, action="audit.read", summary="The audit log", query=Wanted)
async def audit(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _page(ctx, ctx.query(Wanted), None)


@routes.post("/staff/audit/verify", action="audit.verify", summary="Check the audit log's chain")
async def verify(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _page(ctx, Wanted.model_validate({}), await ctx.services.audit.verify())


async def _page(ctx: Ctx, wanted: Wanted, report: AuditReport | None) -> web.Response:
    condition = AuditFilter(action=wanted.action, actor_id=wanted.actor, object_id=wanted.object)
    page = await ctx.services.audit.list(ctx.actor, condition, PageRequest(cursor=wanted.after))
    return ctx.render("admin/audit.html", wanted=wanted, page=page, report=report)
