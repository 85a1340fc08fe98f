"""Signed capabilities: what a media node acts on instead of a database.

A ticket is a compact JWS (RFC 7515) signed with Ed25519 (`alg: Ed25519`, RFC 9864). Its protected `typ` header says
what kind of ticket it is (RFC 8725 section 3.11), so one kind can never be taken for another; `kid` is the key's
RFC 7638 thumbprint. Claims besides the ticket's own: `jti`, `iat`, `nbf`, `exp` (RFC 7519 section 4.1).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from joserfc import jws
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import OKPKey

from signaling.capabilities import (
    CallCharter,
    JoinTicket,
    MonitorWarrant,
    RecordingPolicy,
    RecordingWarrant,
    Supervision,
    TalkWarrant,
    Ticket,
)
from signaling.errors import PrivilegedCallError, TicketError
from signaling.ids import CallId, OrdinaryCallId, new_id, parse_call_id
from signaling.revocations import Revocations
from signaling.ticket_codec import charter_from, claims_of, join_from, monitor_from, recording_from, talk_from

__all__ = [
    "CallCharter",
    "Clock",
    "JoinTicket",
    "MonitorWarrant",
    "PrivilegedCallError",
    "RecordingPolicy",
    "RecordingWarrant",
    "Supervision",
    "TalkWarrant",
    "Ticket",
    "TicketError",
    "TicketIssuer",
    "TicketVerifier",
    "Verified",
    "peek_call_id",
]

Clock = Callable[[], datetime]
T = TypeVar("T", CallCharter, JoinTicket, MonitorWarrant, TalkWarrant, RecordingWarrant)


@dataclass(frozen=True, slots=True)
class Verified(Generic[T]):
    """A ticket whose signature, kind and times are good, with what was signed around it."""

    body: T
    jti: str
    issued_at: datetime
    expires_at: datetime


# typ header and the longest life of each kind. A verifier refuses a longer one, whoever signed it.
_TYP: dict[type[Ticket], str] = {
    CallCharter: "visit-charter+jws",
    JoinTicket: "visit-join+jws",
    MonitorWarrant: "visit-monitor+jws",
    TalkWarrant: "visit-talk+jws",
    RecordingWarrant: "visit-recording+jws",
}
MAX_LIFE: dict[type[Ticket], timedelta] = {
    CallCharter: timedelta(hours=24),
    JoinTicket: timedelta(hours=13),
    MonitorWarrant: timedelta(hours=12),
    TalkWarrant: timedelta(minutes=2),  # to begin to talk: it is asked for anew each time
    RecordingWarrant: timedelta(hours=24),
}
MAX_TOKEN_LENGTH = 8192
CLOCK_SKEW = timedelta(seconds=5)  # between the application's clock and a media node's
_ALG = "Ed25519"


class TicketIssuer:
    """Signs tickets. Lives in the application, the only holder of the private key."""

    def __init__(self, private_key: Ed25519PrivateKey, clock: Clock) -> None:
        self._key = OKPKey.import_key(private_key)
        self._kid = self._key.thumbprint()
        self._clock = clock

    def issue(self, ticket: Ticket, *, expires_at: datetime, not_before: datetime | None = None) -> str:
        """The signed ticket. ValueError if it would be expired already or live longer than `MAX_LIFE` of its kind."""
        now = self._clock()
        life = expires_at - now
        if not timedelta(0) < life <= MAX_LIFE[type(ticket)]:
            raise ValueError("a ticket expires after it is issued, and within the longest life of its kind")
        claims = {
            **claims_of(ticket),
            "jti": new_id("jti"),
            "iat": int(now.timestamp()),
            "nbf": int((not_before or now).timestamp()),
            "exp": int(expires_at.timestamp()),
        }
        header = {"alg": _ALG, "typ": _TYP[type(ticket)], "kid": self._kid}
        return jws.serialize_compact(header, json.dumps(claims, separators=(",", ":")), self._key, algorithms=[_ALG])


class TicketVerifier:
    """Checks tickets against the application's public keys (several, so that keys can be rolled over)."""

    def __init__(self, public_keys: Sequence[Ed25519PublicKey], clock: Clock) -> None:
        keys = [OKPKey.import_key(key) for key in public_keys]
        self._keys = {key.thumbprint(): key for key in keys}
        self._clock = clock
        self.revocations = Revocations()
        """Whose join tickets and monitor warrants are refused (TicketError `revoked`)."""

    def charter(self, token: str) -> Verified[CallCharter]:
        """The charter in `token`. TicketError otherwise."""
        return self._verify(token, CallCharter, charter_from)

    def join(self, token: str, call_id: CallId | None = None) -> Verified[JoinTicket]:
        """The join ticket in `token`; with `call_id`, TicketError `wrong_call` unless it is for that call."""
        verified = self._verify(token, JoinTicket, join_from)
        self.revocations.check(verified.body.participant_id, verified.issued_at)
        if call_id is not None and verified.body.call_id != call_id:
            raise TicketError("the ticket is for another call", code="wrong_call")
        return verified

    def monitor(self, token: str, call_id: CallId | None = None) -> Verified[MonitorWarrant]:
        """The monitor warrant in `token`. PrivilegedCallError if `call_id` or any call it names is privileged."""
        if call_id is not None:
            _require_ordinary(call_id)
        verified = self._verify(token, MonitorWarrant, monitor_from)
        self.revocations.check(verified.body.officer_id, verified.issued_at)
        if call_id is not None and call_id not in verified.body.call_ids:
            raise TicketError("the warrant is for other calls", code="wrong_call")
        return verified

    def talk(self, token: str) -> Verified[TalkWarrant]:
        """The warrant to talk in `token`. PrivilegedCallError if the call it names is privileged."""
        verified = self._verify(token, TalkWarrant, talk_from)
        self.revocations.check(verified.body.officer_id, verified.issued_at)
        return verified

    def recording(self, token: str, call_id: CallId | None = None) -> Verified[RecordingWarrant]:
        """The recording warrant in `token`. PrivilegedCallError if `call_id` or the call it names is privileged."""
        if call_id is not None:
            _require_ordinary(call_id)
        verified = self._verify(token, RecordingWarrant, recording_from)
        if call_id is not None and verified.body.call_id != call_id:
            raise TicketError("the warrant is for another call", code="wrong_call")
        return verified

    def _verify(self, token: str, kind: type[T], read: Callable[[dict[str, Any]], T]) -> Verified[T]:
        claims = self._signed_claims(token, _TYP[kind])
        issued_at, not_before, expires_at = (_time(claims, name) for name in ("iat", "nbf", "exp"))
        if expires_at - issued_at > MAX_LIFE[kind] + CLOCK_SKEW:
            raise TicketError("the ticket's life is longer than its kind may have", code="malformed")
        now = self._clock()
        if now >= expires_at:
            raise TicketError("the ticket has expired", code="expired")
        if now < max(not_before, issued_at) - CLOCK_SKEW:
            raise TicketError("the ticket is not valid yet", code="not_yet")
        try:
            body = read(claims)
        except PrivilegedCallError:
            raise
        except (ValueError, TypeError, KeyError) as error:
            raise TicketError("the ticket's content is not what its kind must have", code="malformed") from error
        return Verified(body, str(claims.get("jti", "")), issued_at, expires_at)

    def _signed_claims(self, token: str, typ: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_LENGTH or not token.isascii():
            raise TicketError("not a ticket", code="malformed")
        try:
            unverified = jws.extract_compact(token.encode("ascii"))
            header = unverified.protected
            key = self._keys.get(str(header.get("kid")))
            if key is None:
                raise TicketError("signed with a key that is not known here", code="bad_signature")
            verified = jws.deserialize_compact(token, key, algorithms=[_ALG])
        except JoseError as error:
            code = "bad_signature" if isinstance(error, BadSignatureError) else "malformed"
            raise TicketError("the signature is not good", code=code) from error
        except (ValueError, TypeError, KeyError) as error:
            raise TicketError("not a ticket", code="malformed") from error
        if verified.protected.get("typ") != typ:
            raise TicketError("a ticket of another kind", code="wrong_type")
        try:
            claims = json.loads(verified.payload)
        except ValueError as error:
            raise TicketError("not a ticket", code="malformed") from error
        if not isinstance(claims, dict):
            raise TicketError("not a ticket", code="malformed")
        return claims


def _time(claims: dict[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 36:
        raise TicketError(f"the ticket's {name} is not a time", code="malformed")
    return datetime.fromtimestamp(value, UTC)


def peek_call_id(token: str) -> CallId:
    """The call that a charter, join ticket or recording warrant names, NOT verified: for finding the node that will.

    TicketError `malformed` when there is none.
    """
    try:
        claims = json.loads(jws.extract_compact(token.encode()).payload)
        call = claims["call"]
        if not isinstance(call, str):  # nobody has looked at this yet: it may be anything
            raise TypeError("not a call identifier")
        return parse_call_id(call)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise TicketError("not a ticket for one call", code="malformed") from error


def _require_ordinary(call_id: CallId) -> None:
    if not isinstance(parse_call_id(call_id), OrdinaryCallId):
        raise PrivilegedCallError()
