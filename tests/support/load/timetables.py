"""What a party sends: Opus at 50 packets a second, VP8 640 x 480 at 30 frames a second and about 600 kbit/s."""

from __future__ import annotations

from tests.support.load.engine import Packet, Timetable

AUDIO_RATE = 50  # packets a second
VIDEO_RATE = 75  # packets a second: 30 frames of two or three
PER_PARTY = AUDIO_RATE + VIDEO_RATE
_AUDIO_SIZE = 80
_VIDEO_SIZE = 1000
_CYCLE = 4.0  # seconds; each begins with a keyframe
_PACING = 0.005  # seconds between a frame's packets, as Chromium's pacer sends them at 2.5 times this bitrate


def voice() -> Timetable:
    """20 ms of Opus a packet, 32 kbit/s."""
    packets = [Packet(number / AUDIO_RATE, number * 960, bytes(_AUDIO_SIZE)) for number in range(AUDIO_RATE)]
    return Timetable(packets, 1.0, 48000)


def picture() -> Timetable:
    """Frames of two and three packets in turn, with a VP8 payload descriptor (RFC 7741) and a keyframe every cycle."""
    packets = []
    frames = round(_CYCLE * 30)
    for frame in range(frames):
        count = 3 if frame % 2 else 2
        for part in range(count):
            descriptor = bytes([0x90 if part == 0 else 0x80, 0x80, 0x80, 0])
            head = b""
            if part == 0:
                head = b"\x10\x02\x00\x9d\x01\x2a\x80\x02\xe0\x01" if frame == 0 else b"\x11\x02\x00"
            payload = descriptor + head.ljust(_VIDEO_SIZE, b"\x55")
            at = frame / 30 + part * _PACING
            packets.append(Packet(at, frame * 3000, payload, part == count - 1, picture=frame))
    return Timetable(packets, _CYCLE, 90000, frames)
