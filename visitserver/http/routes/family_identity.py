"""Proving who one is: the page for each step, and the pictures. A person at the prison decides."""

from __future__ import annotations

from typing import Final, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from visitserver.domain.errors import Invalid
from visitserver.domain.identity import EnrolmentRoute
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.identity_view import enrolment_view, problem_words
from visitserver.http.pictures import read_pictures
from visitserver.http.registry import RouteTable

routes = RouteTable("family")

DOCUMENT_BYTES: Final = 12 * 1024 * 1024  # one picture of at most 10 MB, and the form around it
SELFIE_BYTES: Final = 12 * 1024 * 1024
SELFIE_FRAMES: Final = 8


class Way(Body):
    """Which of the two equal ways; choosing the face is the consent that stands beside it."""

    route: Literal["face", "attended"]


class Appeal(Body):
    """Why somebody does not agree with a refusal."""

    words: str = Field(min_length=1, max_length=2000)


class Uploaded(BaseModel):
    """What came of pictures, which are kept. `retake`: why better ones would help; one may go on all the same."""

    retake: list[str]


class Sent(BaseModel):
    """The proof has been handed in."""

    state: str


@routes.get("/identity", action="identity.enrol", summary="Prove who you are: the next step")
async def identity(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _page(ctx, EMPTY)


@routes.post("/identity", action="identity.enrol", summary="Choose a way, and consent to it", body=Way)
async def begin(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(Way)
    if form.model is None:
        return await _page(ctx, EMPTY, status=422)
    await ctx.services.enrolment.begin(ctx.actor, EnrolmentRoute(form.model.route), request_id=ctx.request_id)
    return ctx.redirect("/identity")


@routes.post("/identity/again", action="identity.enrol", summary="Take the pictures again, or start over")
async def again(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    await ctx.services.enrolment.again(ctx.actor, request_id=ctx.request_id)
    return ctx.redirect("/identity")


@routes.post("/identity/appeal", action="identity.enrol", summary="Ask for another officer", body=Appeal)
async def appeal(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(Appeal)
    if form.model is None:
        return await _page(ctx, form, status=422)
    await ctx.services.enrolment.appeal(ctx.actor, form.model.words, request_id=ctx.request_id)
    return ctx.redirect("/identity")


@routes.post(
    "/api/identity/document",
    action="identity.enrol",
    summary="A picture of the document",
    kind="json",
    response=Uploaded,
    max_body=DOCUMENT_BYTES,
    media_type="multipart/form-data",
    rate="upload",
)
async def document(request: web.Request, ctx: Ctx) -> Uploaded:
    sent = await read_pictures(request, "image", most=1)
    if not sent.pictures:
        raise Invalid(ctx._("There is no picture in what was sent."), code="no_picture", field="image")
    done = await ctx.services.enrolment.upload_document(ctx.actor, sent.pictures[0], request_id=ctx.request_id)
    return Uploaded(retake=problem_words(done.problems, ctx._) if done.retake else [])


@routes.post(
    "/api/identity/selfies",
    action="identity.enrol",
    summary="Pictures of the face",
    kind="json",
    response=Uploaded,
    max_body=SELFIE_BYTES,
    media_type="multipart/form-data",
    rate="upload",
)
async def selfies(request: web.Request, ctx: Ctx) -> Uploaded:
    sent = await read_pictures(request, "frame", most=SELFIE_FRAMES)
    done = await ctx.services.enrolment.upload_selfies(
        ctx.actor, sent.pictures, prompts=sent.texts.get("prompt", []), request_id=ctx.request_id
    )
    return Uploaded(retake=problem_words(done.problems, ctx._) if done.retake else [])


@routes.post("/api/identity/submit", action="identity.enrol", summary="Hand it in", kind="json", response=Sent)
async def submit(_request: web.Request, ctx: Ctx) -> Sent:
    enrolment = await ctx.services.enrolment.submit(ctx.actor, request_id=ctx.request_id)
    return Sent(state=enrolment.state.value)


async def _page(ctx: Ctx, form: Form[Appeal], status: int = 200) -> web.StreamResponse:
    newest = await ctx.services.enrolment.mine(ctx.actor)
    view = enrolment_view(newest, ctx.clock(), ctx._)
    return ctx.render("family/identity.html", status=status, enrolment=view, form=form)
