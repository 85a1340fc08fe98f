"""Officers come, look, ask, complain, switch and go: no participant's connection is given one bit that differs.

The same call is played twice, with officers and without, and everything that each participant's socket received is
compared. That the comparison can fail is shown by relays that treat an officer as they treat a participant.
"""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from aiortc.rtp import (
    RTCP_PSFB_PLI,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSenderInfo,
    RtcpSrPacket,
    pack_remb_fci,
)

from signaling.ids import OrdinaryCallId
from signaling.media.feedback import Feedback
from signaling.media.leg import Kind, Side
from signaling.media.node import MediaNode
from signaling.media.peer import Peer
from signaling.media.rooms import OrdinaryMediaRoom
from signaling.media.router import MediaRoom
from signaling.media.slots import TALK
from tests.fakes.media_client import OFFICER, PARTY, MediaClient, vp8
from tests.fixtures.waiting import eventually
from tests.integration.media.conftest import Heard
from tests.integration.media.observing import Observer, SteppedClock

STEPS = 200  # four seconds of the call
LINES = (*PARTY, ("audio", "recvonly"), ("video", "recvonly"), ("audio", "recvonly"))
WALL = (*[("video", "recvonly")] * 4, ("audio", "recvonly"), ("audio", "recvonly"), ("audio", "sendonly"))
PEOPLE = {"family": Side.FAMILY, "family2": Side.FAMILY, "prisoner": Side.PRISONER}

Officers = Callable[["Played", int], Awaitable[None]]


