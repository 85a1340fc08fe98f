"""Write the first inputs of every target: python -m tests.fuzz.seeds (what is there already is left alone)."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable

from aioice import stun as stun_library
from aiortc.rtcdtlstransport import RTCCertificate
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpByePacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
    RtpPacket,
    pack_remb_fci,
)

from tests.e2e.support.browser import chromium
from tests.fakes.media_client import OFFICER, PARTY, extensions_map, make_offer, vp8
from tests.fuzz.known import CREDENTIALS, issued
from tests.fuzz.targets import TARGETS
from tests.integration.attack.junk import alerts, client_hello

FINGERPRINT = ":".join(["AB"] * 32)
_CHROMIUM_OFFER = """async () => {
  const pc = new RTCPeerConnection({bundlePolicy: "max-bundle"});
  const stream = await navigator.mediaDevices.getUserMedia({audio: true, video: true});
  for (const track of stream.getTracks())
    pc.addTransceiver(track, {direction: "sendrecv", streams: [stream],
      sendEncodings: track.kind === "video" ? [{rid: "l", scaleResolutionDownBy: 4}, {rid: "h"}] : [{}]});
  for (const kind of ["audio", "video"]) pc.addTransceiver(kind, {direction: "recvonly"});
  pc.createDataChannel("x");
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
}"""


def checks() -> list[bytes]:
    """Connectivity checks, good ones too, and other STUN messages."""
    made = []
    for username, key, role, nominate in (
        (CREDENTIALS.username.decode(), CREDENTIALS.local_pwd, "ICE-CONTROLLING", True),
        (CREDENTIALS.username.decode(), CREDENTIALS.local_pwd, "ICE-CONTROLLING", False),
        (CREDENTIALS.username.decode(), CREDENTIALS.local_pwd, "ICE-CONTROLLED", False),
        (CREDENTIALS.username.decode(), "another", "ICE-CONTROLLING", True),
        ("nobody:atall", "another", "ICE-CONTROLLING", True),
    ):
        request = stun_library.Message(stun_library.Method.BINDING, stun_library.Class.REQUEST, b"transaction1")
        request.attributes["USERNAME"] = username
        request.attributes["PRIORITY"] = 1
        request.attributes[role] = 1
        if nominate:
            request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(key.encode())
        made.append(bytes(request))
    for kind in (stun_library.Class.REQUEST, stun_library.Class.RESPONSE, stun_library.Class.INDICATION):
        made.append(bytes(stun_library.Message(stun_library.Method.BINDING, kind, b"transaction1")))
    return made


def media() -> list[bytes]:
    """RTP as a browser's encoder makes it."""
    extensions = extensions_map()
    made = []
    for number, payload in enumerate((b"opus" * 20, vp8(0, key=True), vp8(1, key=False), b"")):
        packet = RtpPacket(payload_type=111 if number == 0 else 96, marker=1, sequence_number=65534 + number & 0xFFFF)
        packet.ssrc, packet.timestamp, packet.payload = 0x01020304, number * 960, payload
        packet.extensions.mid = "0"
        packet.extensions.abs_send_time = 4711
        if number == 0:
            packet.extensions.audio_level = (True, 30)
        made.append(packet.serialize(extensions))
    made.append(b"\xa0\x6f" + made[0][2:12] + b"sound" + b"\0\0\0\4")  # padding
    made.append(b"\x92\x6f" + made[0][2:12] + bytes(8) + b"\x10\0\0\1" + b"\x10\1\2\0" + b"csrc and two-byte")
    return made


def retransmissions() -> list[bytes]:
    """RTX of the above (RFC 4588), and padding."""
    made = []
    for packet in media()[:3]:
        start = 12 + 4 + 4 * struct.unpack_from("!H", packet, 14)[0]
        made.append(packet[:1] + b"\x61\x00\x07" + packet[4:start] + packet[2:4] + packet[start:])
    made.append(b"\xa0\x61" + made[0][2:12] + bytes(254) + b"\xff")
    return made


def descriptors() -> list[bytes]:
    """VP8 payloads with every sort of descriptor, after three bytes of offsets."""
    offsets = b"\x12\x34\x56"
    frame = b"\x10\x02\x00\x9d\x01\x2a\x80\x02\xe0\x01"
    return [
        offsets + descriptor + frame
        for descriptor in (
            b"\x10",
            b"\x90\x80\x11",
            b"\x90\x80\x91\x22",
            b"\x90\xc0\x91\x22\x07",
            b"\x90\xf0\x91\x22\x07\x20",
            b"\x80\xf0\x11\x07\x20",
            b"\x90\x60\x07\x20",
        )
    ] + [offsets + b"\x90\x80", offsets + b"\x90"]


