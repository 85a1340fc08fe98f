"""Two foreign WebRTC clients (aiortc's own peer connections) through the relay: real encoders, real decoders."""

from __future__ import annotations

import asyncio
import fractions
from collections.abc import AsyncIterator

import aioice.ice
import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack, VideoStreamTrack
from av import AudioFrame, VideoFrame

from signaling.media.leg import Side
from signaling.media.node import MediaNode
from signaling.media.router import MediaRoom
from tests.fixtures.waiting import eventually
from tests.integration.media.conftest import Call

WIDTH, HEIGHT = 320, 240
TONE = 440  # Hz


class Picture(VideoStreamTrack):
    """A plain picture of one brightness (0 to 255)."""

    def __init__(self, brightness: int) -> None:
        super().__init__()
        self._brightness = brightness

    async def recv(self) -> VideoFrame:
        pts, time_base = await self.next_timestamp()
        luma = np.full((HEIGHT, WIDTH), self._brightness, dtype=np.uint8)
        frame = VideoFrame.from_ndarray(
            np.vstack([luma, np.full((HEIGHT // 2, WIDTH), 128, np.uint8)]), format="yuv420p"
        )
        frame.pts, frame.time_base = pts, time_base
        return frame


class Tone(AudioStreamTrack):
    """A sine of 440 Hz."""

    def __init__(self) -> None:
        super().__init__()
        self._samples = 0
        self._start = 0.0

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        self._start = self._start or loop.time()
        await asyncio.sleep(max(0.0, self._start + self._samples / 48000 - loop.time()))
        when = (self._samples + np.arange(960)) / 48000
        wave = (np.sin(2 * np.pi * TONE * when) * 12000).astype(np.int16)
        frame = AudioFrame.from_ndarray(wave.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, self._samples, fractions.Fraction(1, 48000)
        self._samples += 960
        return frame


class Sink:
    """What one incoming track was decoded to."""

    def __init__(self, track: MediaStreamTrack) -> None:
        self.kind = track.kind
        self.pictures: list[tuple[int, int, float]] = []
        self.sound = np.zeros(0, dtype=np.float64)
        self._task = asyncio.get_running_loop().create_task(self._run(track))

    async def _run(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if isinstance(frame, VideoFrame):
                luma = frame.to_ndarray(format="gray")
                self.pictures.append((frame.width, frame.height, float(luma.mean())))
            elif isinstance(frame, AudioFrame):
                samples = frame.to_ndarray().reshape(-1, len(frame.layout.channels))[:, 0]
                self.sound = np.append(self.sound, samples.astype(np.float64))[-48000:]

    def stop(self) -> None:
        self._task.cancel()

    def loudness(self) -> float:
        """Root mean square of the last second."""
        return float(np.sqrt(np.mean(self.sound**2))) if len(self.sound) else 0.0

    def pitch(self) -> float:
        """The strongest frequency of the last half second, in Hz."""
        window = self.sound[-24000:]
        spectrum = np.abs(np.fft.rfft(window * np.hanning(len(window))))
        return float(np.argmax(spectrum) * 48000 / len(window))


class Person:
    """One aiortc peer connection that sends a picture and a tone, and decodes what comes."""

    def __init__(self, brightness: int | None) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.sinks: list[Sink] = []
        if brightness is None:
            self.connection.addTransceiver("video", direction="recvonly")
            self.connection.addTransceiver("video", direction="recvonly")
            self.connection.addTransceiver("audio", direction="recvonly")
        else:
            self.connection.addTrack(Tone())
            self.connection.addTrack(Picture(brightness))
        self.connection.on("track", lambda track: self.sinks.append(Sink(track)))

    async def offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return self.connection.localDescription.sdp

    async def answer(self, sdp: str) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    async def join(self, room: MediaRoom, name: str, side: Side) -> None:
        await self.answer((await room.publish(name, side, await self.offer())).sdp)

    def of_kind(self, kind: str) -> list[Sink]:
        return [sink for sink in self.sinks if sink.kind == kind]

    async def close(self) -> None:
        for sink in self.sinks:
            sink.stop()
        await self.connection.close()


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the foreign clients use the loopback, which aioice leaves out."""
    monkeypatch.setattr(aioice.ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


@pytest.fixture
async def people() -> AsyncIterator[list[Person]]:
    """People who leave when the test ends."""
    made: list[Person] = []
    yield made
    for person in made:
        await person.close()


async def test_both_see_and_hear_the_other_and_an_officer_sees_and_hears_both(
    call: Call, node: MediaNode, people: list[Person]
) -> None:
    family, prisoner = Person(60), Person(200)
    people += [family, prisoner]
    await family.join(call.room, "family", Side.FAMILY)
    await prisoner.join(call.room, "prisoner", Side.PRISONER)
    await eventually(lambda: call.room.counters().received > 60, "media at the relay")
    assert not [picture for person in people for sink in person.sinks for picture in sink.pictures]

    call.room.set_gate(True)
    for person, brightness in ((family, 200), (prisoner, 60)):
        await _sees(person, 0, brightness)
        sound = person.of_kind("audio")[0]
        await eventually(lambda sound=sound: len(sound.sound) >= 40000 and sound.loudness() > 3000, "the tone", 20)
        assert abs(sound.pitch() - TONE) < 5

    officer = Person(None)
    people.append(officer)
    await officer.answer((await call.ordinary.subscribe("officer", await officer.offer())).sdp)
    await _sees(officer, 0, 60)
    await _sees(officer, 1, 200)
    assert call.room.counters().dropped_srtp == 0
    assert node.stats().sessions == 3


async def _sees(person: Person, number: int, brightness: int) -> None:
    grey = (brightness - 16) * 255 / 219  # the decoder's video range as a full-range grey

    def shown() -> bool:
        pictures = person.of_kind("video")[number].pictures if len(person.of_kind("video")) > number else []
        return len(pictures) > 10 and abs(pictures[-1][2] - grey) < 5

    await eventually(shown, f"a picture of brightness {brightness}", 20)
    assert person.of_kind("video")[number].pictures[-1][:2] == (WIDTH, HEIGHT)
