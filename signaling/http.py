"""The media endpoints: WHIP (RFC 9725) for participants, WHEP (draft-ietf-wish-whep) for officers, the control channel.

Every request shows its ticket as `Authorization: Bearer` (RFC 6750); the channel shows it in its first message.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from aiohttp import web

from signaling.channel import ChannelHost, ChannelLimits, serve_channel
from signaling.cors import preflight, with_cors
from signaling.errors import InvalidRequest, SignalingError, TicketError
from signaling.ice_links import IceServerSource, ice_links
from signaling.ids import CallId, parse_call_id
from signaling.media.session import Answer, PatchAnswer
from signaling.problems import Handler, with_problems

MAX_SDP_BYTES = 64 * 1024
BODY_TIMEOUT = 15.0  # seconds for the whole body, however it trickles in
SDP = "application/sdp"
SDP_FRAGMENT = "application/trickle-ice-sdpfrag"


@dataclass(frozen=True, slots=True)
class MediaRoute:
    """One endpoint, for the application's route registry. `auth` says where the ticket is."""

    method: str
    path: str
    handler: Handler
    action: str
    summary: str
    auth: Literal["ticket_header", "ticket_message", "none"]


class MediaHost(ChannelHost, Protocol):
    """Who carries the requests out: the node. Tokens are not yet verified."""

    async def publish(self, token: str, call_id: CallId, offer: str) -> Answer:
        """Answer a participant's offer."""
        ...

    async def watch(self, token: str, call_id: CallId, offer: str) -> Answer:
        """Answer an officer's offer. PrivilegedCallError for a privileged call, whatever the token."""
        ...

    async def watch_wall(self, token: str, offer: str) -> Answer:
        """Answer an officer's offer for a wall of the calls that the token names."""
        ...

    async def patch(self, token: str, session_id: str, etag: str | None, fragment: str) -> PatchAnswer:
        """Trickle or ICE restart on the token owner's session."""
        ...

    async def close(self, token: str, session_id: str) -> None:
        """End the token owner's session."""
        ...


class UnsupportedMediaType(SignalingError):
    """The body is of another media type than the endpoint takes."""

    code = "unsupported_media_type"
    status = 415


class TooSlow(SignalingError):
    """The body did not come in time."""

    code = "too_slow"
    status = 408


class TooLarge(SignalingError):
    """The body is larger than any sensible one."""

    code = "too_large"
    status = 413


def media_routes(
    host: MediaHost,
    *,
    limits: ChannelLimits | None = None,
    monotonic: Callable[[], float] = time.monotonic,
    ice_servers: IceServerSource = tuple,
) -> list[MediaRoute]:
    """The endpoints of `host`. Handlers answer every SignalingError as a problem document themselves.

    `ice_servers` is asked for each new session: what it gives is in the answer's Link header fields.
    """
    endpoints = _Endpoints(host, limits or ChannelLimits(), monotonic, ice_servers)
    routes = [
        MediaRoute(
            "POST",
            "/media/whip/{call_id}",
            with_problems(endpoints.whip),
            "media.publish",
            "Join a call's media: SDP offer in, answer out (RFC 9725)",
            "ticket_header",
        ),
        MediaRoute(
            "POST",
            "/media/whep/{call_id}",
            with_problems(endpoints.whep),
            "media.watch",
            "Watch an ordinary call: receive-only SDP offer in, answer out",
            "ticket_header",
        ),
        MediaRoute(
            "POST",
            "/media/whep",
            with_problems(endpoints.wall),
            "media.watch",
            "Watch several ordinary calls in one session: receive-only SDP offer in, answer out",
            "ticket_header",
        ),
        MediaRoute(
            "PATCH",
            "/media/sessions/{session_id}",
            with_problems(endpoints.patch),
            "media.session",
            "Trickle ICE candidates, or restart ICE",
            "ticket_header",
        ),
        MediaRoute(
            "DELETE",
            "/media/sessions/{session_id}",
            with_problems(endpoints.delete),
            "media.session",
            "End a media session",
            "ticket_header",
        ),
        MediaRoute(
            "GET",
            "/media/channel",
            endpoints.channel,
            "media.channel",
            "The control channel (WebSocket), see docs/channel.md",
            "ticket_message",
        ),
    ]
    return [*map(_for_other_origins, routes), *_preflights(routes)]


