"""Pages with many small forms: what one says is done, or the page is shown again, and what was typed is still there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

from aiohttp import web

from visitserver.domain.errors import Conflict, Forbidden, Invalid, NotFound
from visitserver.http.ctx import Ctx
from visitserver.http.forms import Body

F = TypeVar("F", bound=Body)


@dataclass(frozen=True, slots=True)
class NotDone:
    """What was filled in, in which form of the page, and why it was not done. `status` is that of the answer."""

    form: str = ""
    words: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    status: int = 200

    def value(self, form: str, name: str, otherwise: str = "") -> str:
        """What a field of the form `form` is to show: what was typed there, else `otherwise`."""
        return self.values.get(name, "") if form == self.form else otherwise


NOTHING: Final = NotDone()


async def act(
    ctx: Ctx,
    model: type[F],
    work: Callable[[F], Awaitable[object]],
    *,
    form: str,
    done: str,
    again: Callable[[NotDone], Awaitable[web.StreamResponse]],
) -> web.StreamResponse:
    """Read the form and do `work` with it; then go to the page `done`. Where it is not done, show the page `again`.

    `form` names it among the forms of the page. Whose the thing is must have been asked before: that comes before what
    is wrong with a form.
    """
    filled = await ctx.form(model)
    errors: Mapping[str, str] = filled.errors
    status = 422
    if filled.model is not None:
        try:
            await work(filled.model)
            return ctx.redirect(done)
        except (Invalid, Conflict, Forbidden, NotFound) as error:
            errors, status = {"": error.detail}, 422 if isinstance(error, Invalid) else 409
    said = (f"{name.replace('_', ' ').capitalize()}: {text}" if name else text for name, text in errors.items())
    return await again(NotDone(form, " ".join(said), filled.values, status))
