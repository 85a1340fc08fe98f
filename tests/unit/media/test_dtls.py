"""DTLS by aiortc: its private parts are still there, and two of ours shake hands."""

from __future__ import annotations

import asyncio
import inspect
import re

import pylibsrtp
import pytest
from aiortc import rtcdtlstransport
from aiortc.rtcdtlstransport import RTCDtlsTransport

from signaling.media import dtls
from signaling.media.dtls import Certificate, Dtls, DtlsFailed, preferred_profiles
from tests.fixtures.waiting import eventually


def explain(name: str, where: str) -> str:
    return (
        f"aiortc no longer has {where}.{name}. signaling/media/dtls.py uses it: see what replaced it there, "
        "then change that file, its lists of names and the pin in pyproject.toml together."
    )


@pytest.mark.parametrize("name", dtls.MODULE_NAMES)
def test_aiortc_still_has_the_names_of_its_module(name: str) -> None:
    assert hasattr(rtcdtlstransport, name), explain(name, "rtcdtlstransport")


@pytest.mark.parametrize("name", dtls.TRANSPORT_NAMES)
def test_aiortc_still_has_the_names_of_its_transport(name: str) -> None:
    transport = RTCDtlsTransport(dtls._DatagramPipe(lambda data: None), [Certificate().own])  # type: ignore[arg-type]
    assert hasattr(transport, name), explain(name, "RTCDtlsTransport")


def test_aiortc_asks_the_ice_transport_for_nothing_else() -> None:
    """A new use of the transport inside aiortc would fail only in the middle of a call."""
    source = inspect.getsource(RTCDtlsTransport)
    used = set(re.findall(r"self\.(?:_transport|transport)\.(\w+)", source))
    assert used == set(dtls.PIPE_NAMES), explain(
        str(used ^ set(dtls.PIPE_NAMES)), "the ICE transport of RTCDtlsTransport"
    )


class Pair:
    """Two associations whose datagrams reach each other."""

    def __init__(self, client_expects: str | None = None, server_expects: str | None = None) -> None:
        self.closed: list[str] = []
        ours, theirs = Certificate(), Certificate()
        self.server = Dtls(
            ours,
            is_client=False,
            fingerprints=[("sha-256", server_expects or theirs.fingerprint[1])],
            send=lambda data: self.client.feed(data),
            closed=lambda: self.closed.append("server"),
        )
        self.client = Dtls(
            theirs,
            is_client=True,
            fingerprints=[("sha-256", client_expects or ours.fingerprint[1])],
            send=lambda data: self.server.feed(data),
            closed=lambda: self.closed.append("client"),
        )

    async def close(self) -> None:
        await self.client.close()
        await self.server.close()


def packet(payload: bytes) -> bytes:
    return b"\x80\x60\x00\x01" + bytes(8) + payload


async def test_two_associations_share_their_keys() -> None:
    pair = Pair()
    server, client = await asyncio.gather(pair.server.handshake(), pair.client.handshake())
    assert server.profile == client.profile == "SRTP_AEAD_AES_128_GCM"
    assert client.unprotect(server.protect(packet(b"down"))) == packet(b"down")
    assert server.unprotect(client.protect(packet(b"up"))) == packet(b"up")
    with pytest.raises(pylibsrtp.Error):
        server.unprotect(server.protect(packet(b"reflected")))
    report = b"\x80\xc9\x00\x01\x00\x00\x00\x01"
    assert client.unprotect_rtcp(server.protect_rtcp(report)) == report
    with pytest.raises(ValueError, match="too long"):
        server.protect(packet(bytes(1400)))
    await pair.close()


async def test_a_client_without_gcm_gets_the_older_profile() -> None:
    """RFC 5764 section 4.1.2: AES128_CM_HMAC_SHA1_80 is what everybody has."""
    pair = Pair()
    pair.client._transport._srtp_profiles = [rtcdtlstransport.SRTP_AES128_CM_SHA1_80]
    server, client = await asyncio.gather(pair.server.handshake(), pair.client.handshake())
    assert server.profile == client.profile == "SRTP_AES128_CM_SHA1_80"
    assert client.unprotect(server.protect(packet(b"down"))) == packet(b"down")
    await pair.close()


async def test_a_client_without_any_profile_of_ours_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dtls, "HANDSHAKE_TIMEOUT", 1.0)
    pair = Pair()
    pair.client._transport._srtp_profiles = []
    results = await asyncio.gather(pair.server.handshake(), pair.client.handshake(), return_exceptions=True)
    assert isinstance(results[0], DtlsFailed)
    await pair.close()


async def test_ending_one_side_is_told_to_the_other() -> None:
    pair = Pair()
    await asyncio.gather(pair.server.handshake(), pair.client.handshake())
    await pair.client.close()
    await eventually(lambda: bool(pair.closed), "the alert")
    assert pair.closed == ["server"]
    await pair.server.close()
    assert pair.closed == ["server"]


async def test_another_fingerprint_than_the_signalled_one_fails() -> None:
    pair = Pair(server_expects=":".join(["00"] * 32))
    results = await asyncio.gather(pair.server.handshake(), pair.client.handshake(), return_exceptions=True)
    assert isinstance(results[0], DtlsFailed)
    await pair.close()


async def test_junk_during_the_handshake_does_no_harm() -> None:
    pair = Pair()
    for _ in range(20):
        pair.server.feed(b"\x16\xfe\xfd" + bytes(40))
        pair.server.feed(b"\x14")
        pair.server.feed(b"\x3f" * 1400)
    await asyncio.gather(pair.server.handshake(), pair.client.handshake())
    for _ in range(1000):
        pair.server.feed(b"\x17\xfe\xfd" + bytes(60))
    await asyncio.sleep(0.05)
    assert pair.closed == []
    await pair.close()


async def test_no_answer_is_a_failure_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dtls, "HANDSHAKE_TIMEOUT", 0.2)
    alone = Dtls(
        Certificate(),
        is_client=True,
        fingerprints=[("sha-256", "00")],
        send=lambda data: None,
        closed=lambda: None,
    )
    with pytest.raises(DtlsFailed, match="in time"):
        await alone.handshake()
    await alone.close()


def test_the_cheapest_profile_comes_first() -> None:
    assert preferred_profiles()[0] is rtcdtlstransport.SRTP_AEAD_AES_128_GCM
    assert len(preferred_profiles()) == len(rtcdtlstransport.SRTP_PROFILES)
