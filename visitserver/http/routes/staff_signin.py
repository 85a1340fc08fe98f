"""Staff: signing in and out, their own password and second factor."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import Field

from visitserver.domain.errors import Invalid
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.onward import onward
from visitserver.http.registry import Audience, RouteTable
from visitserver.services.signin import SecondFactorNeeded, SignInFailed
from visitserver.services.tokens import token_hash

routes = RouteTable("staff")

HOME: Final = "/staff"
SIGN_IN: Final = "/staff/signin"
SECURITY: Final = "/staff/security"


class Next(Body):
    """Where to go on after signing in."""

    next: str = Field("", max_length=500)
    lang: str = Field("", max_length=16)


class SignInForm(Body):
    """User name and password; the authenticator's code where the account has one."""

    login: str = Field(max_length=254)
    password: str = Field(max_length=128)
    code: str | None = Field(None, max_length=16)
    next: str = Field("", max_length=500)


class PasswordForm(Body):
    """A new password."""

    password: str = Field(max_length=128)
    new_password: str = Field(max_length=128)


class SecondFactorForm(Body):
    """The secret that the page showed, and a code that proves that an authenticator has it."""

    password: str = Field(max_length=128)
    secret: str = Field(min_length=32, max_length=64)
    code: str = Field(max_length=16)


@routes.get(SIGN_IN, action="session.sign_in", summary="Sign in as staff", query=Next)
async def sign_in_page(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(Next)
    if ctx.principal.signed_in:
        return ctx.redirect(onward(query.next, HOME, under="/staff"))
    return ctx.render("auth/staff_signin.html", form=EMPTY, next=query.next, ask_code=False)


@routes.post(SIGN_IN, action="session.sign_in", summary="Sign in as staff", body=SignInForm, rate="signin")
async def sign_in(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(SignInForm)
    if form.model is None:
        return _again(ctx, form)
    await ctx.limit("signin_account", token_hash(f"staff:{form.model.login.lower()}"))
    try:
        token = await ctx.services.signin.staff(form.model.login, form.model.password, form.model.code, ctx.request_id)
    except SecondFactorNeeded as error:
        return _again(ctx, form.error("code", ctx._(error.detail)), ask_code=True)
    except SignInFailed:
        words = ctx._("The user name and the password (or the code) do not fit together.")
        return _again(ctx, form.error("password", words), ask_code=form.model.code is not None)
    if ctx.session_token is not None:
        await ctx.services.sessions.end(ctx.session_token)
    ctx.sign_in(Audience.STAFF, token)
    return ctx.redirect(onward(form.model.next, HOME, under="/staff"))


@routes.post("/staff/signout", action="session.sign_out", summary="Sign out as staff")
async def sign_out(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    if ctx.session_token is not None:
        await ctx.services.sessions.end(ctx.session_token)
    ctx.sign_out(Audience.STAFF)
    return ctx.redirect(SIGN_IN)


@routes.get(SECURITY, action="account.security", summary="Own password and second factor")
async def security_page(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _security(ctx, EMPTY)


@routes.post(
    "/staff/security/password",
    action="account.security",
    summary="Change own password",
    body=PasswordForm,
    rate="signin",
)
async def change_password(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(PasswordForm)
    if form.model is None:
        return await _security(ctx, form)
    try:
        await ctx.services.own_security.change_password(
            ctx.actor, ctx.principal.account_id, form.model.password, form.model.new_password, ctx.request_id
        )
    except Invalid as error:
        name = "password" if error.code == "password_wrong" else "new_password"
        return await _security(ctx, form.error(name, ctx._(error.detail)))
    return ctx.redirect(SIGN_IN)


@routes.post(
    "/staff/security/second-factor",
    action="account.security",
    summary="Ask for a code at every sign-in",
    body=SecondFactorForm,
    rate="signin",
)
async def turn_on_second_factor(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(SecondFactorForm)
    if form.model is None:
        return await _security(ctx, form)
    try:
        await ctx.services.own_security.turn_on(
            ctx.actor,
            ctx.principal.account_id,
            form.model.password,
            form.model.secret,
            form.model.code,
            ctx.request_id,
        )
    except Invalid as error:
        return await _security(ctx, form.error(error.field or "code", ctx._(error.detail)))
    flash = {"kind": "good", "text": ctx._("From now on signing in asks for a code of your authenticator.")}
    return await _security(ctx, EMPTY, flash)


def _again(ctx: Ctx, form: Form[SignInForm], *, ask_code: bool = False) -> web.Response:
    wanted = form.values.get("next", "")
    return ctx.render("auth/staff_signin.html", status=422, form=form, next=wanted, ask_code=ask_code)


async def _security(ctx: Ctx, form: Form[PasswordForm] | Form[SecondFactorForm], *flashes: object) -> web.Response:
    offer = await ctx.services.own_security.offer(ctx.principal.account_id)
    status = 422 if form.errors else 200
    return ctx.render("auth/staff_security.html", status=status, form=form, offer=offer, flashes=flashes)
