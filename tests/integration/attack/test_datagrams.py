"""Datagrams that somebody on the way, or far from it, sends to a live call or to one that is just connecting."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator

import pytest

from signaling.calls import Phase
from signaling.media.leg import Side
from tests.fakes.media_client import MediaClient
from tests.fixtures.waiting import eventually
from tests.integration.attack.conftest import LiveCall
from tests.integration.attack.junk import alerts, client_hello, dtls_record, rtcp_bye, rtp, stun_request
from tests.integration.interop.house import PATIENCE, MediaHouse


class Stranger:
    """A socket of somebody who has no session."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.server = server

    def send(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self.socket.sendto(datagram, self.server)

    def answers(self) -> list[bytes]:
        """Everything that has come."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(2048))
            except BlockingIOError:
                return found


@pytest.fixture
def stranger(house: MediaHouse) -> Iterator[Stranger]:
    made = Stranger(house.media.address)
    yield made
    made.socket.close()


async def read_by_relay(house: MediaHouse, count: int, before: int) -> None:
    await eventually(lambda: house.endpoint().datagrams >= before + count, "the datagrams are read", PATIENCE)


async def test_strangers_are_not_even_listened_to(call: LiveCall, house: MediaHouse, stranger: Stranger) -> None:
    before = house.endpoint()
    ssrc = call.family.ssrc["audio"]
    datagrams = [
        b"",
        os.urandom(1501),
        os.urandom(9000),
        os.urandom(65_507),
        rtp(ssrc, call.family.sequence["audio"], 111, b"injected"),
        rtcp_bye(ssrc),
        client_hello(),
        *alerts(),
    ]
    stranger.send(*datagrams)
    await read_by_relay(house, len(datagrams), before.datagrams)
    await call.goes_on()
    call.nothing_strange_came_through()
    after = house.endpoint()
    assert after.empty - before.empty == 1
    assert after.oversized - before.oversized == 3
    assert after.unknown_source - before.unknown_source == len(datagrams) - 4
    assert stranger.answers() == []


async def test_packets_in_a_callers_name_and_from_their_address(call: LiveCall, house: MediaHouse) -> None:
    """The attacker forges the source address: he is on the same network, and knows every number but the keys."""
    before = call.counters
    family = call.family
    for kind, payload_type in (("audio", 111), ("video", 96)):
        for ahead in range(20):
            packet = rtp(family.ssrc[kind], family.sequence[kind] + ahead, payload_type, os.urandom(40))
            family.transmit(packet)
    for _ in range(5):
        family.transmit(rtcp_bye(family.ssrc["audio"]))
    hello = client_hello()
    for datagram in (*alerts(), hello, hello, dtls_record(20, 0, 1, b"\x01"), dtls_record(22, 0, 0, os.urandom(60))):
        family.transmit(datagram)
    await eventually(lambda: call.counters.dropped_srtp >= before.dropped_srtp + 45, "the forged packets", PATIENCE)
    await call.goes_on()
    call.nothing_strange_came_through()
    assert call.counters.received_rtcp == before.received_rtcp
    assert call.counters.dropped_unknown_track == 0


async def test_replayed_media_is_dropped_wherever_it_comes_from(
    call: LiveCall, house: MediaHouse, stranger: Stranger
) -> None:
    wires: list[bytes] = []
    transmit = call.family.transmit

    def tapped(datagram: bytes) -> None:
        wires.append(datagram)
        transmit(datagram)

    call.family.transmit = tapped  # type: ignore[method-assign]
    await call.goes_on()
    call.family.transmit = transmit  # type: ignore[method-assign]
    media = [wire for wire in wires if wire[0] >= 128]
    assert len(media) == 20
    before, endpoint = call.counters, house.endpoint()
    stranger.send(*media)
    for wire in media:
        transmit(wire)
    await eventually(lambda: call.counters.dropped_srtp == before.dropped_srtp + 20, "the replays", PATIENCE)
    await eventually(lambda: house.endpoint().unknown_source == endpoint.unknown_source + 20, "the others", PATIENCE)
    assert call.counters.received == before.received
    await call.goes_on()
    call.nothing_strange_came_through()


async def test_a_check_replayed_from_elsewhere_does_not_move_the_call(
    call: LiveCall, house: MediaHouse, stranger: Stranger
) -> None:
    """Who sees a check on its way has one with good integrity. It is good once, so it takes nobody's media away."""
    check = call.family.binding_request(nominate=True)
    before = house.endpoint()
    call.family.transmit(check)
    await read_by_relay(house, 1, before.datagrams)
    for _ in range(3):
        stranger.send(check)
    await read_by_relay(house, 4, before.datagrams)
    call.family.stop_checks()  # nothing may bring the call back to where it belongs
    await call.goes_on()
    assert house.endpoint().stun_replayed == before.stun_replayed + 3
    assert not [answer for answer in stranger.answers() if answer[:2] == b"\x01\x01" or answer[0] >= 20]
    call.nothing_strange_came_through()


async def test_checks_with_what_an_eavesdropper_knows_are_refused(
    call: LiveCall, house: MediaHouse, stranger: Stranger
) -> None:
    before = house.endpoint()
    username = f"{call.family.local_ufrag}:{call.family.ufrag}"
    good = call.family.binding_request(nominate=True)
    cut = good[:-8]  # FINGERPRINT, of which the integrity is no part
    wrong = [
        stun_request(username, "guessed" * 4),
        stun_request(f"{call.family.local_ufrag}:else", call.family.local_pwd),
        stun_request(call.family.local_ufrag, call.family.local_pwd),
        stun_request("", call.family.local_pwd),
        good[:20] + good[24:],
        cut,
        good[:2] + b"\xff\xff" + good[4:],
        good + bytes(1400),
    ]
    stranger.send(*wrong)
    await read_by_relay(house, len(wrong), before.datagrams)
    assert house.endpoint().stun_checks == before.stun_checks
    await call.goes_on()
    answers = stranger.answers()
    assert all(answer[:2] == b"\x01\x11" for answer in answers), "errors at most (RFC 8489 section 9.1.3)"
    assert sum(map(len, answers)) <= sum(map(len, wrong)), "nothing is made larger than it came"


async def test_somebody_elses_clienthello_before_the_callers_own(house: MediaHouse, stranger: Stranger) -> None:
    """The ClientHello race: the attacker knows the port and is faster, but has proved no address."""
    call_id = await house.open()
    family = MediaClient()
    house.clients.append(family)
    reply = await house.post(f"/media/whip/{call_id}", house.join_ticket(call_id), family.offer())
    family.take_answer(reply.text)
    hello, before = client_hello(), house.endpoint()
    for _ in range(50):
        stranger.send(hello)
        family.transmit(hello)  # even with the caller's own address, while no check has proved it
    await read_by_relay(house, 100, before.datagrams)
    assert house.endpoint().dtls == before.dtls
    race = asyncio.create_task(_keep_sending(stranger, hello))
    await family.connect(reply.text)
    race.cancel()
    await eventually(lambda: Side.FAMILY in house.node.rooms.get(call_id).machine.state.connected_sides, "in", PATIENCE)
    assert stranger.answers() == []


async def _keep_sending(stranger: Stranger, datagram: bytes) -> None:
    while True:
        stranger.send(datagram)
        await asyncio.sleep(0.001)


async def test_a_clienthello_from_the_callers_address_in_the_middle_of_the_handshake(house: MediaHouse) -> None:
    """The dearest race: the attacker forges the caller's proven address. Nobody but the caller ever gets in."""
    call_id = await house.open()
    family = MediaClient()
    house.clients.append(family)
    reply = await house.post(f"/media/whip/{call_id}", house.join_ticket(call_id), family.offer())
    family.take_answer(reply.text)
    await family.check(nominate=True)
    family.pipe = _Discarded()  # type: ignore[assignment]  # what the relay says to the attacker
    before = house.endpoint()
    family.transmit(client_hello())
    await read_by_relay(house, 1, before.datagrams)
    try:
        await family.connect(reply.text)
    except (ConnectionError, TimeoutError):
        pass  # the attempt may be lost to the attacker; nobody is let in by that
    room = house.room(call_id)
    if not house.node.rooms.get(call_id).machine.state.connected_sides:
        assert room.counters().received == 0
        again = MediaClient()
        house.clients.append(again)
        reply = await house.post(f"/media/whip/{call_id}", house.join_ticket(call_id), again.offer())
        await again.connect(reply.text)
    await eventually(lambda: Side.FAMILY in house.node.rooms.get(call_id).machine.state.connected_sides, "in", PATIENCE)


class _Discarded:
    class datagrams:  # noqa: N801
        @staticmethod
        def put_nowait(datagram: bytes) -> None:
            """Thrown away."""


async def test_a_stolen_ticket_and_another_certificate(call: LiveCall, house: MediaHouse) -> None:
    """The offer's fingerprint is what counts: whoever shakes hands with another certificate gets nothing."""
    call_id = await house.open()
    thief = MediaClient()
    house.clients.append(thief)
    forged = thief.offer(fingerprint=":".join(["AB"] * 32))
    reply = await house.post(f"/media/whip/{call_id}", house.join_ticket(call_id), forged)
    try:
        await thief.connect(reply.text)
    except (ConnectionError, TimeoutError):
        pass
    await eventually(lambda: house.room(call_id).session_ids == (), "the refusal", PATIENCE)
    assert house.phase(call_id) is Phase.LOBBY_OPEN
    assert not house.node.rooms.get(call_id).machine.state.connected_sides
    assert house.counters(call_id).received == 0
    await call.goes_on()
    call.nothing_strange_came_through()


async def test_a_relay_that_shows_another_certificate_is_left_by_the_client(house: MediaHouse) -> None:
    """A man in the middle: what the ticketed HTTPS answer said of the relay's certificate is what the client checks."""
    call_id = await house.open()
    family = MediaClient()
    house.clients.append(family)
    reply = await house.post(f"/media/whip/{call_id}", house.join_ticket(call_id), family.offer())
    with pytest.raises(ConnectionError):
        await family.connect(reply.text, fingerprint=":".join(["AB"] * 32))


async def test_a_proven_address_is_not_taken_by_another_session(call: LiveCall, house: MediaHouse) -> None:
    """An insider with a session of his own forges the source address of somebody else's."""
    other = await house.open()
    thief = MediaClient()
    house.clients.append(thief)
    reply = await house.post(f"/media/whip/{other}", house.join_ticket(other), thief.offer())
    thief.take_answer(reply.text)
    before = house.endpoint()
    for _ in range(10):
        call.family.transmit(thief.binding_request(nominate=True))
    await eventually(
        lambda: house.endpoint().stun_address_conflict == before.stun_address_conflict + 10, "conflicts", PATIENCE
    )
    await call.goes_on()
    call.nothing_strange_came_through()
