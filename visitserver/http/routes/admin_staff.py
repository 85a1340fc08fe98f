"""Administration: who works here, and what they may do."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import Field

from visitserver.domain.access import STAFF_ROLES, Role
from visitserver.domain.errors import Conflict, Invalid
from visitserver.domain.paging import PageRequest
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable

routes = RouteTable("staff")

LIST: Final = "/staff/admin/staff"
_ORDER: Final = [role for role in Role if role in STAFF_ROLES]


class Cursor(Body):
    """Where a list goes on."""

    after: str | None = Field(None, max_length=254)
    lang: str = Field("", max_length=16)


class NewStaff(Body):
    """A new member of staff."""

    name: str = Field(min_length=1, max_length=200)
    login: str = Field(min_length=2, max_length=100, pattern=r"^[A-Za-z0-9._@-]+$")
    roles: list[Role] = Field(min_length=1, max_length=len(_ORDER))


class Roles(Body):
    """The roles that an account has from now on."""

    roles: list[Role] = Field(min_length=1, max_length=len(_ORDER))


@routes.get("/staff/admin", action="admin.home", summary="Administration")
async def home(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return ctx.render("admin/home.html")


@routes.get(LIST, action="admin.staff.list", summary="Staff and their roles", query=Cursor)
async def staff(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _list(ctx, EMPTY, after=ctx.query(Cursor).after)


@routes.post(LIST, action="admin.staff.create", summary="Add a member of staff", body=NewStaff)
async def create(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(NewStaff)
    if form.model is None:
        return await _list(ctx, form)
    try:
        account, first = await ctx.services.accounts.create_staff(
            ctx.actor, form.model.name, form.model.login, frozenset(form.model.roles), request_id=ctx.request_id
        )
    except (Conflict, Invalid) as error:
        name = "login" if isinstance(error, Conflict) else (error.field or "")
        return await _list(ctx, form.error(name, ctx._(error.detail)))
    return ctx.render("admin/staff_created.html", login=account.login, first_password=first)


@routes.post("/staff/admin/staff/{account_id}/suspend", action="admin.staff.suspend", summary="Suspend an account")
async def suspend(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    await ctx.services.accounts.set_suspended(ctx.actor, ctx.param("account_id"), True, ctx.request_id)
    return ctx.redirect(LIST)


@routes.post("/staff/admin/staff/{account_id}/resume", action="admin.staff.suspend", summary="End a suspension")
async def resume(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    await ctx.services.accounts.set_suspended(ctx.actor, ctx.param("account_id"), False, ctx.request_id)
    return ctx.redirect(LIST)


@routes.post(
    "/staff/admin/staff/{account_id}/roles", action="admin.staff.roles", summary="Give an account roles", body=Roles
)
async def set_roles(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(Roles)
    if form.model is None:
        raise Invalid("Please choose at least one role of staff.", code="roles", field="roles")
    await ctx.services.accounts.set_roles(
        ctx.actor, ctx.param("account_id"), frozenset(form.model.roles), ctx.request_id
    )
    return ctx.redirect(LIST)


async def _list(ctx: Ctx, form: Form[NewStaff], after: str | None = None) -> web.Response:
    page = await ctx.services.accounts.staff(ctx.actor, PageRequest(cursor=after))
    status = 422 if form.errors else 200
    return ctx.render("admin/staff.html", status=status, form=form, page=page, roles=_ORDER)
