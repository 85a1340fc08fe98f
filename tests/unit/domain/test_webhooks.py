"""Webhooks' signature, addresses and events."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest

from visitserver.domain.errors import Invalid
from visitserver.domain.webhooks import EVENTS, WebhookEndpoint, check_events, check_url, sign, told_secret


def test_the_signature_is_that_of_the_specifications_own_example() -> None:
    """The vector that the libraries of the Standard Webhooks specification are tested with."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)
    signed = sign("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', key, at)
    assert signed.headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signed.headers["webhook-timestamp"] == "1614265330"
    assert told_secret(key) == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "other.example/hook",
        "ftp://other.example/hook",
        "http://other.example/hook",
        "https://",
        "https://name:secret@other.example/hook",
        "https://other.example/hook#part",
        "https://other.example:port/hook",
        "https://[::1/hook",
        "https://other.example/a b",
        "https://other.example/\x00",
        "https://other.example/" + "a" * 500,
    ],
)
def test_an_address_that_events_cannot_be_sent_to_is_refused(url: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_url(url, insecure_allowed=False)
    assert (refused.value.code, refused.value.field) == ("webhook_url", "url")


def test_https_is_taken_and_http_only_where_it_is_allowed() -> None:
    assert check_url(" https://other.example:8443/hook?a=b ", insecure_allowed=False).startswith("https://other")
    assert check_url("http://127.0.0.1:9/hook", insecure_allowed=True) == "http://127.0.0.1:9/hook"


def test_events_are_known_ones_and_at_least_one() -> None:
    assert check_events(frozenset(EVENTS)) == frozenset(EVENTS)
    for events in (frozenset[str](), frozenset({"booking.confirmed", "booking.exploded"})):
        with pytest.raises(Invalid) as refused:
            check_events(events)
        assert refused.value.code == "webhook_events"


def test_a_paused_or_removed_endpoint_wants_nothing() -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    endpoint = WebhookEndpoint("whk_1", "prn_1", "https://o.example", frozenset({EVENTS[0]}), b"", now, "staff:s")
    assert endpoint.wants(EVENTS[0])
    assert not endpoint.wants(EVENTS[1])
    endpoint.pause("gone")
    assert not endpoint.wants(EVENTS[0])
    endpoint.resume()
    assert endpoint.wants(EVENTS[0])
    endpoint.removed_at = now
    assert not endpoint.wants(EVENTS[0])
