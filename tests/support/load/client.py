"""A WebRTC client for load: ICE and DTLS in Python, then its socket and keys are the core's.

It plays the full ICE agent against an ICE-lite server (RFC 8445): one check with USE-CANDIDATE, repeated every 2.5 s.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aioice import stun
from aiortc import rtcdtlstransport
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsParameters, RTCDtlsTransport
from aiortc.sdp import SessionDescription

from tests.support.load.engine import MASTER, RTX_TYPE, VIDEO_TYPE, Engine, Timetable

AUDIO_TYPE = 111
LEVEL_ID, TIME_ID, MID_ID = 1, 2, 4
_EXTENSIONS = {
    LEVEL_ID: "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    TIME_ID: "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    MID_ID: "urn:ietf:params:rtp-hdrext:sdes:mid",
}
_KEEP_ALIVE = 2.5  # seconds, as Chromium

PARTY = (("audio", "sendrecv"), ("video", "sendrecv"))
SENDER = (("audio", "sendonly"), ("video", "sendonly"))
OFFICER = (("video", "recvonly"), ("video", "recvonly"), ("audio", "recvonly"), ("audio", "recvonly"))


class _Pipe:
    """The ICE transport that RTCDtlsTransport is given."""

    role = "controlling"

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self.datagrams: asyncio.Queue[bytes] = asyncio.Queue()
        self._transmit = send

    async def _recv(self) -> bytes:
        return await self.datagrams.get()

    async def _send(self, data: bytes) -> None:
        self._transmit(data)


@dataclass
class _Stream:
    kind: str
    ssrc: int
    rate: int
    number: int
    octets: int = 0


@dataclass
class LoadClient:
    """One connection. `host` is the address it sends from; a free port is taken. `remb`: what it can take, bit/s."""

    host: str
    certificate: RTCCertificate
    remb: int
    ufrag: str = field(default_factory=lambda: secrets.token_hex(4))
    pwd: str = field(default_factory=lambda: secrets.token_hex(12))

    def __post_init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((self.host, 0))
        self.ssrc = {"audio": secrets.randbits(31), "video": secrets.randbits(31)}
        self.dtls: RTCDtlsTransport | None = None
        self._pipe = _Pipe(self._transmit)
        self._server = ("", 0)
        self._user = ""
        self._key = b""
        self._responses: dict[bytes, asyncio.Future[stun.Message]] = {}
        self._kept_at = 0.0
        self._reads = False
        self._number = -1
        self._streams: list[_Stream] = []

    # Session descriptions

    def offer(self, lines: Sequence[tuple[str, str]]) -> str:
        """An offer with m-lines of (kind, direction), as Chromium's would be but for codecs that nobody uses here."""
        described = [(kind, direction, str(number)) for number, (kind, direction) in enumerate(lines)]
        return self._description(described, "actpass")

    def answer(self, offer: str) -> str:
        """The receive-only answer to a server's offer; this side starts the handshake."""
        media = SessionDescription.parse(offer).media
        return self._description([(line.kind, "recvonly", line.rtp.muxId) for line in media], "active")

    def _description(self, lines: Sequence[tuple[str, str, str]], setup: str) -> str:
        prints = self.certificate.getFingerprints()
        fingerprint = next(item.value for item in prints if item.algorithm == "sha-256")
        text = ["v=0", f"o=- {secrets.randbits(62)} 2 IN IP4 127.0.0.1", "s=-", "t=0 0"]
        text.append(f"a=group:BUNDLE {' '.join(mid for _, _, mid in lines)}")
        for kind, direction, mid in lines:
            types = str(AUDIO_TYPE) if kind == "audio" else f"{VIDEO_TYPE} {RTX_TYPE}"
            text += [
                f"m={kind} 9 UDP/TLS/RTP/SAVPF {types}",
                "c=IN IP4 0.0.0.0",
                "a=rtcp:9 IN IP4 0.0.0.0",
                f"a=ice-ufrag:{self.ufrag}",
                f"a=ice-pwd:{self.pwd}",
                f"a=candidate:1 1 udp 2122260223 {self.host} {self.socket.getsockname()[1]} typ host",
                "a=end-of-candidates",
                f"a=fingerprint:sha-256 {fingerprint}",
                f"a=setup:{setup}",
                f"a=mid:{mid}",
                *(f"a=extmap:{number} {uri}" for number, uri in _EXTENSIONS.items() if kind == "audio" or number > 1),
                f"a={direction}",
                "a=rtcp-mux",
            ]
            if kind == "audio":
                text += [f"a=rtpmap:{AUDIO_TYPE} opus/48000/2", f"a=fmtp:{AUDIO_TYPE} minptime=10;useinbandfec=1"]
            else:
                text.append(f"a=rtpmap:{VIDEO_TYPE} VP8/90000")
                text += [f"a=rtcp-fb:{VIDEO_TYPE} {name}" for name in ("goog-remb", "ccm fir", "nack", "nack pli")]
                text += [f"a=rtpmap:{RTX_TYPE} rtx/90000", f"a=fmtp:{RTX_TYPE} apt={VIDEO_TYPE}"]
            if direction.startswith("send"):
                text += [f"a=ssrc:{self.ssrc[kind]} cname:load", f"a=msid:load {kind}"]
        return "\r\n".join(text) + "\r\n"

    # Connecting

    async def connect(self, remote: str) -> None:
        """Check, nominate and shake hands with the server that `remote` (its SDP) describes. Raises ConnectionError."""
        line = SessionDescription.parse(remote).media[0]
        assert line.ice is not None and line.ice.usernameFragment and line.ice.password and line.dtls is not None
        candidate = next(item for item in line.ice_candidates if item.protocol.lower() == "udp" and "." in item.ip)
        self._server = (candidate.ip, candidate.port)
        self._user = f"{line.ice.usernameFragment}:{self.ufrag}"
        self._key = line.ice.password.encode()
        self.socket.connect(self._server)
        asyncio.get_running_loop().add_reader(self.socket, self._readable)
        self._reads = True
        await self._check()
        transport = RTCDtlsTransport(self._pipe, [self.certificate])  # type: ignore[arg-type]
        transport._set_role("server" if line.dtls.role == "client" else "client")
        transport._srtp_profiles = [rtcdtlstransport.SRTP_AEAD_AES_128_GCM]
        self.dtls = transport
        checks = asyncio.create_task(self._keep_checking())
        try:
            await asyncio.wait_for(transport.start(RTCDtlsParameters(fingerprints=line.dtls.fingerprints)), 30)
        finally:
            checks.cancel()
        if transport.state != "connected":
            raise ConnectionError(f"DTLS ended {transport.state}")

    async def _check(self) -> None:
        for _ in range(20):
            request = self._binding_request()
            future: asyncio.Future[stun.Message] = asyncio.get_running_loop().create_future()
            self._responses[request[8:20]] = future
            self._transmit(request)
            try:
                answer = await asyncio.wait_for(future, 0.5)
            except TimeoutError:
                continue
            if answer.message_class is stun.Class.RESPONSE:
                return
        raise ConnectionError("the server answers no check")

    async def _keep_checking(self) -> None:
        while True:
            await asyncio.sleep(0.25)
            self._transmit(self._binding_request())

    def _answer_check(self, request: stun.Message) -> None:
        """libnice checks the other way, too, even where it says that it is lite, and waits for an answer."""
        response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, request.transaction_id)
        response.attributes["XOR-MAPPED-ADDRESS"] = self._server
        response.add_message_integrity(self.pwd.encode())
        self._transmit(bytes(response))

    def _binding_request(self) -> bytes:
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = self._user
        request.attributes["PRIORITY"] = 1853824767
        request.attributes["ICE-CONTROLLING"] = 1
        request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity(self._key)
        self._kept_at = time.monotonic()
        return bytes(request)

    def _readable(self) -> None:
        while True:
            try:
                data = self.socket.recv(2048)
            except OSError:
                return
            if data and data[0] < 4:
                message = stun.parse_message(data)
                if message.message_class is stun.Class.REQUEST:
                    self._answer_check(message)
                future = self._responses.pop(message.transaction_id, None)
                if future is not None and not future.done():
                    future.set_result(message)
            elif data and data[0] < 64:
                self._pipe.datagrams.put_nowait(data)

    def _transmit(self, datagram: bytes) -> None:
        try:
            self.socket.send(datagram)
        except OSError:
            pass

    def keep_alive(self, now: float) -> None:
        """Send a check if one is due."""
        if now - self._kept_at >= _KEEP_ALIVE:
            self._transmit(self._binding_request())

    # Load

    def hand_over(self, engine: Engine) -> None:
        """Give the socket to the core."""
        asyncio.get_running_loop().remove_reader(self.socket)
        self._reads = False
        self._number = engine.add_socket(self.socket.fileno(), self._masters()[1])

    def _masters(self) -> tuple[bytes, bytes]:
        """This side's master key with salt, and the server's (RFC 5764 section 4.2)."""
        assert self.dtls is not None and self.dtls._ssl is not None
        exported = self.dtls._ssl.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * MASTER)
        client, server = exported[:16] + exported[32:44], exported[16:32] + exported[44:56]
        return (client, server) if self.dtls._role == "client" else (server, client)

    def add_stream(self, engine: Engine, number: int, kind: str, timetable: Timetable, *, extended: bool = True) -> int:
        """Let the core send a timetable as this client's audio or video; `number` goes into the stamps."""
        extension, time_at = self._extension(kind) if extended else (b"", -1)
        made = engine.add_stream(
            self._number,
            number,
            ssrc=self.ssrc[kind],
            payload_type=AUDIO_TYPE if kind == "audio" else VIDEO_TYPE,
            sequence=secrets.randbits(14),
            timestamp=secrets.randbits(32),
            master=self._masters()[0],
            extension=extension,
            time_at=time_at,
            timetable=timetable,
        )
        self._streams.append(_Stream(kind, self.ssrc[kind], timetable.rate, made))
        return made

    def _extension(self, kind: str) -> tuple[bytes, int]:
        """The header extension block (RFC 8285): mid, audio level, abs-send-time; and where the last one's value is."""
        block = bytes([MID_ID << 4]) + (b"0" if kind == "audio" else b"1")
        if kind == "audio":
            block += bytes([LEVEL_ID << 4, 0x80 | 30])
        block += bytes([TIME_ID << 4 | 2])
        time_at = 4 + len(block)
        block += bytes(3)
        block += bytes(-len(block) % 4)
        return struct.pack("!HH", 0xBEDE, len(block) // 4) + block, time_at

    def report(self, engine: Engine) -> None:
        """Send this second's RTCP: sender reports of what is sent, a report and REMB about what is received."""
        assert self.dtls is not None
        wall = time.time() + 2208988800
        blocks = [
            struct.pack("!LBBHLLLL", ssrc, 0, 0, 0, highest, 100, 0, 0)
            for ssrc, highest in engine.sources(self._number)[:31]
        ]
        own = self._streams[0].ssrc if self._streams else self.ssrc["video"]
        compound = b""
        for stream in self._streams:
            count, timestamp = engine.clock(stream.number, stream.rate)
            ntp = (int(wall), int(wall % 1 * 2**32))
            compound += struct.pack("!BBHLLLLLL", 0x80, 200, 6, stream.ssrc, *ntp, timestamp, count, count * 500)
        if blocks:
            compound += struct.pack("!BBHL", 0x80 | len(blocks), 201, 1 + 6 * len(blocks), own) + b"".join(blocks)
            sources = [ssrc for ssrc, _ in engine.sources(self._number)[:31]]
            exponent = max(0, self.remb.bit_length() - 18)
            mantissa = self.remb >> exponent
            remb = (
                b"REMB" + bytes([len(sources), exponent << 2 | mantissa >> 16]) + struct.pack("!H", mantissa & 0xFFFF)
            )
            remb += b"".join(struct.pack("!L", ssrc) for ssrc in sources)
            compound += struct.pack("!BBHLL", 0x80 | 15, 206, 2 + len(remb) // 4, own, 0) + remb
        if compound:
            self._transmit(self.dtls._tx_srtp.protect_rtcp(compound))

    async def close(self) -> None:
        """Leave with an alert, and close the socket."""
        if self.dtls is not None:
            task: Any = self.dtls._task
            await self.dtls.stop()
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._reads:
            asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()