class Played:
    """One playing of the call."""

    def __init__(self, node: MediaNode, clock: SteppedClock, rids: tuple[str, ...]) -> None:
        self.node, self.clock = node, clock
        self.room: OrdinaryMediaRoom = node.open_room(OrdinaryCallId("call_" + "a" * 26))
        self.heard = Heard()
        self.room.listener = self.heard
        self.people = {name: Observer(number + 1, LINES, rids) for number, name in enumerate(PEOPLE)}
        self.sessions: dict[str, str] = {}
        self.hidden: dict[str, MediaClient] = {}
        self.hidden_sessions: dict[str, str] = {}
        self.extra_rtcp = 0
        self._rtp = self._rtcp = 0

    async def play(self, officers: Officers | None) -> None:
        """Everybody joins, the gate opens, and the call goes on step by step."""
        if officers is not None:
            await officers(self, -1)
        for name, person in self.people.items():
            answer = await self.room.publish(name, PEOPLE[name], person.offer())
            self.sessions[name] = answer.session_id
            person.answer = answer.sdp
            await person.connect(answer.sdp)
            person.stop_checks()
            await eventually(lambda name=name: name in dict(self.heard.connected), "the session connects")  # type: ignore[misc]
        for person in self.people.values():
            await person.barrier()
            # One shows the others large, one small, one has never said.
            if person is not self.people["prisoner"]:
                height = 720 if person is self.people["family"] else 120
                slots = [slot.mid for slot in self.room.slots(self.sessions[self._name(person)])]
                self.room.set_view(self.sessions[self._name(person)], dict.fromkeys(slots, height))
            person.seen.clear()  # the handshake's checks are as many as the machine is slow
        self.room.set_gate(True)
        for step in range(STEPS):
            await self._step(step)
            if officers is not None:
                await officers(self, step)

    def _name(self, person: Observer) -> str:
        return next(name for name, one in self.people.items() if one is person)

    async def _step(self, step: int) -> None:
        for person in self.people.values():
            person.step = step
        self.clock.step()
        for number, (name, person) in enumerate(self.people.items()):
            self._send(person, step, number)
            if step % 40 == 10 * number:
                self._complain(name, person, step)
        await eventually(self._all_there, f"step {step} at the relay", every=0.001)
        self.room.tick(self.clock.now)
        for person in self.people.values():
            await person.barrier()

    def _send(self, person: Observer, step: int, number: int) -> None:
        lost = (step + 7 * number) % 23 == 0
        loud = step // 60 == number
        person.send_rtp("audio", b"opus" * 20, step * 960, level=20 if loud else 127, skip=lost)
        self._rtp += not lost
        if step % 2 == 0:
            key = step % 50 == 0
            for part in range(3):
                gone = part == 1 and (step + 5 * number) % 26 == 0
                payload = vp8(step // 2, key=key, start=part == 0, size=300)
                self._rtp += person.send_video(payload, step * 1800, marker=int(part == 2), skip=gone)
        if step % 50 == 5 * number:
            ntp = (3_900_000_000 << 32) + (step << 26)
            for ssrc, rate in ((person.ssrc["audio"], 960), *((ssrc, 1800) for ssrc in person.video_ssrcs)):
                info = RtcpSenderInfo(ntp_timestamp=ntp, rtp_timestamp=step * rate, packet_count=step, octet_count=step)
                person.send_rtcp(RtcpSrPacket(ssrc, info))
                self._rtcp += 1

    def _complain(self, name: str, person: Observer, step: int) -> None:
        """What a participant's own browser asks for: it must be answered the same, officers or not."""
        slots = [slot for slot in self.room._peer(self.sessions[name]).slots if slot.index != TALK and slot.sent]
        if not slots:
            return
        for slot in slots:
            if slot.kind is Kind.VIDEO:
                person.send_rtcp(RtcpRrPacket(1), RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=slot.ssrc))
                self._rtcp += 1
        good = pack_remb_fci(1_500_000 + 1000 * step, [slot.ssrc for slot in slots])
        person.send_rtcp(RtcpRrPacket(1), RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=good))
        self._rtcp += 1

    def _all_there(self) -> bool:
        counters = self.room.counters()
        return counters.received >= self._rtp and counters.received_rtcp >= self._rtcp + self.extra_rtcp

    # What officers do

    async def watch(self, name: str) -> None:
        client = self.hidden[name] = MediaClient(OFFICER)
        answer = await self.room.subscribe(name, client.offer())
        self.hidden_sessions[name] = answer.session_id
        await client.connect(answer.sdp)
        client.stop_checks()
        await eventually(lambda: name in dict(self.heard.connected), "the officer connects")

    async def complain(self, name: str) -> None:
        """Everything a receiver can ask for or say, all of it bad."""
        client = self.hidden[name]
        for slot in self.room._peer(self.hidden_sessions[name]).slots:
            block = RtcpReceiverInfo(slot.ssrc, 255, 1000, 1, 90000, 0, 0)
            fir = slot.ssrc.to_bytes(4, "big") + bytes([7, 0, 0, 0])
            client.send_rtcp(
                RtcpRrPacket(1, [block]),
                RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=slot.ssrc),
                RtcpPsfbPacket(fmt=4, ssrc=1, media_ssrc=0, fci=fir),
                RtcpRtpfbPacket(
                    fmt=1, ssrc=1, media_ssrc=slot.ssrc, lost=[slot.sent & 0xFFFF, slot.sent + 300 & 0xFFFF]
                ),
                RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=pack_remb_fci(20_000, [slot.ssrc])),
            )
            self.extra_rtcp += 1

    async def leave(self, name: str) -> None:
        await self.room.close_session(self.hidden_sessions.pop(name))
        await self.hidden.pop(name).close()

    async def end(self) -> None:
        for client in [*self.people.values(), *self.hidden.values()]:
            await client.close()


async def curious_officers(call: Played, step: int) -> None:
    """One is there before everybody, one comes and goes, one has a wall and switches it."""
    wall: Any = getattr(call, "wall", None)
    match step:
        case -1:
            await call.watch("early")
        case 30:
            await call.watch("officer")
        case 45:
            call.wall_client = client = MediaClient(WALL)  # type: ignore[attr-defined]
            call.hidden["wall"] = client
            call.wall = call.node.open_wall("wall", client.offer())  # type: ignore[attr-defined]
            await client.connect(call.wall.answer.sdp)  # type: ignore[attr-defined]
            client.stop_checks()
            call.wall.watch(call.room)  # type: ignore[attr-defined]
            call.wall.show([call.room.call_id], None)  # type: ignore[attr-defined]
        case 60 | 110 | 140:
            wall.show([call.room.call_id], call.room.call_id)
        case 90 | 125:
            wall.show([], None)
        case 120:
            await call.leave("officer")
        case 150:
            await wall.close()
        case 170:
            await call.leave("early")
    if wall is not None and not wall.closed:
        wall.tick(call.clock.now)
    if step > 0 and step % 7 == 0:
        for name in call.hidden_sessions:
            await call.complain(name)


