"""An officer's wall: several calls in one session, one of them heard, and nobody in them the wiser."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiortc.rtp import RTCP_PSFB_PLI, RtcpPsfbPacket, RtcpRrPacket, RtcpRtpfbPacket, pack_remb_fci

from signaling.ids import OrdinaryCallId, new_id
from signaling.media import keyframes
from signaling.media.errors import RoomFull, VoiceTaken
from signaling.media.leg import Kind, Side
from signaling.media.listener import PeerLost
from signaling.media.node import MediaNode
from signaling.media.router import MAX_WATCHERS
from signaling.media.session import WallSlot
from signaling.media.wall import MediaWall
from tests.fakes.media_client import PARTY, MediaClient
from tests.fixtures.waiting import eventually
from tests.integration.media.conftest import Call, Heard, ListeningLeg
from tests.integration.media.test_call import gapless, send
from tests.integration.media.test_officer import Capture

WALL = (*[("video", "recvonly")] * 4, ("audio", "recvonly"), ("audio", "recvonly"), ("audio", "sendonly"))
WITH_TALK = (*PARTY, ("audio", "recvonly"))
BOTH = frozenset({Side.FAMILY, Side.PRISONER})


@dataclass
class Told:
    """A wall's listener that remembers."""

    connected: bool = False
    lost: list[PeerLost] = field(default_factory=list)
    slots: list[tuple[WallSlot, ...]] = field(default_factory=list)

    def wall_connected(self) -> None:
        self.connected = True

    def wall_lost(self, why: PeerLost) -> None:
        self.lost.append(why)

    def wall_slots(self, slots: tuple[WallSlot, ...]) -> None:
        self.slots.append(slots)


@dataclass
class Officer:
    """A wall with its client."""

    wall: MediaWall
    client: MediaClient
    told: Told

    def mids(self, call: Call, kind: Kind = Kind.VIDEO) -> dict[str, str]:
        """Which slots show whom of a call."""
        return {
            str(one.slot.participant_id): one.slot.mid
            for one in self.wall.slots()
            if one.call_id == call.room.call_id and one.slot.kind is kind
        }

    def payloads(self, mid: str) -> list[bytes]:
        """What came on an m-line."""
        return [packet.payload for packet in self.client.received.rtp if packet.extensions.mid == mid]


async def new_call(node: MediaNode) -> Call:
    call = Call(node.open_room(OrdinaryCallId(new_id("call"))), Heard())
    call.room.listener = call.heard
    return call


@pytest.fixture
async def calls(node: MediaNode) -> AsyncIterator[list[Call]]:
    """Three calls of two, live."""
    made = [await new_call(node) for _ in range(3)]
    for number, call in enumerate(made):
        for side in (Side.FAMILY, Side.PRISONER):
            await call.join(f"{side.value}-{number}", side, WITH_TALK)
        call.room.set_gate(True)
    yield made
    for call in made:
        for client in call.clients:
            await client.close()


@pytest.fixture
async def officer(node: MediaNode) -> AsyncIterator[Officer]:
    client = MediaClient(WALL)
    wall = node.open_wall("officer", client.offer())
    wall.listener = told = Told()
    await client.connect(wall.answer.sdp)
    await eventually(lambda: told.connected, "the wall connects")
    yield Officer(wall, client, told)
    await client.close()


def ids(*calls: Call) -> list[OrdinaryCallId]:
    return [call.ordinary.call_id for call in calls]  # type: ignore[misc]


