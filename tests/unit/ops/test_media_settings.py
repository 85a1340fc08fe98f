"""The settings of media ports and of the TURN relay: what makes no sense stops the start and says why."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from visitserver.config import Settings, load_settings
from visitserver.media_doctor import buffer_advice, open_media_ports

SECRET = "0123456789abcdef"


def settings(**sections: Any) -> Settings:
    return load_settings(overrides=sections, environ={})


def test_one_address_or_several() -> None:
    assert settings().media.hosts == ("0.0.0.0", "::")
    assert settings(media={"udp_host": "127.0.0.1"}).media.hosts == ("127.0.0.1",)
    environ = {"VISITSERVER_MEDIA__UDP_HOST": "::1", "VISITSERVER_MEDIA__TRANSPORTS": '["tcp"]'}
    assert load_settings(environ=environ).media.hosts == ("::1",)
    assert load_settings(environ=environ).media.transports == ("tcp",)
    environ = {"VISITSERVER_MEDIA__UDP_HOST": '["127.0.0.1", "::1"]'}
    assert load_settings(environ=environ).media.hosts == ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"media": {"udp_host": "fe80::1%eth0"}}, "zone"),
        ({"media": {"udp_host": ["127.0.0.1", "fe80::1"]}}, "link-local"),
        ({"media": {"udp_host": "media.example.org"}}, "not an IP address"),
        ({"media": {"udp_host": []}}, "at least one"),
        ({"media": {"advertised": ["169.254.0.1"]}}, "link-local"),
        ({"media": {"advertised": ["203.0.113.5:99999"]}}, "port"),
        ({"media": {"transports": []}}, "at least 1"),
        ({"media": {"transports": ["sctp"]}}, "udp"),
        ({"turn": {"urls": ["https://turn.example.org"], "secret": SECRET}}, "not a TURN"),
        ({"turn": {"urls": ["turn:turn.example.org"]}}, "turn.secret"),
        ({"turn": {"urls": ["turn:turn.example.org"], "secret": "short"}}, "too short"),
    ],
)
def test_what_makes_no_sense_is_named(section: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        settings(**section)


def test_a_relay_is_an_address_and_a_secret() -> None:
    urls = ["turn:turn.example.org:3478", "turns:turn.example.org:443?transport=tcp", "stun:turn.example.org"]
    assert len(settings(turn={"urls": urls, "secret": SECRET}).turn.urls) == 3
    assert SECRET not in repr(settings(turn={"urls": urls, "secret": SECRET}))
    assert settings(turn={"urls": ["stun:stun.example.org"]}).turn.secret is None


async def test_the_doctor_opens_what_the_server_will_open() -> None:
    receive, send = open_media_ports(settings(media={"udp_host": ["127.0.0.1", "::1"], "udp_port": 0}).media)
    assert receive >= 65536
    assert send >= 65536
    assert open_media_ports(settings(media={"transports": ["tcp"], "udp_port": 0}).media) == (0, 0)


def test_small_buffers_come_with_advice() -> None:
    assert buffer_advice(1 << 20, (1 << 20, 1 << 21)) == ""
    assert buffer_advice(1 << 20, (0, 0)) == ""
    assert "net.core.rmem_max=1048576" in buffer_advice(1 << 20, (106496, 1 << 20))
    assert "wmem" not in buffer_advice(1 << 20, (106496, 1 << 20))
