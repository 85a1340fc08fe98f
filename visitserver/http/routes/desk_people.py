"""People: finding a prisoner or somebody outside, their rights and visits, and what staff decide about them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from aiohttp import web
from pydantic import Field

from visitserver.domain.appointments import AppointmentKind
from visitserver.domain.errors import Invalid, NotFound
from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.policies import ALERTS_IGNORED, code
from visitserver.domain.rights import EFFECT_OF_TYPE, RestrictionEffect, RestrictionScope
from visitserver.domain.slots import to_utc
from visitserver.http.console.doing import NOTHING, F, NotDone, act
from visitserver.http.console.lists import PageQuery
from visitserver.http.ctx import Ctx
from visitserver.http.forms import Body
from visitserver.http.registry import RouteTable
from visitserver.services.appointments import AppointmentDraft

routes = RouteTable("staff")

URL: Final = "/staff/people"
SAID: Final = {
    "decided": "The decision is written down.",
    "restricted": "The restriction is in force.",
    "lifted": "The restriction is lifted.",
    "appointed": "The appointment is written down.",
    "cancelled": "The appointment is cancelled.",
    "apart": "The two are kept apart.",
    "ended": "They may meet again.",
    "merged": "The two records are one now.",
}


class FindQuery(PageQuery):
    """The beginning of a number or a name."""

    q: str = Field("", max_length=80)


class PersonQuery(PageQuery):
    """`done`: what has just been done, for the notice above the page."""

    done: Literal["", "decided", "restricted", "lifted", "appointed", "cancelled", "apart", "ended", "merged"] = ""


class DecideForm(Body):
    """What staff decide about a contact right."""

    decision: Literal["approve", "refuse", "end"]
    reason: str = Field(min_length=3, max_length=2000)


class RestrictForm(Body):
    """A restriction; days are the prison's, both included."""

    type: str = Field(min_length=1, max_length=64)
    authority: str = Field(min_length=1, max_length=200)
    starts_on: date
    ends_on: date | None = None
    effect: RestrictionEffect | None = None
    note: str | None = Field(None, max_length=2000)


class PersonReasonForm(Body):
    """Why."""

    reason: str = Field(min_length=3, max_length=2000)


class AppointForm(Body):
    """Where the prisoner has to be, on the prison's clock."""

    kind: AppointmentKind
    starts_at: datetime
    ends_at: datetime
    note: str | None = Field(None, max_length=2000)


class ApartForm(PersonReasonForm):
    """Whom the prisoner must not meet."""

    number: str = Field(min_length=1, max_length=64)


