"""What every run of every target has in common, so that kept inputs mean the same in each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from signaling.ids import OrdinaryCallId, PrivilegedCallId
from signaling.media.ice import Credentials
from signaling.media.leg import Kind, Side
from signaling.tickets import (
    CallCharter,
    JoinTicket,
    MonitorWarrant,
    RecordingPolicy,
    RecordingWarrant,
    Supervision,
    Ticket,
    TicketIssuer,
    TicketVerifier,
)

CREDENTIALS = Credentials("local123", "local-password-0123456789".replace("-", "x"), "remo", "remotepassword0123456789")
TCP_ADDRESS = ("192.0.2.7", 40000, 1)

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
CALL = OrdinaryCallId("call_" + "a" * 26)
PRIVILEGED = PrivilegedCallId("priv_" + "a" * 26)
VERIFIER = TicketVerifier([KEY.public_key()], lambda: NOW)

CHARTER = CallCharter(
    call_id=CALL,
    starts_at=NOW,
    ends_at=NOW + timedelta(minutes=30),
    lobby_opens_at=NOW - timedelta(minutes=15),
    sides=(Side.FAMILY, Side.PRISONER),
    recording=RecordingPolicy.REQUIRED,
    supervision=Supervision.LIVE,
    watch_banner=True,
)
TICKETS: tuple[Ticket, ...] = (
    CHARTER,
    JoinTicket(CALL, "con_1", Side.FAMILY, "Maija", "idc_1"),
    JoinTicket(PRIVILEGED, "con_1", Side.FAMILY, "Maija", "idc_1"),
    MonitorWarrant((CALL,), "stf_1", "sample", may_talk=True),
    RecordingWarrant(CALL, "rec_1", (Kind.AUDIO, Kind.VIDEO), "1"),
)


def issued() -> list[str]:
    """A token of each ticket; the bytes are the same in every run but for the ticket's own identifier."""
    issuer = TicketIssuer(KEY, lambda: NOW)
    return [issuer.issue(ticket, expires_at=NOW + timedelta(hours=1)) for ticket in TICKETS]
