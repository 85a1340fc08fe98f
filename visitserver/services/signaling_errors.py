"""What goes wrong with a live call, as the application's errors with the same codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from signaling.errors import SignalingError
from visitserver.domain.errors import Conflict, DomainError, Forbidden, Invalid, NotFound, Unavailable

_BY_STATUS: dict[int, type[DomainError]] = {
    400: Invalid,
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


@contextmanager
def signaling_errors() -> Iterator[None]:
    """Turn a SignalingError into the DomainError of its status, with its code. Others become Unavailable."""
    try:
        yield
    except SignalingError as error:
        kind = _BY_STATUS.get(error.status, Unavailable)
        raise kind(error.detail or "The call cannot be reached. Try again.", code=error.code) from error