async def test_tiles_share_one_session_and_switching_changes_no_ssrc(calls: list[Call], officer: Officer) -> None:
    first, second, third = calls
    for call in calls:
        officer.wall.watch(call.ordinary)
    officer.wall.show(ids(first, second), None)
    for call in calls:
        for client in call.clients:
            send(client, 0, 5, key_at=0)
    await eventually(lambda: len(officer.client.received.of_kind("video")) == 20, "four pictures of two calls")
    assert not officer.client.received.of_kind("audio")  # no focus, no sound
    ssrcs = {packet.extensions.mid: packet.ssrc for packet in officer.client.received.rtp}
    assert len(set(ssrcs.values())) == 4
    stays = officer.mids(second)
    gone = officer.mids(first)

    officer.wall.show(ids(second, third), first.ordinary.call_id)  # type: ignore[arg-type]
    assert officer.mids(second) == stays
    assert set(officer.mids(third).values()) == set(gone.values())
    assert officer.mids(first) == {}
    await eventually(lambda: len(officer.client.received.of_kind("video")) == 30, "the third call from its cache")
    for call in calls:
        for client in call.clients:
            send(client, 5, 5)
    await eventually(lambda: len(officer.client.received.of_kind("video")) == 50, "both calls go on")
    await eventually(lambda: len(officer.client.received.of_kind("audio")) == 10, "the sound of the focus, only")
    assert {one.slot.participant_id for one in officer.wall.slots() if one.slot.kind is Kind.AUDIO} == {
        "family-0",
        "prisoner-0",
    }
    for mid, ssrc in ssrcs.items():
        packets = [packet for packet in officer.client.received.rtp if packet.extensions.mid == mid]
        assert {packet.ssrc for packet in packets} == {ssrc}
        assert gapless([packet.sequence_number for packet in packets])
        assert all(
            0 < (after.timestamp - before.timestamp) & 0xFFFFFFFF < 1 << 31
            for before, after in itertools.pairwise(packets)
        )


async def test_a_held_and_an_ended_call_free_their_slots(calls: list[Call], officer: Officer, node: MediaNode) -> None:
    first, second, _ = calls
    for call in calls:
        officer.wall.watch(call.ordinary)
    officer.wall.show(ids(*calls), first.ordinary.call_id)  # type: ignore[arg-type]
    assert len(officer.mids(first)) == len(officer.mids(second)) == 2
    first.room.set_gate(False)
    assert officer.mids(first) == officer.mids(first, Kind.AUDIO) == {}
    assert len(officer.mids(calls[2])) == 2  # who waited for a slot has one now
    node.close_room(second.room.call_id)
    assert officer.mids(second) == {}
    first.room.set_gate(True)
    assert len(officer.mids(first)) == len(officer.mids(first, Kind.AUDIO)) == 2
    assert officer.told.lost == []


async def test_a_wall_that_is_lost_lets_go_of_every_call(calls: list[Call], officer: Officer, node: MediaNode) -> None:
    for call in calls:
        officer.wall.watch(call.ordinary)
    officer.wall.show(ids(*calls), None)
    sessions = node.stats().sessions
    await officer.wall.close()
    assert officer.told.lost == [PeerLost.CLOSED]
    assert node.stats().sessions == sessions - 1
    for call in calls:
        assert call.ordinary._viewers == []
        assert all(track._slots for track in call.room._tracks.values()) or not call.room._tracks
    for call in calls:
        for client in call.clients:
            send(client, 0, 5, key_at=0)
        await eventually(lambda call=call: call.room.counters().forwarded_participants == 20, "the calls go on")
        assert call.room.counters().forwarded_officers == 0


async def test_a_privileged_call_cannot_be_put_on_a_wall(privileged_call: Call, officer: Officer) -> None:
    for name in ("add_viewer", "talk_slots", "voice_began", "leg_outputs"):
        assert not hasattr(privileged_call.room, name)
    with pytest.raises(TypeError):
        officer.wall.watch(privileged_call.room)  # type: ignore[arg-type]
    officer.wall.show([privileged_call.room.call_id], privileged_call.room.call_id)  # type: ignore[list-item, arg-type]
    lawyer = await privileged_call.join("lawyer", Side.GUEST)
    prisoner = await privileged_call.join("prisoner", Side.PRISONER)
    privileged_call.room.set_gate(True)
    send(lawyer, 0, 20, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == 40, "the call")
    with pytest.raises(KeyError):
        officer.wall.speak(privileged_call.room.call_id, BOTH)  # type: ignore[arg-type]
    assert officer.client.received.rtp == []
    assert privileged_call.room.counters().forwarded_officers == 0


