"""What a handler is given besides the request: who asks, the services, and the ways to answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aiohttp import web
from pydantic import BaseModel

from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.errors import NotFound
from visitserver.http import cookies, forms
from visitserver.http.forms import Form
from visitserver.http.principal import Principal, PrincipalKind
from visitserver.http.problems import RateLimited
from visitserver.http.ratelimit import retry_after
from visitserver.http.registry import Audience, Route

if TYPE_CHECKING:
    from visitserver.config import Settings
    from visitserver.domain.accounts import StationDevice
    from visitserver.domain.clock import Clock
    from visitserver.http.peer_address import Peer
    from visitserver.http.ratelimit import RateLimiter
    from visitserver.http.services import Services
    from visitserver.http.templating import Templates

M = TypeVar("M", bound=BaseModel)
_PARAMETER: Final = re.compile(r"[A-Za-z0-9_.@-]{1,80}")


@dataclass(slots=True, kw_only=True)
class Ctx:
    """One request's surroundings. `clock()` gives UTC-aware time; `csrf_token` belongs into every form."""

    request: web.Request
    route: Route
    principal: Principal
    services: Services
    settings: Settings
    templates: Templates
    clock: Clock
    request_id: str
    locale: str
    peer: Peer
    csrf_token: str
    limiter: RateLimiter
    csrf_secret: str | None = None
    session_token: str | None = None
    device: StationDevice | None = None
    answer_with: list[Callable[[web.StreamResponse], None]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """What rate limits count by when nobody is signed in."""
        return self.peer.bucket

    @property
    def secure(self) -> bool:
        """Whether the browser speaks HTTPS."""
        return self.peer.secure

    @property
    def actor(self) -> Actor:
        """The principal as services and the audit log know it."""
        principal = self.principal
        match principal.kind:
            case PrincipalKind.FAMILY:
                return Actor(ActorKind.FAMILY, principal.contact_id or "", None, principal.roles)
            case PrincipalKind.PRISONER:
                return Actor(ActorKind.PRISONER, principal.prisoner_id or "", principal.prison_id, principal.roles)
            case PrincipalKind.STAFF:
                return Actor(ActorKind.STAFF, principal.staff_id or "", principal.prison_id, principal.roles)
            case PrincipalKind.CLIENT:
                return Actor(ActorKind.CLIENT, principal.account_id, principal.prison_id)
            case PrincipalKind.ANONYMOUS:
                return Actor(ActorKind.ANONYMOUS, "", principal.prison_id)

    def _(self, message: str) -> str:
        """`message` in the reader's language."""
        return self.templates.translate(self.locale, message)

    def param(self, name: str) -> str:
        """A part of the path. NotFound when it could not be an identifier of ours."""
        value = self.request.match_info[name]
        if not _PARAMETER.fullmatch(value):
            raise NotFound("There is no such page.")
        return value

    def query(self, model: type[M]) -> M:
        """The query string as the route's `query` model; InvalidInput (422) when it does not fit."""
        _declared(self.route.query, model, self.route.name)
        return forms.parse_query(self.request.query, model, self._)

    async def body(self, model: type[M]) -> M:
        """The JSON body as the route's `body` model; InvalidInput (422) when it does not fit."""
        _declared(self.route.body, model, self.route.name)
        return await forms.parse_json(self.request, model, self._)

    async def form(self, model: type[M]) -> Form[M]:
        """The form as the route's `body` model. Check `form.model is None`, and show the page again with `form`."""
        _declared(self.route.body, model, self.route.name)
        return forms.parse_form(await self.request.post(), model, self._)

    async def limit(self, name: str, key: str) -> None:
        """Take one token of the bucket `key` of a limit (ratelimit.LIMITS); RateLimited (429) when it is empty."""
        wait = await self.limiter.take(name, key)
        if wait > 0:
            raise RateLimited(retry_after(wait))

    def sign_in(self, audience: Audience, token: str) -> None:
        """Give the browser its new session with this answer."""
        self.answer_with.append(
            lambda response: cookies.write(response, cookies.session_cookie(audience), token, secure=self.secure)
        )

    def sign_out(self, audience: Audience) -> None:
        """Take the session's cookie back with this answer."""
        self.answer_with.append(
            lambda response: cookies.clear(response, cookies.session_cookie(audience), secure=self.secure)
        )

    def become_station(self, token: str) -> None:
        """Make this browser the terminal that was enrolled."""
        self.answer_with.append(
            lambda response: cookies.write(response, cookies.STATION, token, secure=self.secure, lasting=True)
        )

    def render(self, template: str, *, status: int = 200, **data: Any) -> web.Response:
        """A page from web/templates. `principal`, `csrf_token`, `static()`, `_()` and the like are there already."""
        text = self.templates.render(template, self, data)
        return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")

    def redirect(self, location: str) -> web.Response:
        """Go on at `location`, a path of ours, by GET (303)."""
        if not location.startswith("/") or location.startswith(("//", "/\\")):
            raise ValueError("a redirect leads to a path of ours")
        return web.Response(status=303, headers={"Location": location})


def _declared(declared: type[BaseModel] | None, used: type[BaseModel], name: str) -> None:
    """The OpenAPI document is made from the declaration, so a handler may read nothing else."""
    if declared is not used:
        raise RuntimeError(f"{name} reads {used.__name__}, which its declaration does not say")
