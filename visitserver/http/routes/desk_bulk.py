"""Cancelling many: choose by day, time, session, station or wing; look; say why; what became of each."""

from __future__ import annotations

from datetime import time
from typing import Final

from aiohttp import web
from pydantic import Field

from visitserver.domain.calls import OutcomeCode
from visitserver.domain.errors import Invalid
from visitserver.http.console.days import Day
from visitserver.http.console.lists import PageQuery
from visitserver.http.ctx import Ctx
from visitserver.http.forms import EMPTY, Body, Form
from visitserver.http.registry import RouteTable
from visitserver.services.bulk import BulkChoice
from visitserver.services.cancelling import MOST_AT_ONCE
from visitserver.services.desk import BookingView

routes = RouteTable("staff")

OUTCOMES: Final = {
    OutcomeCode.BATCH_CANCELLATION: "Many visits cancelled at once",
    OutcomeCode.ESTABLISHMENT_CANCELLED: "The prison cannot hold them (staff shortage, lockdown)",
    OutcomeCode.ADMINISTRATIVE_ERROR: "They were booked by mistake",
}
REFUSED: Final = {
    "visit_begun": "it has begun",
    "booking_state": "it is over or cancelled already",
    "not_found": "it is not a booking of this prison",
}


class BulkQuery(PageQuery):
    """Which visits. Without a day nothing is looked for yet."""

    first_day: Day | None = None
    last_day: Day | None = None
    from_time: time | None = None
    to_time: time | None = None
    template: str = Field("", max_length=80)
    station: str = Field("", max_length=80)
    wing: str = Field("", max_length=80)

    def choice(self) -> BulkChoice | None:
        """The same for the service; None without a day."""
        if self.first_day is None:
            return None
        return BulkChoice(
            self.first_day,
            self.last_day or self.first_day,
            self.from_time,
            self.to_time,
            self.template,
            self.station,
            self.wing,
        )


class BulkForm(Body):
    """The visits that were ticked, why, what the families read, and that the number has been seen."""

    bookings: list[str] = Field(min_length=1, max_length=MOST_AT_ONCE)
    reason: str = Field(min_length=3, max_length=2000)
    words: str = Field("", max_length=500)
    outcome: OutcomeCode = OutcomeCode.BATCH_CANCELLATION
    sure: bool = False


@routes.get("/staff/schedule/cancel", action="schedule.bulk_cancel", summary="Cancel many visits", query=BulkQuery)
async def bulk_page(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    return await _page(ctx, ctx.query(BulkQuery))


@routes.post("/staff/schedule/cancel", action="schedule.bulk_cancel", summary="Cancel many visits", body=BulkForm)
async def bulk_cancel(request: web.Request, ctx: Ctx) -> web.StreamResponse:
    form = await ctx.form(BulkForm)
    if form.model is None or not form.model.sure or form.model.outcome not in OUTCOMES:
        filled = await request.post()
        ids = [str(each) for each in filled.getall("bookings", [])][:MOST_AT_ONCE]
        views = [await ctx.services.desk.view(ctx.actor, each) for each in dict.fromkeys(ids)]
        if form.model is not None:
            form = form.error("sure", "Please confirm the number.")
        return await _page(ctx, BulkQuery(), form=form, views=views)
    chosen = list(dict.fromkeys(form.model.bookings))
    result = await ctx.services.booking.cancel_many(
        ctx.actor,
        chosen,
        form.model.reason,
        form.model.outcome,
        words=form.model.words,
        request_id=ctx.request_id,
    )
    known = [each for each in chosen if result.refused.get(each) != "not_found"]
    prison = await ctx.services.desk.prison(ctx.actor)
    return ctx.render(
        "staff/bulk_done.html",
        result=result,
        views=[await ctx.services.desk.view(ctx.actor, each) for each in known],
        unknown=len(chosen) - len(known),
        why=REFUSED,
        zone=prison.timezone,
        day=None,
        view="",
    )


async def _page(
    ctx: Ctx, query: BulkQuery, *, form: Form[BulkForm] = EMPTY, views: list[BookingView] | None = None
) -> web.StreamResponse:
    services, actor = ctx.services, ctx.actor
    prison = await services.desk.prison(actor)
    today = await services.desk.today(actor)
    choice = query.choice()
    more, said = False, ""
    if choice is not None:
        try:
            views, more = await services.bulk.candidates(actor, choice)
        except Invalid as error:
            said = error.detail
    last = choice.last_day if choice else today
    return ctx.render(
        "staff/bulk.html",
        status=422 if form.errors or said else 200,
        query=query,
        views=views,
        more=more,
        most=MOST_AT_ONCE,
        form=form,
        said=said,
        today=today,
        zone=prison.timezone,
        day=None,
        view="bulk",
        outcomes=[(code.value, words) for code, words in OUTCOMES.items()],
        stations=await services.desk.stations(actor),
        wings=await services.desk.wings(actor),
        templates=await services.templates.list(actor, first=min(today, last), last=max(today, last)),
    )
