"""What a party sends: Opus at 50 packets a second, VP8 640 x 480 at 30 frames a second and about 600 kbit/s.

Real media (scene.py), encoded once and sent over and over, the same to every server: one that decodes has as much to do
as with people, and one that forwards gets the sizes that an encoder makes.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache

import av
from aiortc.codecs.vpx import Vp8Encoder, VpxPayloadDescriptor

from tests.support.load.engine import STAMP, Packet, Timetable
from tests.support.load.scene import FPS, RATE, pictures, sound

BITRATE = 600_000  # bit/s of the picture
_VOICE_BITRATE = 32_000  # bit/s: 80 bytes a packet
_CYCLE = 4  # seconds; each begins with a keyframe
_SETTLED = FPS  # frames after which the encoder's rate control has found its way
_MOST = 1170  # bytes of a VP8 payload, as Chromium's packets have at most
_PACING = 2.5 * BITRATE  # bit/s: as fast as Chromium's pacer sends a frame's packets
_OVERHEAD = 12 + 16 + 16 + 28  # bytes that the pacer counts, too: RTP with extensions, tag, UDP and IPv4


@cache
def voice(*, stamped: bool = True) -> Timetable:
    """20 ms of Opus a packet, 32 kbit/s."""
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.bit_rate, encoder.sample_rate, encoder.format, encoder.layout = _VOICE_BITRATE, RATE, "s16", "mono"
    encoder.options = {"application": "voip", "vbr": "off"}
    samples = sound(_CYCLE)
    packets: list[Packet] = []
    for start in range(0, samples.shape[1], 960):
        frame = av.AudioFrame.from_ndarray(samples[:, start : start + 960], "s16", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        for payload in map(bytes, encoder.encode(frame)):
            number = len(packets)
            packets.append(Packet(number / 50, number * 960, payload, marker=False, stamped=stamped))
    return _checked(Timetable(packets, len(packets) / 50, RATE))


@cache
def picture(*, stamped: bool = True) -> Timetable:
    """VP8 with Chromium's payload descriptor (RFC 7741: 15 bits of picture ID), one keyframe at the start of a cycle.

    A frame's packets are of the same size, but for rounding, and as far apart as Chromium's pacer sends them.
    """
    packets: list[Packet] = []
    free = 0.0
    for number, frame in enumerate(_frames(_CYCLE * FPS)):
        parts = -(-len(frame) // _MOST)
        for part in range(parts):
            content = frame[len(frame) * part // parts : len(frame) * (part + 1) // parts]
            payload = bytes((0x90 if part == 0 else 0x80, 0x80, 0x80, 0)) + content
            at = max(free, number / FPS)
            free = at + (len(payload) + _OVERHEAD) * 8 / _PACING
            packets.append(Packet(at, number * 3000, payload, part == parts - 1, stamped, picture=number))
    return _checked(Timetable(packets, float(_CYCLE), 90_000, _CYCLE * FPS))


def _frames(count: int) -> Iterator[bytes]:
    """Encoded frames, the first one a keyframe."""
    encoder = Vp8Encoder()
    encoder.target_bitrate = BITRATE
    for number, image in enumerate(pictures(_SETTLED + count)):
        frame = av.VideoFrame.from_ndarray(image, "yuv420p")
        frame.pts, frame.time_base = number * 3000, Fraction(1, 90_000)
        payloads, _ = encoder.encode(frame, force_keyframe=number == _SETTLED)
        if number >= _SETTLED:
            yield b"".join(VpxPayloadDescriptor.parse(payload)[1] for payload in payloads)


def _checked(timetable: Timetable) -> Timetable:
    """Every packet has room for a stamp behind what a relay looks at."""
    assert min(len(packet.payload) for packet in timetable.packets) >= STAMP + 16
    return timetable


def per_second(*timetables: Timetable) -> float:
    """Packets a second of a sender of these."""
    return sum(len(timetable.packets) / timetable.cycle for timetable in timetables)
