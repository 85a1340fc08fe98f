"""People who cost nothing: a client of bare parts that sends a real, small picture and a real tone into a call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

import av
import numpy as np
from aiohttp import ClientSession, ClientWebSocketResponse
from aiortc.codecs.opus import OpusEncoder
from aiortc.codecs.vpx import Vp8Encoder, VpxPayloadDescriptor

from tests.fakes.media_client import PARTY, MediaClient

SIZE = (160, 120)
PICTURES_EVERY = 0.25  # seconds; each is a keyframe
VOICE_EVERY = 0.02
LINES = (*PARTY, ("audio", "recvonly"))


@cache
def _picture(hue: int) -> tuple[bytes, ...]:
    """A keyframe's VP8 payloads: a plane of one colour with a lighter middle."""
    plane = np.full((SIZE[1], SIZE[0], 3), (hue * 53 % 200, 90, 200 - hue * 31 % 180), np.uint8)
    plane[40:80, 60:100] += 40
    payloads, _ = Vp8Encoder().encode(av.VideoFrame.from_ndarray(plane, "rgb24"), force_keyframe=True)
    return tuple(payloads)


@cache
def _voice(pitch: int) -> tuple[bytes, ...]:
    """A second of a tone, in Opus packets of 20 ms."""
    encoder, packets = OpusEncoder(), []
    for number in range(50):
        times = np.arange(number * 960, (number + 1) * 960) / 48000
        samples = (8000 * np.sin(2 * np.pi * pitch * times)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(samples, 2)[None, :], "s16", "stereo")
        frame.sample_rate, frame.pts = 48000, number * 960
        packets += encoder.encode(frame)[0]
    return tuple(packets)


async def _perform(client: MediaClient, hue: int) -> None:
    """Send picture and voice until cancelled."""
    loop, voice = asyncio.get_running_loop(), _voice(300 + 40 * hue)
    start, pictures = loop.time(), 0
    for number in range(1 << 30):
        client.send_rtp("audio", voice[number % len(voice)], number * 960, level=20)
        if number * VOICE_EVERY >= pictures * PICTURES_EVERY:
            payloads = _picture(hue)
            for place, payload in enumerate(payloads):
                descriptor, rest = VpxPayloadDescriptor.parse(payload)
                descriptor.picture_id = pictures & 0x7FFF
                last = place == len(payloads) - 1
                timestamp = round(number * VOICE_EVERY * 90_000)
                client.send_rtp("video", bytes(descriptor) + rest, timestamp, marker=int(last))
            pictures += 1
        await asyncio.sleep(max(0.0, start + (number + 1) * VOICE_EVERY - loop.time()))


async def speak(client: MediaClient) -> None:
    """Send a tone until cancelled."""
    loop, voice = asyncio.get_running_loop(), _voice(440)
    start = loop.time()
    for number in range(1 << 30):
        client.send_rtp("audio", voice[number % len(voice)], number * 960, level=20)
        await asyncio.sleep(max(0.0, start + (number + 1) * VOICE_EVERY - loop.time()))


async def _read(socket: ClientWebSocketResponse) -> None:
    """Read what is said and do nothing with it: a channel that nobody reads answers no ping."""
    async for _ in socket:
        pass


@asynccontextmanager
async def puppet(base_url: str, call_id: str, ticket: str, hue: int = 0) -> AsyncIterator[MediaClient]:
    """Somebody in the call who sends a picture and a tone."""
    client = MediaClient(LINES, parse=False)
    headers = {"Authorization": f"Bearer {ticket}", "Content-Type": "application/sdp"}
    async with ClientSession() as http:
        socket = await http.ws_connect(f"{base_url}/media/channel")
        await socket.send_json({"type": "hello", "ticket": ticket})
        await socket.receive_json(timeout=60)
        url = f"{base_url}/media/whip/{call_id}"
        async with http.post(url, data=client.offer(), headers=headers) as response:
            assert response.status == 201, await response.text()
            answer = await response.text()
        await client.connect(answer)
        sending = asyncio.gather(_perform(client, hue), _read(socket))
        try:
            yield client
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending
            await client.close()
            await socket.close()
