"""Administration: the other programs that are told what happens."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Conflict, Invalid
from visitserver.domain.webhooks import EVENTS, LONGEST_URL
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable

routes = RouteTable("staff")

WEBHOOKS: Final = "/staff/admin/webhooks"


class NewEndpoint(Body):
    """An address and the events that it wants."""

    url: str = Field(min_length=1, max_length=LONGEST_URL)
    description: str = Field("", max_length=200)
    events: list[str] = Field(min_length=1, max_length=len(EVENTS))


@routes.get(WEBHOOKS, action="webhook.list", summary="Webhooks")
async def webhooks(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _list(ctx, EMPTY)


@routes.post(WEBHOOKS, action="webhook.change", summary="Add a webhook", body=NewEndpoint)
async def add(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(NewEndpoint)
    if form.model is None:
        return await _list(ctx, form)
    try:
        made = await ctx.services.webhooks.add(
            ctx.actor,
            form.model.url,
            frozenset(form.model.events),
            description=form.model.description,
            request_id=ctx.request_id,
        )
    except (Conflict, Invalid) as error:
        name = (error.field if isinstance(error, Invalid) else None) or "url"
        return await _list(ctx, form.error(name, ctx._(error.detail)))
    return ctx.render("admin/webhook_created.html", made=made)


@routes.post(WEBHOOKS + "/{endpoint_id}/pause", action="webhook.change", summary="Pause a webhook")
async def pause(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    await ctx.services.webhooks.pause(ctx.actor, ctx.param("endpoint_id"), request_id=ctx.request_id)
    return ctx.redirect(WEBHOOKS)


@routes.post(WEBHOOKS + "/{endpoint_id}/resume", action="webhook.change", summary="Resume a webhook")
async def resume(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    await ctx.services.webhooks.resume(ctx.actor, ctx.param("endpoint_id"), request_id=ctx.request_id)
    return ctx.redirect(WEBHOOKS)


@routes.post(WEBHOOKS + "/{endpoint_id}/remove", action="webhook.change", summary="Remove a webhook")
async def remove(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    await ctx.services.webhooks.remove(ctx.actor, ctx.param("endpoint_id"), request_id=ctx.request_id)
    return ctx.redirect(WEBHOOKS)


@routes.post(WEBHOOKS + "/{endpoint_id}/test", action="webhook.change", summary="Send a test event to a webhook")
async def test(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    await ctx.services.webhooks.test(ctx.actor, ctx.param("endpoint_id"), request_id=ctx.request_id)
    return ctx.redirect("/staff/admin/outbox")


async def _list(ctx: Ctx, form: Form[NewEndpoint]) -> web.Response:
    endpoints = await ctx.services.webhooks.list(ctx.actor)
    chosen = (await ctx.request.post()).getall("events", []) if form.errors else []
    return ctx.render(
        "admin/webhooks.html",
        status=422 if form.errors else 200,
        form=form,
        endpoints=endpoints,
        events=EVENTS,
        chosen=chosen,
    )
