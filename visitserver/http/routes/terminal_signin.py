"""Terminals: becoming a station by a code, prisoners' PIN, signing out."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Invalid
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body
from visitserver.http.onward import onward
from visitserver.http.registry import Audience, RouteTable
from visitserver.services.signin import SignInFailed
from visitserver.services.tokens import token_hash

routes = RouteTable("terminal")

START: Final = "/terminal"
HOME: Final = "/terminal/home"


class Next(Body):
    """Where to go on after signing in."""

    next: str = Field("", max_length=500)
    lang: str = Field("", max_length=16)


class PinForm(Body):
    """A prisoner's own number and PIN."""

    number: str = Field(max_length=64)
    pin: str = Field(max_length=32)
    next: str = Field("", max_length=500)


class CodeForm(Body):
    """The one-time code that staff read out."""

    code: str = Field(max_length=32)


@routes.get(START, action="session.sign_in", summary="Sign in at a terminal", query=Next)
async def pin_page(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(Next)
    if ctx.device is None:
        return ctx.redirect("/terminal/enrol")
    if ctx.principal.signed_in:
        return ctx.redirect(HOME)
    return ctx.render("auth/terminal_pin.html", form=EMPTY, next=query.next)


@routes.post(START, action="session.sign_in", summary="Sign in at a terminal", body=PinForm, rate="signin")
async def sign_in(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    if ctx.device is None:
        return ctx.redirect("/terminal/enrol")
    form = await ctx.form(PinForm)
    wanted = form.values.get("next", "")
    if form.model is None:
        return ctx.render("auth/terminal_pin.html", status=422, form=form, next=wanted)
    await ctx.limit("signin_account", token_hash(f"prisoner:{form.model.number.upper()}"))
    try:
        token = await ctx.services.signin.prisoner(ctx.device, form.model.number, form.model.pin, ctx.request_id)
    except SignInFailed:
        words = ctx._("The number and the PIN do not fit together. After too many tries a PIN is locked: ask staff.")
        return ctx.render("auth/terminal_pin.html", status=422, form=form.error("pin", words), next=wanted)
    if ctx.session_token is not None:
        await ctx.services.sessions.end(ctx.session_token)
    ctx.sign_in(Audience.TERMINAL, token)
    return ctx.redirect(onward(wanted, HOME, under="/terminal/"))


@routes.get("/terminal/enrol", action="station.enrol", summary="Make this browser a terminal")
async def enrol_page(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return ctx.render("auth/terminal_enrol.html", form=EMPTY, enrolled=ctx.device is not None)


@routes.post(
    "/terminal/enrol", action="station.enrol", summary="Make this browser a terminal", body=CodeForm, rate="enrol"
)
async def enrol(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(CodeForm)
    enrolled = ctx.device is not None
    if form.model is None:
        return ctx.render("auth/terminal_enrol.html", status=422, form=form, enrolled=enrolled)
    try:
        token = await ctx.services.stations.enrol(ctx.actor, form.model.code, ctx.request_id)
    except Invalid as error:
        again = form.error("code", ctx._(error.detail))
        return ctx.render("auth/terminal_enrol.html", status=422, form=again, enrolled=enrolled)
    ctx.become_station(token)
    return ctx.redirect(START)


@routes.post("/terminal/signout", action="session.sign_out", summary="Sign out at a terminal")
async def sign_out(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    if ctx.session_token is not None:
        await ctx.services.sessions.end(ctx.session_token)
    ctx.sign_out(Audience.TERMINAL)
    return ctx.redirect(START)
