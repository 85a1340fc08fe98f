"""Every failure as one thing: a status, a stable code, words. Rendered as RFC 9457 problem or as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel

from signaling.errors import SignalingError
from visitserver.domain.errors import (
    Conflict,
    DecisionRefused,
    DomainError,
    Forbidden,
    Invalid,
    NeedsReview,
    NotFound,
    Unavailable,
)
from visitserver.domain.importing import LineRefused
from visitserver.http.forms import FieldError, InvalidInput, UnsupportedBody
from visitserver.services.records import Stale

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:visitserver:problem:"


class SignInRequired(Exception):
    """Nobody is signed in, and the action is not for everyone. Pages go to sign in; JSON gets 401.

    `bearer`: what is missing is a machine client's token (RFC 6750 section 3).
    """

    def __init__(self, *, bearer: bool = False) -> None:
        super().__init__("sign in first")
        self.bearer = bearer


class AccessDenied(Exception):
    """Somebody is signed in who may not do this. 403."""


class CsrfFailed(Exception):
    """The request does not show that it comes from one of our own pages. 403."""


class RateLimited(Exception):
    """Too many requests. 429; `retry_after` in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("too many requests")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong, fit for whoever asked. `extra` are RFC 9457 extension members."""

    status: int
    code: str
    detail: str
    errors: Sequence[FieldError] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The status's own phrase (RFC 9457 section 3.1.3 lets a title repeat it)."""
        return HTTPStatus(self.status).phrase

    def as_json(self, request_id: str) -> dict[str, Any]:
        """The problem document."""
        document: dict[str, Any] = {
            "type": TYPE_PREFIX + self.code,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        }
        if self.errors:
            document["errors"] = [
                {"pointer": error.pointer, "code": error.code, "detail": error.detail} for error in self.errors
            ]
        return {**document, **self.extra}


class ProblemFault(BaseModel):
    """One fault in the input."""

    pointer: str
    code: str
    detail: str


class ProblemDocument(BaseModel):
    """RFC 9457 problem details, as the OpenAPI document describes them."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[ProblemFault] = []


_STATUS: Final[tuple[tuple[type[DomainError], int], ...]] = (
    (DecisionRefused, 409),
    (NeedsReview, 409),
    (Invalid, 422),
    (NotFound, 404),
    (Forbidden, 403),
    (Conflict, 409),
    (Unavailable, 503),
    (Stale, 412),
)

_STANDS_AGAINST: Final = frozenset(
    {"taken", "exists", "fixed", "ended", "merged", "another_person", "relationship_state", "call_kind"}
)
"""Codes of a record's faults that are about what is there, not about what was sent."""

N_ = str  # marks a sentence for the catalogues

_HTTP_CODES: Final = {
    400: ("bad_request", "This request cannot be read."),
    404: ("not_found", "There is no such page."),
    405: ("method_not_allowed", "This address does not take that method."),
    408: ("timeout", "The request took too long to arrive."),
    413: ("body_too_large", N_("This is larger than the server takes here.")),
    415: ("unsupported_media_type", "The server does not take this type of content here."),
}

INTERNAL: Final = Problem(500, "internal_error", "Something went wrong on our side.")


def problem_of(error: BaseException) -> Problem:
    """The problem that stands for `error`. What we did not foresee is an opaque 500: its text is for the log alone."""
    match error:
        case DecisionRefused() | NeedsReview():
            decision = error.decision
            extra = {"reasons": list(decision.safe_words), "what_would_change": list(decision.what_would_change)}
            return Problem(_status(error), error.code, error.detail, extra=extra)
        case Invalid(field=str() as name):
            return Problem(422, error.code, error.detail, errors=[FieldError(name, error.code, error.detail)])
        case LineRefused():
            return _refused(error)
        case NotFound(code=NotFound.default_code):
            # One sentence for every thing: which one is missing would tell another's from nobody's.
            return Problem(404, error.code, "There is no such thing, or it is not yours.")
        case DomainError():
            return Problem(_status(error), error.code, error.detail)
        case SignalingError(status=status) if status != 500:
            return Problem(status, error.code, error.detail or "The call cannot do this now.")
        case InvalidInput():
            return Problem(422, "invalid_input", "Some of what was sent cannot be used.", errors=error.errors)
        case UnsupportedBody():
            return _http(415)
        case SignInRequired():
            headers = {"WWW-Authenticate": "Bearer"} if error.bearer else {}
            return Problem(401, "sign_in_required", "Please sign in first.", headers=headers)
        case AccessDenied():
            return Problem(403, "access_denied", "Your account does not allow this.")
        case CsrfFailed():
            return Problem(403, "csrf_failed", "This form is too old. Please open the page again and repeat it.")
        case RateLimited():
            headers = {"Retry-After": str(error.retry_after)}
            return Problem(429, "too_many_requests", "Too many tries. Please wait a little.", headers=headers)
        case web.HTTPMethodNotAllowed():
            return _http(405, {"Allow": ", ".join(sorted(error.allowed_methods | {"OPTIONS"}))})
        case web.HTTPException() if error.status in _HTTP_CODES:
            return _http(error.status)
        case web.HTTPException() if 400 <= error.status < 500:
            return Problem(error.status, f"http_{error.status}", HTTPStatus(error.status).phrase)
        case _:
            return INTERNAL


def problem_response(problem: Problem, request_id: str) -> web.Response:
    """The problem as `application/problem+json`."""
    return web.json_response(
        problem.as_json(request_id),
        status=problem.status,
        headers=dict(problem.headers),
        content_type=MEDIA_TYPE,
    )


def _refused(error: LineRefused) -> Problem:
    errors = [
        FieldError(f"/{fault.column}" if fault.column else "", fault.code, fault.message) for fault in error.faults
    ]
    against = next((fault for fault in error.faults if fault.code in _STANDS_AGAINST), None)
    if against is not None:
        return Problem(409, against.code, against.message, errors=errors)
    return Problem(422, "invalid_input", "Some of what was sent cannot be used.", errors=errors)


def _status(error: DomainError) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 409)


def _http(status: int, headers: Mapping[str, str] | None = None) -> Problem:
    code, detail = _HTTP_CODES[status]
    return Problem(status, code, detail, headers=headers or {})
