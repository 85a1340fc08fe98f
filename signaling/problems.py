"""Errors as RFC 9457 problem documents, for the media endpoints."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import wraps
from http import HTTPStatus

from aiohttp import web

from signaling.errors import SignalingError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def problem(error: SignalingError) -> web.Response:
    """The problem document; 401 asks for a bearer token (RFC 6750 section 3)."""
    body = {
        "type": f"urn:visitserver:problem:{error.code}",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
    }
    response = web.Response(
        status=error.status, body=json.dumps(body).encode(), content_type="application/problem+json"
    )
    if error.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="media", error="invalid_token"'
    if error.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        response.headers["Retry-After"] = "1"  # seconds (RFC 9725 section 4.5)
    return response


def with_problems(handler: Handler) -> Handler:
    """The handler, with its SignalingErrors answered as problem documents. Others go on to whoever hosts the route."""

    @wraps(handler)
    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except SignalingError as error:
            return problem(error)

    return answered
