"""What is kept about a family member, why and until when; and deleting what they may delete."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from aiohttp import web

from visitserver.domain.identity import Enrolment, EnrolmentRoute, EnrolmentState
from visitserver.http.ctx import Ctx
from visitserver.http.registry import RouteTable
from visitserver.http.wording import shown_in

routes = RouteTable("family")


@dataclass(frozen=True, slots=True)
class Kept:
    """One row: what, why, until when; as sentences."""

    what: str
    why: str
    until: str


@routes.get("/privacy/me", action="privacy.read_own", summary="What is kept about me")
async def privacy(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    newest = await ctx.services.enrolment.mine(ctx.actor)
    faces = await ctx.services.door.uses_faces(ctx.actor)
    return ctx.render(
        "family/privacy.html", kept=_kept(ctx, newest, faces), can_delete=_holds_pictures(newest) or faces
    )


@routes.post("/privacy/me/delete-face", action="privacy.delete_own", summary="Delete my pictures and face numbers")
async def delete_face(_request: web.Request, ctx: Ctx) -> web.StreamResponse:
    await ctx.services.enrolment.revoke(ctx.actor, request_id=ctx.request_id)
    return ctx.redirect("/privacy/me")


def _holds_pictures(enrolment: Enrolment | None) -> bool:
    return (
        enrolment is not None
        and enrolment.route is EnrolmentRoute.FACE
        and enrolment.state not in (EnrolmentState.INVITED, EnrolmentState.INFORMED, EnrolmentState.EXPIRED)
    )


def _kept(ctx: Ctx, newest: Enrolment | None, faces: bool) -> list[Kept]:
    _ = ctx._
    kept = [
        Kept(
            _("Your name, date of birth and e-mail address"),
            _("So that the prison knows who visits, and can write to you."),
            _("As long as you have an account."),
        ),
        Kept(
            _("Whom you visit, and your visits"),
            _("The prison has to know who talked to whom, and when."),
            _("As long as the law asks for. Ask the prison."),
        ),
        Kept(
            _("Recordings of visits"),
            _("For safety. Visits with a lawyer, a consul or an inspector are never recorded."),
            _("Usually 90 days; longer only if somebody looks into something that happened."),
        ),
    ]
    if _holds_pictures(newest):
        kept.append(
            Kept(
                _("Photos of your document and your face"),
                _("An officer looks at them to see that it is you."),
                _("30 days after the officer’s decision, or until you delete them here."),
            )
        )
    if faces and newest is not None:
        until: datetime = newest.expires_at
        kept.append(
            Kept(
                _("Numbers made from your face"),
                _("They let us know you again at the door of a visit. They are compared with you alone."),
                _("Until {day}, or 12 months after your last visit, or until you delete them here.").format(
                    day=shown_in(ctx.locale)(until.date())
                ),
            )
        )
    kept.append(
        Kept(
            _("Who looked at what, and who decided what"),
            _("So that nobody at the prison can look in secret. It holds no pictures and no names."),
            _("As long as the law asks for."),
        )
    )
    return kept