async def test_watchers_are_counted_whatever_they_watch_with(calls: list[Call], node: MediaNode) -> None:
    room = calls[0].ordinary
    walls = []
    for number in range(MAX_WATCHERS):
        client = MediaClient(WALL)
        calls[0].clients.append(client)
        walls.append(node.open_wall(f"officer-{number}", client.offer()))
        walls[-1].watch(room)
    client = MediaClient(WALL)
    calls[0].clients.append(client)
    one_more = node.open_wall("one more", client.offer())
    with pytest.raises(RoomFull):
        one_more.watch(room)
    walls[0].unwatch(room.call_id)  # type: ignore[arg-type]
    one_more.watch(room)


async def test_participants_cannot_observe_a_wall(
    calls: list[Call], officer: Officer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyframes, "REFRESH", 3600.0)  # on a slow machine the rhythm would add a request of its own
    call = calls[0]
    family, prisoner = call.clients
    send(family, 0, 20, key_at=0)
    send(prisoner, 0, 20, key_at=0)
    await eventually(lambda: len(prisoner.received.rtp) == len(family.received.rtp) == 40, "the call")
    slots = {client: call.room.slots(call.sessions[client]) for client in call.clients}
    told, counters = dict(call.heard.slots), call.room.counters()
    captures = [Capture(family), Capture(prisoner)]

    officer.wall.watch(call.ordinary)
    officer.wall.show(ids(call), call.ordinary.call_id)  # type: ignore[arg-type]
    await eventually(lambda: len(officer.client.received.of_kind("video")) == 40, "the pictures from the cache")
    video = officer.client.received.of_kind("video")[0]
    for _ in range(3):
        officer.client.send_rtcp(
            RtcpRrPacket(1),
            RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=video.ssrc),
            RtcpRtpfbPacket(fmt=1, ssrc=1, media_ssrc=video.ssrc, lost=[video.sequence_number]),
            RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=pack_remb_fci(30_000, [video.ssrc])),
        )
    officer.wall.show([], None)
    officer.wall.show(ids(call), None)
    await asyncio.sleep(0.6)  # at least one round of reports to the publishers
    officer.wall.unwatch(call.ordinary.call_id)  # type: ignore[arg-type]
    send(family, 20, 20)
    send(prisoner, 20, 20)
    await eventually(lambda: len(prisoner.received.rtp) == len(family.received.rtp) == 80, "the call goes on")
    after = call.room.counters()
    assert (after.pli_sent, after.nack_sent) == (counters.pli_sent, counters.nack_sent)
    for capture in captures:
        assert capture.kinds() <= {("RtcpRrPacket", 0), ("RtcpSdesPacket", 0), ("RtcpPsfbPacket", 15)}
    for client in call.clients:
        assert call.room.slots(call.sessions[client]) == slots[client]
        assert call.heard.slots[call.sessions[client]] == told[call.sessions[client]]
        assert len({packet.ssrc for packet in client.received.rtp}) == 2
        rembs = [item for item in client.received.rtcp if getattr(item, "fmt", 0) == 15]
        assert all(item.fci[4:8] == rembs[0].fci[4:8] for item in rembs)


def say(officer: Officer, first: int, count: int) -> None:
    for number in range(first, first + count):
        officer.client.send_rtp("audio", b"officer %d" % number, number * 960, level=20)


def heard(client: MediaClient) -> list[bytes]:
    """What came on the spare line."""
    return [packet.payload for packet in client.received.rtp if packet.extensions.mid == "2"]


