"""Finding out who asks: from cookies to a `Ctx`."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from visitserver.domain.accounts import AccountKind, StationDevice
from visitserver.http import cookies, csrf
from visitserver.http.core import Core
from visitserver.http.ctx import Ctx
from visitserver.http.keys import CORE, PEER, REQUEST_ID
from visitserver.http.principal import ANONYMOUS, Principal, PrincipalKind
from visitserver.http.registry import Audience, Route, RouteKind
from visitserver.services.sessions import SignedIn
from visitserver.services.tokens import new_token

LONGEST_TOKEN: Final = 200
SESSION_AUDIENCES: Final = frozenset({Audience.FAMILY, Audience.TERMINAL, Audience.STAFF})

_KINDS: Final = {
    AccountKind.FAMILY: PrincipalKind.FAMILY,
    AccountKind.PRISONER: PrincipalKind.PRISONER,
    AccountKind.STAFF: PrincipalKind.STAFF,
}


async def make_context(request: web.Request, route: Route, core: Core) -> Ctx:
    """Read the session (and at a terminal the device) that the route's audience looks at. Media and system: none."""
    secure = request[PEER].secure
    token, device, signed_in = None, None, None
    if route.audience is Audience.TERMINAL:
        device = await _device(request, core, secure)
    if route.audience in SESSION_AUDIENCES:
        token = cookies.read(request, cookies.session_cookie(route.audience), secure=secure)
    if token is not None:
        station_id = None if device is None else device.station_id
        signed_in = await core.services.sessions.resolve(token, route.audience, station_id)
    principal = await _client(request, core) if route.audience is Audience.API else principal_of(signed_in, device)
    ctx = _context(request, route, core, principal, signed_in)
    ctx.device = device
    ctx.session_token = token if signed_in is not None else None
    if route.audience in SESSION_AUDIENCES:
        _give_csrf_token(ctx, route)
    return ctx


def bare_context(request: web.Request) -> Ctx:
    """For an error page where no route, or nobody, could be found out."""
    return _context(request, _NO_ROUTE, request.app[CORE], ANONYMOUS, None)


def principal_of(signed_in: SignedIn | None, device: StationDevice | None) -> Principal:
    """The principal behind a session; without one, an anonymous visitor, perhaps at a known station."""
    station_id = None if device is None else device.station_id
    if signed_in is None:
        prison_id = None if device is None else device.prison_id
        return Principal(PrincipalKind.ANONYMOUS, station_id=station_id, prison_id=prison_id)
    account = signed_in.account
    return Principal(
        kind=_KINDS[account.kind],
        account_id=account.id,
        contact_id=account.contact_id,
        prisoner_id=account.prisoner_id,
        staff_id=account.staff_id,
        roles=account.roles,
        prison_id=signed_in.prison_id,
        station_id=station_id,
        name=signed_in.name,
    )


async def _client(request: web.Request, core: Core) -> Principal:
    """The machine client whose token stands in the Authorization field (RFC 6750 section 2.1); else nobody."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > LONGEST_TOKEN:
        return ANONYMOUS
    client = await core.services.clients.resolve(token.strip())
    if client is None:
        return ANONYMOUS
    return Principal(
        kind=PrincipalKind.CLIENT,
        account_id=client.id,
        prison_id=client.prison_id,
        name=client.name,
        actions=client.actions,
    )


async def _device(request: web.Request, core: Core, secure: bool) -> StationDevice | None:
    token = cookies.read(request, cookies.STATION, secure=secure)
    return None if token is None else await core.services.stations.resolve(token)


def _context(request: web.Request, route: Route, core: Core, principal: Principal, signed_in: SignedIn | None) -> Ctx:
    peer = request[PEER]
    asked = request.query.get("lang")
    chosen = asked if asked in core.templates.locales else cookies.language(request, secure=peer.secure)
    preferred = chosen or (None if signed_in is None else signed_in.account.language)
    ctx = Ctx(
        request=request,
        route=route,
        principal=principal,
        services=core.services,
        settings=core.settings,
        templates=core.templates,
        limiter=core.limiter,
        clock=core.clock,
        request_id=request[REQUEST_ID],
        locale=core.templates.choose_locale(preferred, request.headers.get("Accept-Language", "")),
        peer=peer,
        csrf_token="",
    )
    if asked is not None and asked in core.templates.locales:
        ctx.answer_with.append(
            lambda response: cookies.write(response, cookies.LANGUAGE, asked, secure=peer.secure, lasting=True)
        )
    return ctx


def _give_csrf_token(ctx: Ctx, route: Route) -> None:
    """The session's token; for a visitor who is not signed in, that of a random cookie, made with the first page."""
    secret = ctx.session_token or cookies.read(ctx.request, cookies.VISITOR, secure=ctx.secure)
    if secret is None and ctx.request.method == "GET" and route.kind is RouteKind.PAGE:
        secret = visitor = new_token()
        ctx.answer_with.append(lambda response: cookies.write(response, cookies.VISITOR, visitor, secure=ctx.secure))
    ctx.csrf_secret = secret
    ctx.csrf_token = "" if secret is None else csrf.token_for(secret)


async def _nowhere(_request: web.Request, _ctx: Ctx) -> web.StreamResponse:
    raise web.HTTPNotFound


_NO_ROUTE: Final = Route(
    method="GET",
    path="/",
    handler=_nowhere,
    action="page.none",
    audience=Audience.SYSTEM,
    summary="No route",
)
