"""Administration: terminals and prisoners' PINs."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Invalid, NotFound
from visitserver.domain.paging import PageRequest
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable

routes = RouteTable("staff")

STATIONS: Final = "/staff/admin/stations"
PINS: Final = "/staff/admin/pins"


class Cursor(Body):
    """Where a list goes on."""

    after: str | None = Field(None, max_length=254)
    lang: str = Field("", max_length=16)


class StationUse(Body):
    """Whether a terminal is in use. Visits at one that is not are flagged for the desk."""

    active: bool
    reason: str = Field(min_length=3, max_length=500)


class NewPin(Body):
    """A PIN that staff give a prisoner."""

    number: str = Field(min_length=1, max_length=64)
    pin: str = Field(min_length=1, max_length=12)


@routes.get(STATIONS, action="admin.station.list", summary="Terminals and their browsers")
async def stations(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return ctx.render("admin/stations.html", stations=await ctx.services.stations.statuses(ctx.actor))


@routes.post(
    "/staff/admin/stations/{station_id}/code", action="admin.station.enrol", summary="Issue a code for a terminal"
)
async def issue_code(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    code = await ctx.services.stations.issue_code(ctx.actor, ctx.param("station_id"), ctx.request_id)
    return ctx.render("admin/station_code.html", code=code, lasts=ctx.services.stations.code_lasts)


@routes.post(
    "/staff/admin/stations/{station_id}/revoke", action="admin.station.revoke", summary="Take a terminal out of service"
)
async def revoke(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    await ctx.services.stations.revoke(ctx.actor, ctx.param("station_id"), ctx.request_id)
    return ctx.redirect(STATIONS)


@routes.post(
    "/staff/admin/stations/{station_id}/use",
    action="admin.station.use",
    summary="Say whether a terminal is in use",
    body=StationUse,
)
async def use(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(StationUse)
    if form.model is None:
        raise Invalid("Give a reason.", code="reason_required", field="reason")
    wanted = form.model
    await ctx.services.stations.set_active(
        ctx.actor, ctx.param("station_id"), wanted.active, wanted.reason, request_id=ctx.request_id
    )
    return ctx.redirect(STATIONS)


@routes.get(PINS, action="pin.list", summary="Locked PINs", query=Cursor)
async def pins(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _pins(ctx, EMPTY, ctx.query(Cursor).after)


@routes.post(PINS, action="pin.set", summary="Give a prisoner a new PIN", body=NewPin)
async def set_pin(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(NewPin)
    if form.model is None:
        return await _pins(ctx, form)
    try:
        await ctx.services.pins.set_pin(ctx.actor, form.model.number, form.model.pin, ctx.request_id)
    except Invalid as error:
        return await _pins(ctx, form.error(error.field or "pin", ctx._(error.detail)))
    except NotFound as error:
        return await _pins(ctx, form.error("number", ctx._(error.detail)))
    return await _pins(ctx, EMPTY, None, {"kind": "good", "text": ctx._("The PIN is set.")})


@routes.post("/staff/admin/pins/{account_id}/unlock", action="pin.unlock", summary="Unlock a PIN")
async def unlock(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    await ctx.services.pins.unlock(ctx.actor, ctx.param("account_id"), ctx.request_id)
    return ctx.redirect(PINS)


async def _pins(ctx: Ctx, form: Form[NewPin], after: str | None = None, *flashes: object) -> web.Response:
    page = await ctx.services.pins.locked(ctx.actor, PageRequest(cursor=after))
    return ctx.render("admin/pins.html", status=422 if form.errors else 200, form=form, page=page, flashes=flashes)
