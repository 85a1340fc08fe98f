"""ICE and DTLS: network changes, restarts, losing a peer, and everything that must not be let in."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from pathlib import Path

import pytest
from aioice import stun

from signaling.errors import UnknownSession
from signaling.media import ice
from signaling.media.errors import PreconditionFailed, PreconditionRequired, SdpError
from signaling.media.leg import Side
from signaling.media.listener import PeerLost
from signaling.media.node import MediaNode
from tests.fakes.media_client import MediaClient, vp8
from tests.fixtures.waiting import eventually
from tests.integration.media.conftest import Call
from tests.integration.media.test_call import gapless, send


async def test_a_network_change_is_followed_without_a_word_of_signalling(call: Call) -> None:
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    call.room.set_gate(True)
    send(family, 0, 5, key_at=0)
    send(prisoner, 0, 5, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == len(family.received.rtp) == 10, "the call")
    family.move()
    send(family, 5, 5)  # from an address that no check has proved
    await asyncio.sleep(0.1)
    assert len(prisoner.received.rtp) == 10
    await family.check(nominate=True)
    send(family, 10, 5)
    send(prisoner, 5, 5)
    await eventually(lambda: len(prisoner.received.rtp) == len(family.received.rtp) == 20, "the call from there")


async def test_an_ice_restart_keeps_the_session_its_keys_and_its_numbers(call: Call) -> None:
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    call.room.set_gate(True)
    send(prisoner, 0, 5, key_at=0)
    await eventually(lambda: len(family.received.rtp) == 10, "the call")
    session = call.sessions[family]
    old = (family.local_ufrag, family.local_pwd, family.ufrag)
    fragment = (
        "a=ice-ufrag:nextone\r\na=ice-pwd:nextpassword0123456789\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
    )
    answer = await call.room.patch(session, "*", fragment)
    assert answer.fragment is not None
    new = dict(
        line[2:].split(":", 1) for line in answer.fragment.split("\r\n") if line.startswith("a=ice-") and ":" in line
    )
    assert new["ice-ufrag"] != old[0]
    assert "a=candidate:1 1 udp" in answer.fragment

    send(prisoner, 5, 5)
    await eventually(lambda: len(family.received.rtp) == 20, "media over the old path until the new one is chosen")
    await family.check(nominate=True)  # the old credentials are still good
    family.ufrag, family.local_ufrag, family.local_pwd = "nextone", new["ice-ufrag"], new["ice-pwd"]
    family.move()
    await family.check(nominate=True)
    send(prisoner, 10, 5)
    await eventually(lambda: len(family.received.rtp) == 30, "media over the new path")
    assert gapless([packet.sequence_number for packet in family.received.of_kind("video")])
    assert len({packet.ssrc for packet in family.received.rtp}) == 2
    family.local_ufrag, family.local_pwd, family.ufrag = old
    refused = await family.check(nominate=True)
    assert refused.attributes["ERROR-CODE"][0] == 401
    assert call.room.counters().ice_restarts == 1
    assert call.heard.lost == []


async def test_patch_demands_what_rfc_9725_demands(call: Call) -> None:
    client = call.client()
    answer = await call.room.publish("family", Side.FAMILY, client.offer())
    trickle = f"a=ice-ufrag:{client.ufrag}\r\na=ice-pwd:{client.pwd}\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
    assert (await call.room.patch(answer.session_id, answer.etag, trickle)).fragment is None
    assert (await call.room.patch(answer.session_id, f'"{answer.etag}"', trickle)).etag == answer.etag
    with pytest.raises(PreconditionRequired):
        await call.room.patch(answer.session_id, None, trickle)
    with pytest.raises(PreconditionFailed):
        await call.room.patch(answer.session_id, "another", trickle)
    with pytest.raises(SdpError):
        await call.room.patch(answer.session_id, "*", "a=ice-ufrag:x")
    with pytest.raises(UnknownSession):
        await call.room.patch("ses_nobody", "*", trickle)


async def test_a_peer_that_vanishes_is_lost_within_eight_seconds(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 6 < ice.CONSENT <= 8  # longer than a browser's slowest checks (RFC 7675: 6 s), and no longer than promised
    monkeypatch.setattr(ice, "CONSENT", 3.0)  # a busy machine delays the other one's checks, too
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    family.stop_checks()
    await eventually(lambda: bool(call.heard.lost), "the loss")
    assert call.heard.lost == [("family", call.sessions[family], PeerLost.CONSENT_EXPIRED)]
    assert call.room.session_ids == (call.sessions[prisoner],)


async def test_leaving_and_closing_are_told_apart(call: Call) -> None:
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    await family.close()
    await eventually(lambda: len(call.heard.lost) == 1, "the alert")
    await call.room.close_session(call.sessions[prisoner])
    assert [(who, why) for who, _, why in call.heard.lost] == [
        ("family", PeerLost.DTLS_CLOSED),
        ("prisoner", PeerLost.CLOSED),
    ]
    with pytest.raises(UnknownSession):
        await call.room.close_session(call.sessions[prisoner])


async def test_a_certificate_with_another_fingerprint_is_refused(call: Call) -> None:
    client = call.client()
    forged = ":".join(["AB"] * 32)
    answer = await call.room.publish("family", Side.FAMILY, client.offer(fingerprint=forged))
    # The client's own handshake may end before or after the relay has looked at its certificate.
    try:
        await client.connect(answer.sdp)
    except (ConnectionError, TimeoutError):
        pass
    await eventually(lambda: len(call.heard.lost) == 1, "the refusal")
    assert call.heard.lost[0][2] is PeerLost.DTLS_FAILED
    assert call.heard.connected == []


async def test_the_relay_starts_the_handshake_when_the_client_wants_that(call: Call) -> None:
    client = call.client()
    answer = await call.room.publish("family", Side.FAMILY, client.offer(setup="passive"))
    assert "a=setup:active" in answer.sdp
    await client.connect(answer.sdp)
    await eventually(lambda: len(call.heard.connected) == 1, "the connection")
    client.send_rtp("audio", b"hello", 0)
    await call.received(1)


async def test_checks_that_prove_nothing_change_nothing(call: Call, node: MediaNode) -> None:
    client = call.client()
    answer = await call.room.publish("family", Side.FAMILY, client.offer())
    client.take_answer(answer.sdp)
    wrong = [
        client.binding_request(nominate=True, key="not-the-password-at-all"),
        client.binding_request(nominate=True, username=f"{client.local_ufrag}:other"),
        client.binding_request(nominate=True, username="nobody:atall"),
        bytes(stun.Message(stun.Method.BINDING, stun.Class.REQUEST)),
    ]
    for datagram in wrong:
        client.transmit(datagram)
    await eventually(lambda: node.stats().endpoint.stun_unauthenticated == 4, "the refused checks")
    client.transmit(b"\x16\xfe\xfd" + bytes(60))  # a DTLS record from an address that proved nothing
    await eventually(lambda: node.stats().endpoint.unknown_source == 1, "the stray record")
    stats = node.stats().endpoint
    assert (stats.stun_checks, stats.dtls, stats.media) == (0, 0, 0)


async def test_a_second_session_cannot_take_a_live_sessions_address(call: Call, node: MediaNode) -> None:
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    call.room.set_gate(True)
    thief = call.client()
    answer = await call.room.publish("guest", Side.GUEST, thief.offer())
    thief.take_answer(answer.sdp)
    family.transmit(thief.binding_request(nominate=True))  # as if the source address were forged
    await eventually(lambda: node.stats().endpoint.stun_address_conflict == 1, "the conflict")
    send(family, 0, 5, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == 10, "the call goes on")


async def test_junk_from_strangers_and_from_the_callers_own_address_leaves_the_call_unharmed(
    call: Call, node: MediaNode
) -> None:
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    call.room.set_gate(True)
    randomness = random.Random(8189)
    junk = [b"", b"\x00", os.urandom(1501), os.urandom(9000), b"\x80", b"\x80\xc8", b"\x90" + bytes(3), b"\x16" * 40]
    for _ in range(500):
        junk.append(bytes([randomness.randrange(256)]) + randomness.randbytes(randomness.randrange(80)))
    for first in (0, 1, 20, 63, 128, 144, 191):
        junk += [bytes([first]) + randomness.randbytes(randomness.randrange(200)) for _ in range(50)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for number, datagram in enumerate(junk):
            stranger.sendto(datagram, node.address)
            family.transmit(datagram)
            if number % 20 == 0:
                index = number // 20
                family.send_rtp("audio", b"voice", index * 960)
                family.send_rtp("video", vp8(index, key=index == 0), index * 3000)
                await asyncio.sleep(0.005)
    frames = (len(junk) + 19) // 20
    await eventually(lambda: len(prisoner.received.rtp) == 2 * frames, "every packet of the call")
    assert {packet.payload for packet in prisoner.received.of_kind("audio")} == {b"voice"}
    counters, endpoint = call.room.counters(), node.stats().endpoint
    assert counters.received == counters.forwarded == 2 * frames
    assert call.heard.lost == []
    assert endpoint.empty >= 2
    assert endpoint.oversized == 4
    assert endpoint.unknown_source > 400
    assert counters.dropped_srtp > 100
    assert endpoint.stun_errors_sent <= 25


async def test_a_replayed_packet_is_not_forwarded_twice(call: Call) -> None:
    family = await call.join("family", Side.FAMILY)
    prisoner = await call.join("prisoner", Side.PRISONER)
    call.room.set_gate(True)
    assert family.dtls is not None
    packet = family.send_rtp("audio", b"once", 0, skip=True)
    wire = family.dtls._tx_srtp.protect(packet.serialize(family.extensions))
    for _ in range(5):
        family.transmit(wire)
    await eventually(lambda: call.room.counters().dropped_srtp == 4, "the replays")
    assert len(prisoner.received.rtp) == call.room.counters().received == 1


async def test_joins_and_leaves_leave_nothing_behind(call: Call, node: MediaNode) -> None:
    await (await call.join("family", Side.FAMILY)).close()
    await eventually(lambda: not call.room.session_ids, "the first one's end")
    tasks = len(asyncio.all_tasks())
    sockets = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(15):
        client = await call.join("family", Side.FAMILY)
        client.send_rtp("audio", b"hello", 0)
        client.send_rtp("video", vp8(0, key=True), 0)
        officer = await call.watch("officer")
        await client.close()
        await officer.close()
        call.clients.clear()
        await eventually(lambda: not call.room.session_ids, "everybody's end")
    await eventually(lambda: len(asyncio.all_tasks()) == tasks, "no task left over")
    assert len(list(Path("/proc/self/fd").iterdir())) == sockets
    assert call.room.tracks() == ()
    assert node._demux.is_idle


async def test_a_client_that_never_connects_is_given_up(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signaling.media.peer.CONNECT_TIMEOUT", 0.2)
    client: MediaClient = call.client()
    answer = await call.room.publish("family", Side.FAMILY, client.offer())
    await eventually(lambda: len(call.heard.lost) == 1, "the end")
    assert call.heard.lost == [("family", answer.session_id, PeerLost.NEVER_CONNECTED)]
