"""Webhooks: what another program of the prison service is told, and how it can tell that it was us.

The signature is that of the Standard Webhooks specification 1.0 (standardwebhooks.com), for which receivers find
libraries in every language.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from visitserver.domain.errors import Conflict, Invalid

TOPIC: Final = "webhook"
"""The outbox topic of one delivery to one endpoint."""

TEST_EVENT: Final = "webhook.test"
SECRET_BYTES: Final = 32
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the specification's prefix, no secret
LONGEST_URL: Final = 500

EVENTS: Final[tuple[str, ...]] = (
    "booking.requested",
    "booking.confirmed",
    "booking.changed",
    "booking.rejected",
    "booking.cancelled",
    "booking.flagged",
    "relationship.approved",
    "relationship.refused",
    "relationship.ended",
    "restriction.changed",
)
"""What an endpoint can ask for. A new one may be added, an old one keeps its meaning."""


@dataclass(eq=False)
class WebhookEndpoint:
    """An address of another program, and the events of one prison that it is told.

    `secret_sealed` is the signing key, sealed. `paused_why` is empty while it is told: `by_staff`, or `gone` when it
    answered 410. Removed endpoints stay as rows, so that the log of deliveries can still name them.
    """

    id: str
    prison_id: str
    url: str
    events: frozenset[str]
    secret_sealed: bytes
    created_at: datetime
    created_by: str
    description: str = ""
    paused_why: str = ""
    removed_at: datetime | None = None

    @property
    def active(self) -> bool:
        return self.removed_at is None and not self.paused_why

    def wants(self, event: str) -> bool:
        """Whether it is told of this event now."""
        return self.active and (event in self.events or event == TEST_EVENT)

    def pause(self, why: str) -> None:
        """Tell it nothing for the time being. Conflict when it is removed."""
        self._not_removed()
        self.paused_why = why

    def resume(self) -> None:
        """Tell it again, from now on. Conflict when it is removed."""
        self._not_removed()
        self.paused_why = ""

    def _not_removed(self) -> None:
        if self.removed_at is not None:
            raise Conflict("This endpoint has been removed.", code="webhook_removed")


@dataclass(frozen=True, slots=True)
class Signed:
    """A body with the three headers of the specification."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def sign(message_id: str, body: bytes, key: bytes, at: datetime) -> Signed:
    """The body and its headers: `webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.

    A repeated delivery has the same id and a new timestamp: receivers refuse old timestamps and know ids again.
    """
    timestamp = str(int(at.timestamp()))
    content = b".".join((message_id.encode(), timestamp.encode(), body))
    signature = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return Signed(
        body,
        {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{signature}",
        },
    )


def told_secret(key: bytes) -> str:
    """The signing key as receivers' libraries want it: `whsec_` and base64."""
    return SECRET_PREFIX + base64.b64encode(key).decode()


def check_url(url: str, *, insecure_allowed: bool) -> str:
    """The address, if events may be sent there; Invalid otherwise.

    HTTPS, with a host and without a user name or a fragment. `insecure_allowed` lets plain HTTP through, for a receiver
    on the same machine. Receivers stand in the prison's own network, so private addresses are no fault: who may write
    them is an administrator.
    """

    def refuse(detail: str) -> Invalid:
        return Invalid(detail, code="webhook_url", field="url")

    url = url.strip()
    if len(url) > LONGEST_URL or any(character.isspace() or not character.isprintable() for character in url):
        raise refuse("This is not an address that events can be sent to.")
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise refuse("This is not an address that events can be sent to.") from None
    if parts.scheme not in ("https", "http") or not host or parts.fragment:
        raise refuse("Write a whole address that begins with https://.")
    if parts.username is not None or parts.password is not None:
        raise refuse("A name or a password in the address would be seen: what proves that it was us is the signature.")
    if parts.scheme == "http" and not insecure_allowed:
        raise refuse("Events are sent by HTTPS only.")
    return url


def check_events(events: frozenset[str]) -> frozenset[str]:
    """The events; Invalid when there is none or one that is not known."""
    if not events:
        raise Invalid("Choose one or more events.", code="webhook_events", field="events")
    if unknown := sorted(events - set(EVENTS)):
        raise Invalid(f"There is no event {unknown[0]}.", code="webhook_events", field="events")
    return events


def sealing_context(endpoint_id: str) -> str:
    """What an endpoint's sealed secret is bound to."""
    return f"webhook:{endpoint_id}"