async def played(
    monkeypatch: pytest.MonkeyPatch, officers: Officers | None, rids: tuple[str, ...] = ()
) -> tuple[list[str], Heard]:
    """What the participants observe of one playing, one after the other."""
    monkeypatch.setattr("signaling.media.node._TICK", 3600.0)  # the test's steps are the clockwork
    clock = SteppedClock()
    monkeypatch.setattr(Peer, "call_later", lambda peer, delay, callback: clock.call_later(delay, callback))
    node = MediaNode("127.0.0.1", 0, transports=("udp",), clock=clock)
    await node.start()
    call = Played(node, clock, rids)
    try:
        await call.play(officers)
        lines = []
        for name, person in call.people.items():
            lines += [f"{name}: {line}" for line in person.observed()]
        sessions = {session: name for name, session in call.sessions.items()}
        lines += [
            f"told {sessions[session]}: {slots_told(slots)}"
            for session, slots in call.heard.slots.items()
            if session in sessions
        ]
        lines += [f"talked {who} {level}" for who, level in call.heard.talked]
        lines += [f"speaker {who}" for who in call.heard.speakers] + [f"line {line}" for line in call.heard.lines]
        assert (len(call.hidden) == 0) or officers is not None
        return lines, call.heard
    finally:
        await call.end()
        await node.stop()


def slots_told(slots: Sequence[Any]) -> str:
    return " ".join(f"{slot.mid}={slot.participant_id}" for slot in slots)


def difference(first: list[str], second: list[str]) -> str:
    return "\n".join(
        list(difflib.unified_diff(first, second, "without officers", "with officers", lineterm="", n=1))[:60]
    )


@pytest.mark.parametrize("rids", [(), ("q", "h", "f")])
async def test_nothing_that_participants_receive_tells_of_officers(
    monkeypatch: pytest.MonkeyPatch, rids: tuple[str, ...]
) -> None:
    without, _ = await played(monkeypatch, None, rids)
    with_officers, heard = await played(monkeypatch, curious_officers, rids)
    assert {"early", "officer"} <= {name for name, _ in heard.connected}, "the officers were there"
    assert difference(without, with_officers) == ""
    text = "\n".join(without)
    for kind in ("answer", "stun RESPONSE", "206/1:", "205/1:", "206/15:", "201/", "200/", "sequence +", "speaker"):
        assert kind in text, f"the comparison has nothing of {kind!r} to compare"
    assert ("answer a=simulcast:recv" in text) == bool(rids)


async def test_two_playings_without_officers_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = await played(monkeypatch, None)
    second, _ = await played(monkeypatch, None)
    assert difference(first, second) == ""


def forward_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that passes an officer's keyframe requests on."""

    def wanted(self: Feedback, ssrc: int, now: float) -> None:
        slot = self._slot(ssrc)
        if slot is not None and slot.track is not None:
            slot.track.request_keyframe(now)

    monkeypatch.setattr(Feedback, "_keyframe_wanted", wanted)


def count_officers_downlinks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that lets an officer's poor line slow the publishers down."""

    def downlinks(self: MediaRoom, peer: Any) -> list[int]:
        said = [other.feedback.downlink(self._transport.clock()) for other in self._peers.values() if other is not peer]
        return [bitrate for bitrate in said if bitrate is not None]

    monkeypatch.setattr(MediaRoom, "downlinks", downlinks)


def seat_officers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay in which an officer takes a place among the participants."""
    subscribe = OrdinaryMediaRoom.subscribe

    async def seated(self: OrdinaryMediaRoom, owner: str, offer: str) -> Any:
        answer = await subscribe(self, owner, offer)
        self._participants[owner] = self._peer(answer.session_id)
        self._sides[owner] = Side.GUEST
        self._arrange()
        return answer

    monkeypatch.setattr(OrdinaryMediaRoom, "subscribe", seated)


@pytest.mark.parametrize("leak", [forward_requests, count_officers_downlinks, seat_officers])
async def test_the_comparison_finds_a_relay_that_gives_officers_away(
    monkeypatch: pytest.MonkeyPatch, leak: Callable[[pytest.MonkeyPatch], None]
) -> None:
    leak(monkeypatch)
    without, _ = await played(monkeypatch, None)
    with_officers, _ = await played(monkeypatch, curious_officers)
    assert difference(without, with_officers) != ""
