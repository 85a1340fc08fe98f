"""Signaling's errors: one hierarchy, each with a stable `code` and the HTTP status that says the same (RFC 9110).

An error crosses process borders as JSON (`to_payload`, `error_from_payload`), so a caller sees the same class whether
the room is in its own process or on another node.
"""

from __future__ import annotations

from typing import Any


class SignalingError(Exception):
    """Base of all. `code` is stable and for programs; `detail` is for people and carries no personal data."""

    code: str = "signaling_error"
    status: int = 500

    def __init__(self, detail: str = "", *, code: str | None = None) -> None:
        super().__init__(detail or code or type(self).code)
        self.detail = detail
        self.code = code or type(self).code

    def to_payload(self) -> dict[str, Any]:
        """The error as JSON for the bus and the control channel."""
        return {"code": self.code, "detail": self.detail, "status": self.status}


class TicketError(SignalingError):
    """A ticket, warrant or charter is not good for what it was shown for.

    Codes: `expired`, `not_yet`, `bad_signature`, `wrong_type`, `wrong_call`, `malformed`, `privileged_call`, `revoked`.
    """

    code = "bad_ticket"
    status = 401

    def __init__(self, detail: str = "", *, code: str | None = None) -> None:
        super().__init__(detail, code=code)
        # RFC 6750 section 3.1: a token that is no good is 401, a good one for something else is 403.
        if code in ("wrong_call", "wrong_type"):
            self.status = 403


class PrivilegedCallError(TicketError):
    """Somebody asked for a monitor or a recorder on a privileged call. There is no way to grant that."""

    code = "privileged_call"
    status = 403

    def __init__(self, detail: str = "a privileged call has no monitor and no recorder") -> None:
        super().__init__(detail)


class UnknownCall(SignalingError):
    """No room is open for this call (on this node)."""

    code = "unknown_call"
    status = 404


class UnknownParticipant(SignalingError):
    """The call has no such participant."""

    code = "unknown_participant"
    status = 404


class ParticipantRemoved(SignalingError):
    """An officer has taken this person out of the call; they do not come back to it."""

    code = "removed"
    status = 403


class UnknownSession(SignalingError):
    """No media session has this identifier, or it is not the asker's."""

    code = "unknown_session"
    status = 404


class WrongState(SignalingError):
    """The call's state does not allow what was asked."""

    code = "wrong_state"
    status = 409


class LobbyClosed(WrongState):
    """The waiting room is not open yet."""

    code = "lobby_closed"


class RecorderAttached(WrongState):
    """The call is being recorded already."""

    code = "recorder_attached"


class CharterConflict(SignalingError):
    """The call is already open under another charter; a charter is fixed per call."""

    code = "charter_conflict"
    status = 409


class RecorderRequired(WrongState):
    """The call must be recorded and is not: it stays held until a recorder is attached."""

    code = "recorder_required"


class RecorderUnavailable(SignalingError):
    """The recorder could not be started: no storage, or no recorder on this node."""

    code = "recorder_unavailable"
    status = 503


class NotChartered(SignalingError):
    """The call's charter does not provide for this."""

    code = "not_chartered"
    status = 403


class InvalidRequest(SignalingError):
    """The request cannot be understood or leaves out what it must say."""

    code = "invalid"
    status = 400


class RateLimited(SignalingError):
    """Too much in too short a time."""

    code = "rate_limited"
    status = 429


class Unavailable(SignalingError):
    """No node can take the call, the node is draining, or it did not answer in time."""

    code = "unavailable"
    status = 503


class BusTimeout(Unavailable):
    """A request on the bus was not answered in time. Whether it was carried out is not known."""

    code = "timeout"
    status = 504


def _classes(base: type[SignalingError]) -> list[type[SignalingError]]:
    return [base, *(found for child in base.__subclasses__() for found in _classes(child))]


def error_from_payload(payload: dict[str, Any]) -> SignalingError:
    """The error that `to_payload` described; an unknown code gives a plain `SignalingError` with that code."""
    code = str(payload.get("code", SignalingError.code))
    detail = str(payload.get("detail", ""))
    if code == PrivilegedCallError.code:
        return PrivilegedCallError(detail)
    if code in TICKET_CODES:
        return TicketError(detail, code=code)
    for known in _classes(SignalingError):
        if known.code == code:
            return known(detail)
    error = SignalingError(detail, code=code)
    error.status = int(payload.get("status", SignalingError.status))
    return error


TICKET_CODES = frozenset({"expired", "not_yet", "bad_signature", "wrong_type", "wrong_call", "malformed", "revoked"})