async def test_an_officer_is_heard_by_whom_he_speaks_to_and_by_the_recorder(
    calls: list[Call], officer: Officer
) -> None:
    call, other = calls[0], calls[1]
    family, prisoner = call.clients
    leg, elsewhere = ListeningLeg("recorder"), ListeningLeg("recorder")
    call.ordinary.add_leg(leg)
    other.ordinary.add_leg(elsewhere)
    officer.wall.watch(call.ordinary)
    officer.wall.watch(other.ordinary)
    voice = officer.wall.voice
    say(officer, 0, 5)  # nobody: he has not begun
    await eventually(lambda: voice._counters.dropped_gate == 5, "the voice at the relay")
    assert officer.wall.speak(call.ordinary.call_id, BOTH) == ("family-0", "prisoner-0")  # type: ignore[arg-type]
    say(officer, 5, 5)
    words = [b"officer %d" % number for number in range(5, 10)]
    await eventually(lambda: heard(family) == heard(prisoner) == words, "barge-in to both")

    assert officer.wall.speak(call.ordinary.call_id, frozenset({Side.PRISONER})) == ("prisoner-0",)  # type: ignore[arg-type]
    call.room.set_gate(False)  # a hold is for speaking to people
    say(officer, 10, 5)
    await eventually(lambda: len(heard(prisoner)) == 10, "a whisper")
    officer.wall.hush()
    say(officer, 15, 5)
    await eventually(lambda: voice._counters.dropped_gate == 10, "the voice at the relay")
    assert len(heard(prisoner)) == 10
    assert heard(family) == words
    assert gapless([packet.sequence_number for packet in prisoner.received.rtp if packet.extensions.mid == "2"])
    voices = [track for track in leg.added if track.side is Side.OFFICER]
    assert len({track.track_id for track in voices}) == 2  # each time is a track of its own
    assert {track.participant_id for track in voices} == {"officer"}
    assert {track.call_id for track in voices} == {call.room.call_id}
    assert [track.track_id for track in voices] == leg.removed
    assert sum(track.side is Side.OFFICER for track, _, _ in leg.rtp) == 10
    assert elsewhere.added == elsewhere.rtp == []
    assert heard(other.clients[0]) == []


async def test_one_officer_speaks_at_a_time_and_is_silent_when_he_goes(
    calls: list[Call], officer: Officer, node: MediaNode
) -> None:
    call = calls[0]
    call_id = call.ordinary.call_id
    client = MediaClient(WALL)
    call.clients.append(client)
    other = node.open_wall("other", client.offer())
    other.watch(call.ordinary)
    officer.wall.watch(call.ordinary)
    officer.wall.speak(call_id, BOTH)  # type: ignore[arg-type]
    with pytest.raises(VoiceTaken):
        other.speak(call_id, BOTH)  # type: ignore[arg-type]
    late = await call.join("guest", Side.GUEST, WITH_TALK)
    again = await call.join("family-0", Side.FAMILY, WITH_TALK)  # a rejoin while he speaks
    say(officer, 0, 5)
    await eventually(lambda: len(heard(again)) == 5, "he is heard by who came back")
    assert heard(late) == []  # no side that he speaks to
    await officer.wall.close()
    assert call.ordinary.voice is None
    other.speak(call_id, BOTH)  # type: ignore[arg-type]


async def test_the_spare_line_is_no_participants_place(calls: list[Call]) -> None:
    call = calls[0]
    for client in call.clients:
        slots = call.room.slots(call.sessions[client])
        assert [(slot.kind, slot.index) for slot in slots] == [(Kind.AUDIO, 0), (Kind.VIDEO, 0), (Kind.AUDIO, -1)]
        assert slots[-1].participant_id is None
    plain = await call.join("guest", Side.GUEST)
    assert len(call.room.slots(call.sessions[plain])) == 2
    assert [name for name, _ in call.ordinary.talk_slots(frozenset(Side))] == ["family-0", "prisoner-0"]
