"""Session templates: when visits can take place. Listed, added, ended; never edited under existing bookings."""

from __future__ import annotations

from datetime import date, time, timedelta

from aiohttp import web
from pydantic import Field

from visitserver.domain.allowance import CreditType
from visitserver.domain.calls import CallKind
from visitserver.domain.errors import Conflict, Invalid
from visitserver.domain.scheduling import SupervisionLevel
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable
from visitserver.services.templates import TemplateDraft

routes = RouteTable("staff")


class TemplatesQuery(Body):
    """`past`: those that have ended, too."""

    lang: str = Field("", max_length=16)
    past: bool = False


class TemplateForm(Body):
    """A session, as SessionTemplate says. `weekdays`: Monday is 0. Legal kinds have sessions of their own."""

    name: str = Field(min_length=2, max_length=100)
    weekdays: list[int] = Field(min_length=1, max_length=7)
    starts_at: time
    ends_at: time
    duration_minutes: int = Field(ge=5, le=180)
    capacity: int = Field(ge=1, le=500)
    capacity_supervised: int | None = Field(None, ge=0, le=500)
    station_ids: list[str] = Field(min_length=1, max_length=200)
    kinds: list[CallKind] = Field(min_length=1, max_length=5)
    supervision: SupervisionLevel
    credit_type: CreditType | None = None
    public: bool = False
    valid_from: date
    valid_to: date | None = None
    every_weeks: int = Field(1, ge=1, le=52)


class EndForm(Body):
    """The last day on which the session takes place."""

    last_day: date


@routes.get("/staff/templates", action="template.list", summary="Session templates", query=TemplatesQuery)
async def template_list(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _list(ctx, past=ctx.query(TemplatesQuery).past)


@routes.get("/staff/templates/new", action="template.create", summary="Add a session template")
async def new_template(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _new(ctx, EMPTY)


@routes.post("/staff/templates/new", action="template.create", summary="Add a session template", body=TemplateForm)
async def create(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(TemplateForm)
    if form.model is None:
        return await _new(ctx, form)
    try:
        await ctx.services.templates.create(ctx.actor, _draft(form.model), request_id=ctx.request_id)
    except Invalid as error:
        return await _new(ctx, form.error(error.field or "name", ctx._(error.detail)))
    return ctx.redirect("/staff/templates")


@routes.post("/staff/templates/{template_id}/end", action="template.end", summary="End a session", body=EndForm)
async def end(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(EndForm)
    template_id = ctx.param("template_id")
    if form.model is None:
        return await _list(ctx, ended=template_id, said=next(iter(form.errors.values())))
    try:
        await ctx.services.templates.end(ctx.actor, template_id, form.model.last_day, request_id=ctx.request_id)
    except (Invalid, Conflict) as error:
        return await _list(ctx, ended=template_id, said=ctx._(error.detail))
    return ctx.redirect("/staff/templates")


def _draft(model: TemplateForm) -> TemplateDraft:
    values = model.model_dump()
    values["weekdays"] = tuple(sorted(set(model.weekdays)))
    values["station_ids"] = tuple(dict.fromkeys(model.station_ids))
    values["kinds"] = frozenset(model.kinds)
    return TemplateDraft(**values)


async def _list(ctx: Ctx, *, past: bool = False, ended: str = "", said: str = "") -> web.StreamResponse:
    today = await ctx.services.desk.today(ctx.actor)
    first = today - timedelta(days=366) if past else today
    templates = await ctx.services.templates.list(ctx.actor, first=first, last=today + timedelta(days=366))
    stations = {station.id: station.name for station in await ctx.services.desk.stations(ctx.actor)}
    return ctx.render(
        "staff/templates.html",
        status=409 if said else 200,
        templates=templates,
        stations=stations,
        today=today,
        past=past,
        ended=ended,
        said=said,
    )


async def _new(ctx: Ctx, form: Form[TemplateForm]) -> web.StreamResponse:
    filled = await ctx.request.post() if ctx.request.method == "POST" else None
    chosen = {
        name: {str(value) for value in filled.getall(name, [])} if filled else set[str]()
        for name in ("weekdays", "station_ids", "kinds")
    }
    if filled is None:
        chosen["kinds"] = {CallKind.SOCIAL.value}
    stations = [station for station in await ctx.services.desk.stations(ctx.actor) if station.active]
    return ctx.render(
        "staff/template_new.html",
        status=422 if form.errors else 200,
        form=form,
        chosen=chosen,
        stations=stations,
        today=await ctx.services.desk.today(ctx.actor),
        kinds=list(CallKind),
        levels=list(SupervisionLevel),
        credits=list(CreditType),
        fresh=filled is None,
    )