def _for_other_origins(route: MediaRoute) -> MediaRoute:
    return replace(route, handler=with_cors(route.handler)) if route.auth == "ticket_header" else route


def _preflights(routes: list[MediaRoute]) -> list[MediaRoute]:
    """OPTIONS of every resource that is asked by HTTP (RFC 9725 section 4.2)."""
    methods: dict[str, list[str]] = {}
    for route in routes:
        if route.auth == "ticket_header":
            methods.setdefault(route.path, []).append(route.method)
    return [
        MediaRoute(
            "OPTIONS",
            path,
            preflight(names, SDP if "POST" in names else None),
            "media.options",
            "What may be asked here, also from pages of other origins",
            "none",
        )
        for path, names in methods.items()
    ]


class _Endpoints:
    def __init__(
        self, host: MediaHost, limits: ChannelLimits, monotonic: Callable[[], float], ice_servers: IceServerSource
    ) -> None:
        self._host = host
        self._limits = limits
        self._monotonic = monotonic
        self._ice_servers = ice_servers

    async def whip(self, request: web.Request) -> web.Response:
        token, call_id = _bearer(request), _call_id(request)
        return self._created(await self._host.publish(token, call_id, await _body(request, SDP)))

    async def whep(self, request: web.Request) -> web.Response:
        token, call_id = _bearer(request), _call_id(request)
        return self._created(await self._host.watch(token, call_id, await _body(request, SDP)))

    async def wall(self, request: web.Request) -> web.Response:
        token = _bearer(request)
        return self._created(await self._host.watch_wall(token, await _body(request, SDP)))

    def _created(self, answer: Answer) -> web.Response:
        headers = {
            "Content-Type": SDP,
            "Location": f"/media/sessions/{answer.session_id}",
            "ETag": f'"{answer.etag}"',
            "Accept-Patch": SDP_FRAGMENT,
            "Cache-Control": "no-store",
        }
        response = web.Response(status=201, body=answer.sdp.encode(), headers=headers)
        for link in ice_links(self._ice_servers()):
            response.headers.add("Link", link)
        return response

    async def patch(self, request: web.Request) -> web.Response:
        token, session_id = _bearer(request), request.match_info["session_id"]
        fragment = await _body(request, SDP_FRAGMENT)
        answer = await self._host.patch(token, session_id, _if_match(request), fragment)
        if answer.fragment is None:
            return web.Response(status=204)  # with no ETag (RFC 9725 section 4.3.2)
        return web.Response(
            status=200,
            body=answer.fragment.encode(),
            headers={"Content-Type": SDP_FRAGMENT, "ETag": f'"{answer.etag}"'},
        )

    async def delete(self, request: web.Request) -> web.Response:
        await self._host.close(_bearer(request), request.match_info["session_id"])
        return web.Response(status=200)

    async def channel(self, request: web.Request) -> web.StreamResponse:
        return await serve_channel(request, self._host, self._limits, self._monotonic)


_BEARER = re.compile(r"Bearer +([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE)


def _bearer(request: web.Request) -> str:
    match = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    if match is None:
        raise TicketError("no ticket in the Authorization header", code="missing_ticket")
    return match[1]


def _call_id(request: web.Request) -> CallId:
    try:
        return parse_call_id(request.match_info["call_id"])
    except ValueError:
        raise InvalidRequest("not a call identifier") from None


def _if_match(request: web.Request) -> str | None:
    """The entity tag without its quotation marks, `*`, or None. A weak tag never matches (RFC 9110 section 13.1.1)."""
    value = request.headers.get("If-Match")
    if value is None:
        return None
    value = value.strip()
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] == '"' else value


async def _body(request: web.Request, media_type: str) -> str:
    if request.content_type != media_type:
        raise UnsupportedMediaType(f"the body is {media_type}")
    if (request.content_length or 0) > MAX_SDP_BYTES:
        raise TooLarge(f"the body has at most {MAX_SDP_BYTES} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            async for chunk in request.content.iter_chunked(8192):
                body += chunk
                if len(body) > MAX_SDP_BYTES:
                    raise TooLarge(f"the body has at most {MAX_SDP_BYTES} bytes")
    except TimeoutError:
        raise TooSlow("the body did not come in time") from None
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequest("the body is not UTF-8") from None
