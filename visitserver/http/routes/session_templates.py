"""Session templates: when visits can take place. Listed, added, changed from a day on, ended; with what it touches."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Any, Final

from aiohttp import web
from pydantic import Field

from visitserver.domain.allowance import CreditType
from visitserver.domain.calls import CallKind
from visitserver.domain.errors import Conflict, DomainError, Invalid
from visitserver.domain.people import IncentiveLevel, LegalStatus
from visitserver.domain.scheduling import Location, SessionTemplate, SupervisionLevel
from visitserver.http.console.days import Day
from visitserver.http.console.looked_at import digest, part_of
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable
from visitserver.services.template_carry import Standing
from visitserver.services.templates import TemplateDraft

routes = RouteTable("staff")

LISTS: Final = (
    *("weekdays", "station_ids", "kinds", "include_wings", "exclude_wings", "incentive_levels", "legal_statuses"),
)


class TemplatesQuery(Body):
    """`past`: those that have ended, too. `part`: which part of the list, from 0."""

    lang: str = Field("", max_length=16)
    past: bool = False
    part: int = Field(0, ge=0, le=100_000)


class TemplateForm(Body):
    """A session, as SessionTemplate says. `weekdays`: Monday is 0. Legal kinds have sessions of their own.

    Locations are a line each, levels apart by `/`; categories are apart by commas. `seen`: what was filled in when the
    affected bookings were shown (looked_at.digest), so that the change may be made; `part`: show that part of them.
    """

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
    valid_from: Day
    valid_to: Day | None = None
    every_weeks: int = Field(1, ge=1, le=52)
    include_wings: list[str] = Field(default=[], max_length=200)
    exclude_wings: list[str] = Field(default=[], max_length=200)
    include_locations: str = Field("", max_length=4000)
    exclude_locations: str = Field("", max_length=4000)
    include_categories: str = Field("", max_length=1000)
    exclude_categories: str = Field("", max_length=1000)
    incentive_levels: list[IncentiveLevel] = Field(default=[], max_length=10)
    legal_statuses: list[LegalStatus] = Field(default=[], max_length=10)
    seen: str = Field("", max_length=64)
    part: int | None = Field(None, ge=0, le=100_000)


class EndForm(Body):
    """The last day on which the session takes place. Where bookings stand after it: a reason, `seen` and `part`."""

    last_day: Day
    reason: str = Field("", max_length=2000)
    seen: str = Field("", max_length=64)
    part: int | None = Field(None, ge=0, le=100_000)


@routes.get("/staff/templates", action="template.list", summary="Session templates", query=TemplatesQuery)
async def template_list(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(TemplatesQuery)
    return await _list(ctx, past=query.past, number=query.part)


@routes.get("/staff/templates/new", action="template.create", summary="Add a session template")
async def new_template(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _form(ctx, EMPTY)


@routes.post("/staff/templates/new", action="template.create", summary="Add a session template", body=TemplateForm)
async def create(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(TemplateForm)
    if form.model is None:
        return await _form(ctx, form)
    try:
        await ctx.services.templates.create(ctx.actor, TemplateDraft(**_values(form.model)), request_id=ctx.request_id)
    except Invalid as error:
        return await _form(ctx, form.error(error.field or "name", ctx._(error.detail)))
    return ctx.redirect("/staff/templates")


@routes.get("/staff/templates/{template_id}", action="template.list", summary="One session and its versions")
async def one_template(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _one(ctx)


@routes.get(
    "/staff/templates/{template_id}/version", action="template.revise", summary="Change a session from a day on"
)
async def version_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _form(ctx, EMPTY, await ctx.services.templates.get(ctx.actor, ctx.param("template_id")))


@routes.post(
    "/staff/templates/{template_id}/version",
    action="template.revise",
    summary="Change a session from a day on",
    body=TemplateForm,
)
async def new_version(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    """The first time the bookings it touches are shown; with `seen` it is done."""
    form = await ctx.form(TemplateForm)
    templates = ctx.services.templates
    old = await templates.get(ctx.actor, ctx.param("template_id"))
    if form.model is None:
        return await _form(ctx, form, old)
    changes = _values(form.model)
    from_day = changes.pop("valid_from")
    try:
        if form.model.part is not None or form.model.seen != digest(await request.post()):
            found = await templates.preview_version(ctx.actor, old.id, changes, from_day)
            return await _form(ctx, form, old, found, form.model.part or 0)
        revision = await templates.new_version(ctx.actor, old.id, changes, from_day, request_id=ctx.request_id)
    except (Invalid, Conflict) as error:
        return await _form(ctx, form.error(_field(error), ctx._(error.detail)), old)
    return ctx.redirect(f"/staff/templates/{revision.template.id}")


@routes.post("/staff/templates/{template_id}/end", action="template.end", summary="End a session", body=EndForm)
async def end(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    """Where nothing stands after the last day it ends at once; else what stands is shown, and a reason asked for."""
    form = await ctx.form(EndForm)
    template_id = ctx.param("template_id")
    templates = ctx.services.templates
    if form.model is None:
        return await _one(ctx, end_form=form, said=next(iter(form.errors.values())))
    last_day, part = form.model.last_day, form.model.part
    try:
        if part is not None:
            return await _one(
                ctx, end_form=form, standing=await templates.preview_retire(ctx.actor, template_id, last_day), part=part
            )
        if form.model.seen == digest(await request.post()):
            await templates.retire(ctx.actor, template_id, last_day, form.model.reason, request_id=ctx.request_id)
        else:
            await templates.end(ctx.actor, template_id, last_day, request_id=ctx.request_id)
    except Conflict as error:
        if error.code == "template_booked":
            try:
                found = await templates.preview_retire(ctx.actor, template_id, last_day)
            except (Invalid, Conflict) as refused:
                return await _one(ctx, end_form=form, said=ctx._(refused.detail))
            return await _one(ctx, end_form=form, standing=found)
        return await _one(ctx, end_form=form, said=ctx._(error.detail))
    except Invalid as error:
        return await _one(ctx, end_form=form, said=ctx._(error.detail))
    return ctx.redirect("/staff/templates")


def _field(error: DomainError) -> str:
    field = getattr(error, "field", None)
    return str(field) if field else "valid_from"


def _values(model: TemplateForm) -> dict[str, Any]:
    """What a TemplateDraft is made of."""
    values = model.model_dump(exclude={"seen", "part"})
    values["weekdays"] = tuple(sorted(set(model.weekdays)))
    values["station_ids"] = tuple(dict.fromkeys(model.station_ids))
    for name in ("kinds", "include_wings", "exclude_wings", "incentive_levels", "legal_statuses"):
        values[name] = frozenset(getattr(model, name))
    for name in ("include_locations", "exclude_locations"):
        values[name] = _locations(getattr(model, name))
    for name in ("include_categories", "exclude_categories"):
        values[name] = frozenset(part.strip() for part in getattr(model, name).split(",") if part.strip())
    return values


def _locations(text: str) -> frozenset[Location]:
    """A line each: "A / 2 / 14"."""
    paths = (tuple(part.strip() for part in line.split("/") if part.strip()) for line in text.splitlines())
    return frozenset(path for path in paths if path)


def _shown(template: SessionTemplate) -> tuple[dict[str, str], dict[str, set[str]]]:
    """The texts and the ticked boxes of a form for what there is."""
    texts = {
        "name": template.name,
        "starts_at": f"{template.starts_at:%H:%M}",
        "ends_at": f"{template.ends_at:%H:%M}",
        "duration_minutes": str(template.duration_minutes),
        "every_weeks": str(template.every_weeks),
        "capacity": str(template.capacity),
        "capacity_supervised": "" if template.capacity_supervised is None else str(template.capacity_supervised),
        "supervision": template.supervision.value,
        "credit_type": template.credit_type.value if template.credit_type else "",
        "valid_to": template.valid_to.isoformat() if template.valid_to else "",
        "include_locations": "\n".join(sorted(" / ".join(path) for path in template.include_locations)),
        "exclude_locations": "\n".join(sorted(" / ".join(path) for path in template.exclude_locations)),
        "include_categories": ", ".join(sorted(template.include_categories)),
        "exclude_categories": ", ".join(sorted(template.exclude_categories)),
    }
    if template.public:
        texts["public"] = "true"
    return texts, {name: {str(each) for each in getattr(template, name)} for name in LISTS}


async def _list(ctx: Ctx, *, past: bool = False, number: int = 0) -> web.StreamResponse:
    today = await ctx.services.desk.today(ctx.actor)
    first = today - timedelta(days=366) if past else today
    templates = await ctx.services.templates.list(ctx.actor, first=first, last=today + timedelta(days=366))
    stations = {station.id: station.name for station in await ctx.services.desk.stations(ctx.actor)}
    part = part_of(templates, number)
    return ctx.render("staff/templates.html", part=part, stations=stations, today=today, past=past)


async def _one(
    ctx: Ctx, *, end_form: Form[EndForm] = EMPTY, standing: Standing | None = None, part: int = 0, said: str = ""
) -> web.StreamResponse:
    services, actor = ctx.services, ctx.actor
    template = await services.templates.get(actor, ctx.param("template_id"))
    prison = await services.desk.prison(actor)
    return ctx.render(
        "staff/template.html",
        status=409 if said or standing else 200,
        one=template,
        versions=await services.templates.versions(actor, template.id),
        stations={station.id: station.name for station in await services.desk.stations(actor)},
        wings={wing.id: wing.name for wing in await services.desk.wings(actor)},
        today=await services.desk.today(actor),
        zone=prison.timezone,
        end_form=end_form,
        standing=standing,
        **await _left(ctx, standing, part),
        said=said,
    )


async def _left(ctx: Ctx, standing: Standing | None, number: int) -> dict[str, Any]:
    """The bookings that lose their time, part by part; and what was filled in when they were shown."""
    if standing is None:
        return {"part": None, "left": [], "looked": ""}
    part = part_of(standing.left, number)
    views = await ctx.services.desk.views(ctx.actor, part.shown)
    return {"part": part, "left": views, "looked": digest(await ctx.request.post())}


async def _form(
    ctx: Ctx,
    form: Form[TemplateForm],
    old: SessionTemplate | None = None,
    standing: Standing | None = None,
    part: int = 0,
) -> web.StreamResponse:
    services, actor = ctx.services, ctx.actor
    today = await services.desk.today(actor)
    filled = await ctx.request.post() if ctx.request.method == "POST" else None
    if filled is not None:
        values = dict(form.values)
        chosen = {name: {str(value) for value in filled.getall(name, [])} for name in LISTS}
    elif old is not None:
        values, chosen = _shown(old)
        values["valid_from"] = max(today + timedelta(days=1), old.valid_from + timedelta(days=1)).isoformat()
    else:
        values, chosen = {"public": "true"}, {name: set[str]() for name in LISTS}
        chosen["kinds"] = {CallKind.SOCIAL.value}
    prison = await services.desk.prison(actor)
    return ctx.render(
        "staff/template_new.html",
        status=422 if form.errors else 200,
        old=old,
        values=values,
        errors=form.errors,
        chosen=chosen,
        standing=standing,
        **await _left(ctx, standing, part),
        zone=prison.timezone,
        stations=[one for one in await services.desk.stations(actor) if one.active],
        wings=await services.desk.wings(actor),
        today=today,
        kinds=list(CallKind),
        levels=list(SupervisionLevel),
        incentives=list(IncentiveLevel),
        statuses=list(LegalStatus),
    )
