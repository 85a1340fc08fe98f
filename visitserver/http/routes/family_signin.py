"""Families: making an account, signing in and out."""

from __future__ import annotations

from datetime import date
from typing import Final

from aiohttp import web
from pydantic import EmailStr, Field

from visitserver.domain.errors import Invalid
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body
from visitserver.http.onward import onward
from visitserver.http.registry import Audience, RouteTable
from visitserver.services.accounts import SignUp
from visitserver.services.signin import SignInFailed
from visitserver.services.tokens import token_hash

routes = RouteTable("family")

HOME: Final = "/home"
_OTHERS: Final = ("/staff", "/terminal", "/signin", "/signup", "/signout", "/api/", "/media/")


class Next(Body):
    """Where to go on after signing in; `made=1` after an account was made."""

    next: str = Field("", max_length=500)
    made: str = Field("", max_length=1)
    lang: str = Field("", max_length=16)


class SignUpForm(Body):
    """A new family account."""

    given_name: str = Field(min_length=1, max_length=100)
    family_name: str = Field(min_length=1, max_length=100)
    birth_date: date
    email: EmailStr = Field(max_length=254)
    password: str = Field(max_length=128)


class SignInForm(Body):
    """E-mail and password."""

    email: str = Field(max_length=254)
    password: str = Field(max_length=128)
    next: str = Field("", max_length=500)


class Link(Body):
    """The token of a confirmation link."""

    token: str = Field(max_length=64)
    lang: str = Field("", max_length=16)


class Confirm(Body):
    """The token and the password of the sign-up: mail programs open links by themselves, but fill in no forms."""

    token: str = Field(max_length=64)
    password: str = Field(max_length=128)


@routes.get("/signup", action="account.sign_up", summary="Make a family account")
async def sign_up_page(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    if ctx.principal.signed_in:
        return ctx.redirect(HOME)
    return ctx.render("auth/signup.html", form=EMPTY)


@routes.post("/signup", action="account.sign_up", summary="Make a family account", body=SignUpForm, rate="signup")
async def sign_up(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(SignUpForm)
    if form.model is None:
        return ctx.render("auth/signup.html", status=422, form=form)
    wish = SignUp(
        given_name=form.model.given_name,
        family_name=form.model.family_name,
        born_on=form.model.birth_date,
        email=form.model.email,
        password=form.model.password,
        language=ctx.locale,
    )
    try:
        await ctx.services.accounts.sign_up(ctx.actor, wish, ctx.request_id)
    except Invalid as error:
        return ctx.render("auth/signup.html", status=422, form=form.error(error.field or "", ctx._(error.detail)))
    # The same answer whether the address was new or not.
    if ctx.settings.confirms_email:
        return ctx.render("auth/check_mail.html")
    return ctx.redirect("/signin?made=1")


@routes.get("/signup/confirm", action="account.confirm", summary="Confirm an e-mail address", query=Link)
async def confirm_page(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return ctx.render("auth/confirm.html", form=EMPTY, token=ctx.query(Link).token)


@routes.post(
    "/signup/confirm", action="account.confirm", summary="Confirm an e-mail address", body=Confirm, rate="enrol"
)
async def confirm(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(Confirm)
    token = form.values.get("token", "")
    if form.model is None:
        return ctx.render("auth/confirm.html", status=422, form=form, token=token)
    try:
        await ctx.services.accounts.confirm_email(ctx.actor, token, form.model.password, ctx.request_id)
    except Invalid as error:
        if error.field is None:
            raise
        again = form.error(error.field, ctx._(error.detail))
        return ctx.render("auth/confirm.html", status=422, form=again, token=token)
    return ctx.redirect("/signin?made=1")


@routes.get("/signin", action="session.sign_in", summary="Sign in as a family member", query=Next)
async def sign_in_page(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(Next)
    if ctx.principal.signed_in:
        return ctx.redirect(onward(query.next, HOME, not_under=_OTHERS))
    flashes = []
    if query.made:
        flashes.append({"kind": "good", "text": ctx._("Your account is ready. Please sign in.")})
    return ctx.render("auth/signin.html", form=EMPTY, next=query.next, flashes=flashes)


@routes.post("/signin", action="session.sign_in", summary="Sign in as a family member", body=SignInForm, rate="signin")
async def sign_in(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(SignInForm)
    wanted = form.values.get("next", "")
    if form.model is None:
        return ctx.render("auth/signin.html", status=422, form=form, next=wanted)
    await ctx.limit("signin_account", token_hash(f"family:{form.model.email.lower()}"))
    try:
        token = await ctx.services.signin.family(form.model.email, form.model.password, ctx.request_id)
    except SignInFailed:
        words = ctx._("The e-mail address and the password do not fit together.")
        return ctx.render("auth/signin.html", status=422, form=form.error("password", words), next=wanted)
    if ctx.session_token is not None:
        await ctx.services.sessions.end(ctx.session_token)
    ctx.sign_in(Audience.FAMILY, token)
    return ctx.redirect(onward(wanted, HOME, not_under=_OTHERS))


@routes.post("/signout", action="session.sign_out", summary="Sign out as a family member")
async def sign_out(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    if ctx.session_token is not None:
        await ctx.services.sessions.end(ctx.session_token)
    ctx.sign_out(Audience.FAMILY)
    return ctx.redirect("/")
