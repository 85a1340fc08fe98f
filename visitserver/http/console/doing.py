"""Forms on the pages about people: done, and back to the page, which says what was done or why it was not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar
from urllib.parse import urlencode

from aiohttp import web

from visitserver.domain.errors import Conflict, Forbidden, Invalid, NotFound
from visitserver.http.ctx import Ctx
from visitserver.http.forms import Body

F = TypeVar("F", bound=Body)

LONGEST = 300
"""So much of a reason goes into the address of the page."""


async def act(
    ctx: Ctx,
    model: type[F],
    work: Callable[[F], Awaitable[object]],
    *,
    back: str,
    done: str,
    retry: str = "",
    keep: str = "",
) -> web.StreamResponse:
    """Read the form and do `work` with it; then go `back` with `?done=…`, or to `retry` (default: `back`) with
    `?failed=…`, where the field `keep` goes too.

    Whose the thing is must have been asked before: that comes before what is wrong with a form.
    """
    form = await ctx.form(model)
    errors: Mapping[str, str] = form.errors
    if form.model is not None:
        try:
            await work(form.model)
            return ctx.redirect(f"{back}?{urlencode({'done': done})}")
        except (Invalid, Conflict, Forbidden, NotFound) as error:
            errors = {"": error.detail}
    kept = {keep: form.values.get(keep, "")[:80]} if keep else {}
    return ctx.redirect(f"{retry or back}?{urlencode({'failed': _words(errors), **kept})}")


def _words(errors: Mapping[str, str]) -> str:
    said = (f"{name.replace('_', ' ').capitalize()}: {text}" if name else text for name, text in errors.items())
    return " ".join(said)[:LONGEST]
