"""Times that can be booked, as families' pages show them: by day, free first, and why the others are not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from visitserver.domain.decisions import Decision, Outcome, RuleResult
from visitserver.domain.scheduling import SupervisionLevel
from visitserver.http.ctx import Ctx
from visitserver.http.wording import shown_in
from visitserver.services.slots import SlotOffer

FREE_DAYS_AT_ONCE: Final = 7

WAITABLE: Final = frozenset({"free_place", "station", "officer_seat", "media_capacity"})
"""Rules whose refusal may pass by itself when somebody else cancels: such a time can be waited for."""


@dataclass(frozen=True, slots=True)
class TimeView:
    """A time on a booking page. `why` and `change` are sentences for the family; empty when it is free.

    `waitable`: it is only taken, so one may go on its waiting list.
    """

    key: str
    starts_at: datetime
    ends_at: datetime
    minutes: int
    review: bool
    watched: bool
    why: list[str] = field(default_factory=list)
    change: list[str] = field(default_factory=list)
    waitable: bool = False


@dataclass(frozen=True, slots=True)
class DayView:
    """A day of the prison with its times."""

    day: date
    free: list[TimeView]
    closed: list[TimeView]


def ids_of(text: str) -> tuple[str, ...]:
    """The relationships in a form or an address, separated by commas; each once."""
    return tuple(dict.fromkeys(each for each in text.split(",") if each))


def book_url(relationship_id: str, also: Sequence[str], cursor: str | None = None, *, page: str = "") -> str:
    """The address of the times for this party, or of another `page` of booking."""
    wanted = {"also": ",".join(also)} if also else {}
    if cursor is not None:
        wanted["cursor"] = cursor
    return f"/book/{relationship_id}" + (f"/{page}" if page else "") + (f"?{urlencode(wanted)}" if wanted else "")


def refusal_words(ctx: Ctx, decision: Decision) -> list[str]:
    """What a refusal says to the family, and what would change it. Times in it are UTC moments or the prison's days."""
    show = shown_in(ctx.locale)
    return decision.say(ctx._, show) + decision.say_change(ctx._, show)


def whole_days(offers: Sequence[SlotOffer], zone: ZoneInfo, *, cut: bool) -> list[SlotOffer]:
    """The days that fit a phone: up to the seventh with a free time. `cut`: the list ends before the times do, so its
    last day is left to the next page (unless it is the only one)."""
    days = [list(group) for _, group in groupby(offers, key=lambda offer: offer.slot.starts_at.astimezone(zone).date())]
    if cut and len(days) > 1:
        days.pop()
    chosen: list[SlotOffer] = []
    free = 0
    for day in days:
        chosen += day
        free += any(offer.decision.outcome is not Outcome.REFUSE for offer in day)
        if free == FREE_DAYS_AT_ONCE:
            break
    return chosen


def days_of(offers: Iterable[SlotOffer], zone: ZoneInfo, ctx: Ctx) -> list[DayView]:
    """The times in order, by the prison's day."""
    show = shown_in(ctx.locale, zone)
    days = []
    for day, group in groupby(offers, key=lambda offer: offer.slot.starts_at.astimezone(zone).date()):
        views = [(offer, time_view(offer, ctx, show)) for offer in group]
        days.append(
            DayView(
                day=day,
                free=[view for offer, view in views if offer.decision.outcome is not Outcome.REFUSE],
                closed=[view for offer, view in views if offer.decision.outcome is Outcome.REFUSE],
            )
        )
    return days


def time_view(offer: SlotOffer, ctx: Ctx, show: Callable[[Any], str]) -> TimeView:
    """One time with the words of its decision."""
    refused = offer.decision.outcome is Outcome.REFUSE
    watched = offer.slot.supervision is SupervisionLevel.LIVE or offer.decision.live_supervision
    return TimeView(
        key=offer.slot.key,
        starts_at=offer.slot.starts_at,
        ends_at=offer.slot.ends_at,
        minutes=int(offer.slot.duration / timedelta(minutes=1)),
        review=offer.decision.outcome is Outcome.REVIEW,
        watched=watched,
        why=offer.decision.say(ctx._, show) if refused else [],
        change=offer.decision.say_change(ctx._, show) if refused else [],
        waitable=refused and all(_may_pass(result) for result in offer.decision.deciding),
    )


def _may_pass(result: RuleResult) -> bool:
    """Whether the refusal is only that somebody else has the place, or the prisoner's time, just now."""
    return result.key in WAITABLE or (result.key == "one_at_a_time" and "contacts" not in result.inputs)


def common_words(days: Sequence[DayView]) -> list[str]:
    """When nothing is free and every time is closed for one and the same reason, that is said once, at the head."""
    closed = [view for day in days for view in day.closed]
    if not closed or any(day.free for day in days):
        return []
    first = (closed[0].why, closed[0].change)
    return [*first[0], *first[1]] if all((view.why, view.change) == first for view in closed) else []