def reports() -> list[bytes]:
    """RTCP compounds: reports, keyframe requests, NACK, REMB, goodbye."""
    block = RtcpReceiverInfo(ssrc=5, fraction_lost=1, packets_lost=2, highest_sequence=3, jitter=4, lsr=5, dlsr=6)
    sender = RtcpSrPacket(
        ssrc=1, sender_info=RtcpSenderInfo(ntp_timestamp=1 << 40, rtp_timestamp=2, packet_count=3, octet_count=4)
    )
    sender.reports = [block]
    name = RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc=1, items=[(1, b"cname")])])
    receiver = RtcpRrPacket(ssrc=1, reports=[block])
    parts: list[tuple[object, ...]] = [
        (sender, name),
        (receiver, name),
        (receiver, RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=5)),
        (receiver, RtcpPsfbPacket(fmt=RTCP_PSFB_FIR, ssrc=1, media_ssrc=0, fci=b"\0\0\0\5\1\0\0\0")),
        (receiver, RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=pack_remb_fci(500_000, [5, 6]))),
        (RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=1, media_ssrc=5, lost=[1, 2, 5, 40, 65535]),),
        (RtcpByePacket(sources=[1]),),
    ]
    return [b"".join(bytes(part) for part in group) for group in parts]  # type: ignore[call-overload]


def streams() -> list[bytes]:
    """Datagrams as the demultiplexer's target wants them: a byte of address, two of length."""
    good, hello = checks()[0], client_hello()
    said = [
        (0, good),
        (3, good),
        (0, hello),
        (0, media()[0]),
        (0, reports()[0]),
        (1, media()[0]),
        (1, checks()[3]),
        (0, alerts()[0]),
    ]
    whole = b"".join(struct.pack("!BH", source, len(datagram)) + datagram for source, datagram in said)
    return [whole, whole[: len(whole) // 2], *(struct.pack("!BH", 2, len(one)) + one for one in checks())]


def frames() -> list[bytes]:
    """RFC 4571 streams after two bytes that say how they are cut."""
    stream = b"".join(struct.pack("!H", len(one)) + one for one in (checks()[0], media()[0], b"", reports()[0]))
    return [b"\x05\x40" + stream, b"\x00\x00" + stream[:90], b"\x10\x10\xff\xff" + stream, b"\x01\x60\x00\x00" * 8]


def messages() -> list[bytes]:
    """What a channel's client says."""
    return [
        b'{"type":"hello","ticket":"a.b.c"}',
        b'{"type":"hello","ticket":"a.b.c","call_id":"call_aaaaaaaaaaaaaaaaaaaaaaaaaa"}',
        b'{"type":"ping","t":12.5}',
        b'{"type":"device","microphone":"on","camera":"missing"}',
        b'{"type":"quality","rtt_ms":12,"loss":0.1,"kbit_in":500,"kbit_out":500,"width":640,"height":480}',
        b'{"type":"quality","loss":1e400}',
        b"[" * 2000,
        b'{"type":"ping","t":NaN}',
        b'{"type":"ping","type":"hello","t":"\\ud800"}',
    ]


def tokens() -> list[bytes]:
    """Tickets of every kind as they come, and their claims to be signed anew."""
    import base64

    made = []
    for number, token in enumerate(issued()):
        claims = token.split(".")[1]
        kind = (0, 1, 1, 2, 3)[number]
        made += [
            b"\0" + token.encode(),
            bytes([128 + kind]) + base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)),
        ]
    return [*made, b"\0a.b.c", b"\0" + b"." * 40, b"\x81{}", b"\x82[]"]


async def offers() -> list[bytes]:
    """Offers of the tests' client and of Chromium with everything it has."""
    certificate = RTCCertificate.generateCertificate()
    made = [make_offer(certificate, lines, fingerprint=FINGERPRINT) for lines in (PARTY, OFFICER)]
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto("chrome://version")
        made.append(await page.evaluate(_CHROMIUM_OFFER))
    return [text.encode() for text in made]


def fragments() -> list[bytes]:
    """A trickle and a restart (RFC 8840)."""
    head = b"a=ice-ufrag:remo\r\na=ice-pwd:remotepassword0123456789\r\n"
    line = b"m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
    candidate = b"a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host\r\na=end-of-candidates\r\n"
    return [head, head + line + candidate, line + head + candidate]


def write(target: str, inputs: Iterable[bytes]) -> None:
    """Keep inputs as seed-NN, unless they are there."""
    folder = TARGETS[target].folder
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(inputs):
        path = folder / f"seed-{number:02d}"
        if not path.exists():
            path.write_bytes(data)


def main() -> None:
    write("stun", checks())
    write("rtp", media())
    write("rtx", [*retransmissions(), *media()])
    write("vp8", descriptors())
    write("rtcp", reports())
    write("demultiplexer", streams())
    write("framing", frames())
    write("message", messages())
    write("ticket", tokens())
    write("fragment", fragments())
    write("offer", asyncio.run(offers()))


if __name__ == "__main__":
    main()
