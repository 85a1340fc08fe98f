"""Lists on pages: the query that asks for one, the part of it, the links to the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from visitserver.domain.paging import Page, PageRequest
from visitserver.http.ctx import Ctx
from visitserver.http.forms import Body

PER_PAGE = 25


class PageQuery(Body):
    """Base of the queries of staff pages. `cursor` is where the part begins that is asked for."""

    lang: str = Field("", max_length=16)
    cursor: str | None = Field(None, max_length=400)

    def part(self, limit: int = PER_PAGE) -> PageRequest:
        """What to ask a service for."""
        return PageRequest(limit, self.cursor)


@dataclass(frozen=True, slots=True)
class Links:
    """Where the list goes on; empty where it does not. Cursors lead forwards, so back means the beginning."""

    first: str
    following: str


def links(ctx: Ctx, page: Page[Any], query: PageQuery) -> Links:
    """The links below a list on the page that is being shown."""
    url = ctx.request.rel_url
    first = str(url.without_query_params("cursor")) if query.cursor else ""
    following = str(url.update_query(cursor=page.next_cursor)) if page.next_cursor else ""
    return Links(first, following)
