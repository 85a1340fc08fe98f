"""What waits for a person, kind by kind: the live waiting room first, then by urgency and age."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from visitserver.domain.access import allows
from visitserver.domain.paging import PageRequest
from visitserver.http.console.lists import Links, PageQuery, links
from visitserver.http.ctx import Ctx


class QueueKind(StrEnum):
    """The kinds of things that wait, most urgent kind first."""

    DOOR = "door"
    IDENTITY = "identity"
    RELATIONSHIPS = "relationships"
    BOOKINGS = "bookings"


class Severity(StrEnum):
    """How much it hurts to wait longer."""

    NOW = "now"  # somebody sits in a waiting room
    SOON = "soon"
    NORMAL = "normal"


LATE: Final = timedelta(hours=24)
"""What has waited longer should have been decided."""
SOON: Final = timedelta(days=3)
"""A booking that starts within this wants its decision soon."""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that waits. `since` and `due` are UTC; `due` is when it is too late, where there is such a moment."""

    href: str
    title: str
    detail: str
    since: datetime
    severity: Severity
    due: datetime | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """One kind's part of the queue. `more`: there are further ones than `items`."""

    kind: QueueKind
    items: list[Item]
    more: bool
    links: Links


async def waiting(ctx: Ctx, limit: int = 10, only: QueueKind | None = None, cursor: str | None = None) -> list[Waiting]:
    """The queue as far as the asking person may decide it; with `only`, the part of one kind after `cursor`."""
    queue = []
    for kind in QueueKind:
        if only not in (None, kind):
            continue
        if kind is QueueKind.BOOKINGS and not allows("review.booking.decide", ctx.principal.roles):
            continue
        queue.append(await _READERS[kind](ctx, PageQuery(cursor=cursor if only else None), limit))
    return queue


async def _doors(ctx: Ctx, query: PageQuery, limit: int) -> Waiting:
    page = await ctx.services.door.review.queue(ctx.actor, PageRequest(limit, query.cursor))
    items = [
        Item(
            f"/staff/reviews/door/{row.check_id}",
            row.contact.name,
            row.route.value,
            row.waiting_since,
            Severity.NOW,
            due=row.visit_starts_at,
        )
        for row in page.items
    ]
    return Waiting(QueueKind.DOOR, items, page.next_cursor is not None, links(ctx, page, query))


async def _identities(ctx: Ctx, query: PageQuery, limit: int) -> Waiting:
    page = await ctx.services.enrolment.review.queue(ctx.actor, PageRequest(limit, query.cursor))
    items = [
        Item(
            f"/staff/reviews/identity/{row.enrolment_id}",
            row.contact.name,
            "appeal" if row.appealed else row.route.value,
            row.waiting_since,
            _age(ctx, row.waiting_since),
        )
        for row in page.items
    ]
    return Waiting(QueueKind.IDENTITY, items, page.next_cursor is not None, links(ctx, page, query))


async def _relationships(ctx: Ctx, query: PageQuery, limit: int) -> Waiting:
    page = await ctx.services.relationships.queue(ctx.actor, PageRequest(limit, query.cursor))
    items = [
        Item(
            f"/staff/reviews/relationships/{one.relationship.id}",
            f"{one.contact.name} – {one.prisoner.name} ({one.prisoner.number})",
            one.relationship.relation,
            one.relationship.requested_at,
            _age(ctx, one.relationship.requested_at),
        )
        for one in page.items
    ]
    return Waiting(QueueKind.RELATIONSHIPS, items, page.next_cursor is not None, links(ctx, page, query))


async def _bookings(ctx: Ctx, query: PageQuery, limit: int) -> Waiting:
    page = await ctx.services.bookings.requests(ctx.actor, PageRequest(limit, query.cursor))
    views = await ctx.services.desk.views(ctx.actor, page.items)
    items = [
        Item(
            f"/staff/bookings/{view.booking.id}",
            f"{view.prisoner.name} – {', '.join(view.visitors)}",
            "",
            view.booking.created_at,
            Severity.SOON if view.booking.starts_at - ctx.clock() < SOON else Severity.NORMAL,
            due=view.booking.starts_at,
        )
        for view in views
    ]
    return Waiting(QueueKind.BOOKINGS, items, page.next_cursor is not None, links(ctx, page, query))


def _age(ctx: Ctx, since: datetime) -> Severity:
    return Severity.SOON if ctx.clock() - since > LATE else Severity.NORMAL


_READERS: Final = {
    QueueKind.DOOR: _doors,
    QueueKind.IDENTITY: _identities,
    QueueKind.RELATIONSHIPS: _relationships,
    QueueKind.BOOKINGS: _bookings,
}
