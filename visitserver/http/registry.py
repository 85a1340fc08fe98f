"""The route registry: every address of the application, with its action, stands in a `RouteTable`.

The aiohttp router, the access check, the OpenAPI document, the rate limits and the access matrix test are all made from
these tables, so a route cannot exist in one of them and be missing from another.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from aiohttp import web
from pydantic import BaseModel

from visitserver.domain.access import POLICY, Grant

if TYPE_CHECKING:
    from visitserver.http.ctx import Ctx

Handler = Callable[[web.Request, "Ctx"], Awaitable[web.StreamResponse | BaseModel]]

DEFAULT_MAX_BODY: Final = 64 * 1024
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ACTION: Final = re.compile(r"[a-z][a-z_]*(\.[a-z][a-z_]*)+")


class Audience(StrEnum):
    """Whose pages these are: it chooses the session cookie, the sign-in page and the look of an error page."""

    FAMILY = "family"
    TERMINAL = "terminal"
    STAFF = "staff"
    API = "api"  # no session: machine clients' tokens
    MEDIA = "media"  # no session: tickets
    SYSTEM = "system"  # no session: public


class RouteKind(StrEnum):
    """How a route answers, and so how it fails."""

    PAGE = "page"  # HTML; forms in, error pages out, anonymous people are sent to sign in
    JSON = "json"  # JSON in and out; RFC 9457 problems
    MEDIA = "media"  # signalling and recorded media; RFC 9457 problems
    STATIC = "static"  # files


class RouteError(Exception):
    """The tables are wrong: the application must not start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One address. `status` is the success status of a JSON model; `max_body` is in bytes; `rate` names a limit."""

    method: str
    path: str
    handler: Handler
    action: str
    audience: Audience
    summary: str
    kind: RouteKind = RouteKind.PAGE
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    response: type[BaseModel] | None = None
    status: int = 200
    csrf: bool = True
    max_body: int = DEFAULT_MAX_BODY
    media_type: str | None = None  # of a body that is no model, e.g. image/jpeg; several stand apart by ", "
    rate: str | None = None
    conditional: bool = False  # answers with an ETag and takes If-Match and If-None-Match; a PUT may make (201)
    produces: str | None = None  # the media type of an answer that is neither a page nor a model

    @property
    def name(self) -> str:
        """`METHOD /path`, as tests and messages call it."""
        return f"{self.method} {self.path}"

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names in braces, in order (a pattern after a colon is left out)."""
        return tuple(re.findall(r"{([a-z_]+)(?::[^}]+)?}", self.path))


Decorator = Callable[[Handler], Handler]


class RouteTable:
    """The routes of one audience, written as decorators over handlers.

    A handler takes `(request, ctx)` and returns a response (`ctx.render(...)`, `ctx.redirect(...)`) or a model.
    """

    def __init__(self, audience: Audience | str) -> None:
        self.audience = Audience(audience)
        self.routes: list[Route] = []

    def __iter__(self) -> Iterator[Route]:
        return iter(self.routes)

    def add(
        self,
        method: str,
        path: str,
        handler: Handler,
        *,
        action: str,
        summary: str,
        kind: RouteKind | str = RouteKind.PAGE,
        body: type[BaseModel] | None = None,
        query: type[BaseModel] | None = None,
        response: type[BaseModel] | None = None,
        status: int = 200,
        csrf: bool = True,
        max_body: int = DEFAULT_MAX_BODY,
        media_type: str | None = None,
        rate: str | None = None,
        conditional: bool = False,
        produces: str | None = None,
    ) -> None:
        """Put one route into the table. See `Route` for the meaning of each field."""
        self.routes.append(
            Route(
                method=method,
                path=path,
                handler=handler,
                action=action,
                audience=self.audience,
                summary=summary,
                kind=RouteKind(kind),
                body=body,
                query=query,
                response=response,
                status=status,
                csrf=csrf,
                max_body=max_body,
                media_type=media_type,
                rate=rate,
                conditional=conditional,
                produces=produces,
            )
        )

    def get(
        self,
        path: str,
        *,
        action: str,
        summary: str,
        kind: RouteKind | str = RouteKind.PAGE,
        query: type[BaseModel] | None = None,
        response: type[BaseModel] | None = None,
        rate: str | None = None,
        produces: str | None = None,
    ) -> Decorator:
        """Declare a GET route (HEAD comes with it)."""

        def decorate(handler: Handler) -> Handler:
            self.add(
                "GET",
                path,
                handler,
                action=action,
                summary=summary,
                kind=kind,
                query=query,
                response=response,
                rate=rate,
                produces=produces,
            )
            return handler

        return decorate

    def post(
        self,
        path: str,
        *,
        action: str,
        summary: str,
        kind: RouteKind | str = RouteKind.PAGE,
        body: type[BaseModel] | None = None,
        query: type[BaseModel] | None = None,
        response: type[BaseModel] | None = None,
        status: int = 200,
        max_body: int = DEFAULT_MAX_BODY,
        media_type: str | None = None,
        rate: str | None = None,
    ) -> Decorator:
        """Declare a POST route: a form (page) or a JSON call. CSRF is always checked."""

        def decorate(handler: Handler) -> Handler:
            self.add(
                "POST",
                path,
                handler,
                action=action,
                summary=summary,
                kind=kind,
                body=body,
                query=query,
                response=response,
                status=status,
                max_body=max_body,
                media_type=media_type,
                rate=rate,
            )
            return handler

        return decorate


def check_routes(routes: Iterable[Route], policy: Mapping[str, Grant] = POLICY) -> None:
    """Refuse a set of routes that is unsafe or ambiguous; RouteError names every fault at once.

    A route needs an action, the action needs a policy line, a method and a path may stand once only, tickets authorise
    media routes and nothing else, and a route without a CSRF check must be one that no session authorises.
    """
    faults: list[str] = []
    seen: set[tuple[str, str]] = set()
    for route in routes:
        shape = (route.method, re.sub(r"{[^}]*}", "{}", route.path))
        if shape in seen:
            faults.append(f"{route.name}: declared twice")
        seen.add(shape)
        if route.method not in _METHODS:
            faults.append(f"{route.name}: not a method of ours")
        if not route.path.startswith("/"):
            faults.append(f"{route.name}: a path starts with /")
        if not route.summary:
            faults.append(f"{route.name}: no summary")
        if not _ACTION.fullmatch(route.action):
            faults.append(f"{route.name}: no action")
            continue
        grant = policy.get(route.action)
        if grant is None:
            faults.append(f"{route.name}: action {route.action!r} has no line in domain/access.py")
            continue
        if grant.ticket != (route.audience is Audience.MEDIA):
            faults.append(f"{route.name}: tickets authorise media routes, and only those")
        if grant.client != (route.audience is Audience.API):
            faults.append(f"{route.name}: clients' tokens authorise API routes, and only those")
        if route.audience is Audience.SYSTEM and not grant.anyone:
            faults.append(f"{route.name}: system routes look at no session, so their action must be public")
        if not route.csrf and route.audience in (Audience.FAMILY, Audience.TERMINAL, Audience.STAFF):
            faults.append(f"{route.name}: a route that a session authorises needs the CSRF check")
    if faults:
        raise RouteError("; ".join(faults))