@routes.get(URL, action="people.read", summary="Find a person", query=FindQuery)
async def find(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    query = ctx.query(FindQuery)
    prisoners: Page[Any] | None = None
    contacts: Page[Any] | None = None
    if query.q:
        prisoners, contacts = await ctx.services.people.search(ctx.actor, query.q, PageRequest(50))
    return ctx.render("staff/people.html", query=query, prisoners=prisoners, contacts=contacts)


@routes.get(URL + "/prisoners/{prisoner_id}", action="people.read", summary="A prisoner", query=PersonQuery)
async def prisoner_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _prisoner_page(ctx, ctx.param("prisoner_id"), said=SAID.get(ctx.query(PersonQuery).done, ""))


@routes.get(URL + "/contacts/{contact_id}", action="people.read", summary="Somebody outside", query=PersonQuery)
async def contact_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _contact_page(ctx, ctx.param("contact_id"), said=SAID.get(ctx.query(PersonQuery).done, ""))


@routes.post(
    URL + "/relationships/{relationship_id}/decide",
    action="people.relationship.decide",
    summary="Approve, refuse or end a relationship",
    body=DecideForm,
)
async def decide(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    found = await ctx.services.people.of_relationship(ctx.actor, ctx.param("relationship_id"))
    relationships = ctx.services.relationships
    decisions = {"approve": relationships.approve, "refuse": relationships.refuse, "end": relationships.end}

    def work(form: DecideForm) -> Awaitable[object]:
        return decisions[form.decision](ctx.actor, found.id, form.reason, request_id=ctx.request_id)

    return await _act(ctx, DecideForm, work, f"decide-{found.id}", "decided", prisoner_id=found.prisoner_id)


async def _restrict(
    ctx: Ctx,
    scope: RestrictionScope,
    subject_id: str,
    form: str,
    *,
    prisoner_id: str | None = None,
    contact_id: str | None = None,
) -> web.StreamResponse:
    # Whose it is comes before what is wrong with the form: a stranger's is not found.
    await ctx.services.restrictions.of(ctx.actor, scope, subject_id, PageRequest(1))

    def work(wanted: RestrictForm) -> Awaitable[object]:
        return ctx.services.restrictions.add(
            ctx.actor, scope=scope, subject_id=subject_id, **wanted.model_dump(), request_id=ctx.request_id
        )

    return await _act(ctx, RestrictForm, work, form, "restricted", prisoner_id=prisoner_id, contact_id=contact_id)


@routes.post(
    URL + "/prisoners/{prisoner_id}/restrict",
    action="people.restriction.change",
    summary="Restrict a prisoner's contact with everybody",
    body=RestrictForm,
)
async def restrict_prisoner(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    prisoner_id = ctx.param("prisoner_id")
    return await _restrict(ctx, RestrictionScope.PRISONER, prisoner_id, "restrict", prisoner_id=prisoner_id)


@routes.post(
    URL + "/contacts/{contact_id}/restrict",
    action="people.restriction.change",
    summary="Restrict somebody outside anywhere",
    body=RestrictForm,
)
async def restrict_contact(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    contact_id = ctx.param("contact_id")
    return await _restrict(ctx, RestrictionScope.PERSON, contact_id, "restrict", contact_id=contact_id)


@routes.post(
    URL + "/relationships/{relationship_id}/restrict",
    action="people.restriction.change",
    summary="Restrict one relationship",
    body=RestrictForm,
)
async def restrict_relationship(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    found = await ctx.services.people.of_relationship(ctx.actor, ctx.param("relationship_id"))
    return await _restrict(
        ctx, RestrictionScope.RELATIONSHIP, found.id, f"restrict-{found.id}", prisoner_id=found.prisoner_id
    )


@routes.post(
    URL + "/restrictions/{restriction_id}/lift",
    action="people.restriction.change",
    summary="Lift a restriction",
    body=PersonReasonForm,
)
async def lift(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    subject, link = await ctx.services.people.restriction(ctx.actor, ctx.param("restriction_id"))
    prisoner_id = subject.prisoner_id if link is None else link.prisoner_id

    def work(form: PersonReasonForm) -> Awaitable[object]:
        return ctx.services.restrictions.lift(ctx.actor, subject.id, form.reason, request_id=ctx.request_id)

    return await _act(
        ctx,
        PersonReasonForm,
        work,
        f"lift-{subject.id}",
        "lifted",
        prisoner_id=prisoner_id,
        contact_id=subject.contact_id,
    )


@routes.post(
    URL + "/prisoners/{prisoner_id}/appoint",
    action="people.appointment.change",
    summary="Write down a prisoner's appointment",
    body=AppointForm,
)
async def appoint(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    prisoner = await ctx.services.desk.prisoner(ctx.actor, ctx.param("prisoner_id"))
    zone = (await ctx.services.desk.prison(ctx.actor)).zone

    async def work(form: AppointForm) -> None:
        draft = AppointmentDraft(form.kind, _moment(form.starts_at, zone), _moment(form.ends_at, zone), note=form.note)
        await ctx.services.appointments.add(ctx.actor, prisoner.id, draft, request_id=ctx.request_id)

    return await _act(ctx, AppointForm, work, "appointment", "appointed", prisoner_id=prisoner.id)


@routes.post(
    URL + "/appointments/{appointment_id}/cancel",
    action="people.appointment.change",
    summary="Cancel a prisoner's appointment",
    body=PersonReasonForm,
)
async def cancel_appointment(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    found = await ctx.services.appointments.get(ctx.actor, ctx.param("appointment_id"))

    def work(form: PersonReasonForm) -> Awaitable[object]:
        return ctx.services.appointments.cancel(ctx.actor, found.id, form.reason, request_id=ctx.request_id)

    return await _act(
        ctx, PersonReasonForm, work, f"appointment-{found.id}", "cancelled", prisoner_id=found.prisoner_id
    )


@routes.post(
    URL + "/prisoners/{prisoner_id}/keep-apart",
    action="people.non_association.change",
    summary="Keep two prisoners apart",
    body=ApartForm,
)
async def keep_apart(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    prisoner = await ctx.services.desk.prisoner(ctx.actor, ctx.param("prisoner_id"))

    async def work(form: ApartForm) -> None:
        try:
            other = await ctx.services.people.by_number(ctx.actor, form.number)
        except NotFound:
            # In the same words whether nobody has the number or somebody at another prison.
            raise Invalid("Number: Nobody at this prison has this number.", field="number") from None
        await ctx.services.non_associations.add(
            ctx.actor, prisoner.id, other.id, reason=form.reason, request_id=ctx.request_id
        )

    return await _act(ctx, ApartForm, work, "apart", "apart", prisoner_id=prisoner.id)


@routes.post(
    URL + "/prisoners/{prisoner_id}/non-associations/{non_association_id}/end",
    action="people.non_association.change",
    summary="Let two prisoners meet again",
    body=PersonReasonForm,
)
async def end_apart(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    prisoner = await ctx.services.desk.prisoner(ctx.actor, ctx.param("prisoner_id"))
    wanted = ctx.param("non_association_id")
    if wanted not in [each.id for each in await ctx.services.non_associations.of(ctx.actor, prisoner.id)]:
        raise NotFound("There is no such non-association here.")

    def work(form: PersonReasonForm) -> Awaitable[object]:
        return ctx.services.non_associations.end(ctx.actor, wanted, form.reason, request_id=ctx.request_id)

    return await _act(ctx, PersonReasonForm, work, f"apart-{wanted}", "ended", prisoner_id=prisoner.id)


async def _act(
    ctx: Ctx,
    model: type[F],
    work: Callable[[F], Awaitable[object]],
    form: str,
    done: str,
    *,
    prisoner_id: str | None = None,
    contact_id: str | None = None,
) -> web.StreamResponse:
    """Do what the form says, and back to the contact's page, if one is given, or else the prisoner's."""

    def again(no: NotDone) -> Awaitable[web.StreamResponse]:
        return _contact_page(ctx, contact_id, no=no) if contact_id else _prisoner_page(ctx, prisoner_id or "", no=no)

    page = f"{URL}/contacts/{contact_id}" if contact_id else f"{URL}/prisoners/{prisoner_id}"
    return await act(ctx, model, work, form=form, done=f"{page}?done={done}", again=again)


async def _prisoner_page(ctx: Ctx, prisoner_id: str, *, said: str = "", no: NotDone = NOTHING) -> web.StreamResponse:
    services, actor = ctx.services, ctx.actor
    view = await services.people.prisoner(actor, prisoner_id)
    apart = await services.non_associations.of(actor, prisoner_id)
    others = [each.other(prisoner_id) for each in apart]
    appointments = await services.appointments.list(actor, PageRequest(50), prisoner_id=prisoner_id)
    policies = await services.policies.now(actor)
    return ctx.render(
        "staff/person_prisoner.html",
        status=no.status,
        view=view,
        person=view.person,
        zone=view.prison.timezone,
        today=await services.desk.today(actor),
        apart=apart,
        others=await services.desk.prisoner_names(actor, others),
        appointments=appointments.items,
        allowance=await services.allowance.view(actor, prisoner_id),
        ledger=(await services.allowance.history(actor, prisoner_id, PageRequest(10))).items,
        types=sorted(EFFECT_OF_TYPE),
        effects=list(RestrictionEffect),
        kinds=list(AppointmentKind),
        said=said,
        no=no,
        names=await services.desk.staff_names(actor, [each.created_by for each in apart]),
        ignored=[each.id for each in view.alerts if code(each.code) in policies.texts(ALERTS_IGNORED)],
    )


async def _contact_page(ctx: Ctx, contact_id: str, *, said: str = "", no: NotDone = NOTHING) -> web.StreamResponse:
    view = await ctx.services.people.contact(ctx.actor, contact_id)
    return ctx.render(
        "staff/person_contact.html",
        status=no.status,
        view=view,
        person=view.person,
        zone=view.prison.timezone,
        today=await ctx.services.desk.today(ctx.actor),
        types=sorted(EFFECT_OF_TYPE),
        effects=list(RestrictionEffect),
        said=said,
        no=no,
    )


def _moment(given: datetime, zone: ZoneInfo) -> datetime:
    """The moment that a form names on the prison's clock (or with an offset of its own); Invalid when there is none."""
    moment = None
    if 2000 <= given.year < 2200:
        moment = to_utc(given, zone) if given.tzinfo is None else given.astimezone(UTC)
    if moment is None:
        raise Invalid("This time does not exist there: it is too far away, or the clock skips it.", field="starts_at")
    return moment
