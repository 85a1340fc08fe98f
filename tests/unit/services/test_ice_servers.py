"""Credentials for a TURN relay (draft-uberti-behave-turn-rest)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

from visitserver.services.ice_servers import IceServer, TurnCredentials, no_ice_servers

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
URLS = ("turn:turn.example.org:3478", "stun:turn.example.org:3478", "turns:turn.example.org:443?transport=tcp")


def credentials(urls: tuple[str, ...] = URLS) -> TurnCredentials:
    return TurnCredentials(urls, "a secret of the relay", timedelta(hours=3), lambda: NOW)


def test_the_name_says_until_when_and_the_credential_proves_it() -> None:
    stun, turn = credentials()()
    assert stun == IceServer(("stun:turn.example.org:3478",))
    assert turn.urls == (URLS[0], URLS[2])
    assert turn.username is not None
    until, _, chance = turn.username.partition(":")
    assert datetime.fromtimestamp(int(until), UTC) == NOW + timedelta(hours=3)
    assert len(chance) == 16
    digest = hmac.new(b"a secret of the relay", turn.username.encode(), hashlib.sha1).digest()
    assert turn.credential == base64.b64encode(digest).decode()
    assert turn.as_json() == {
        "urls": list(turn.urls),
        "username": turn.username,
        "credential": turn.credential,
    }
    assert stun.as_json() == {"urls": list(stun.urls)}


def test_no_two_are_alike_and_none_says_who_it_is_for() -> None:
    source = credentials()
    assert len({source()[1].username for _ in range(50)}) == 50


def test_without_a_relay_there_is_nothing() -> None:
    assert credentials(())() == no_ice_servers() == ()
