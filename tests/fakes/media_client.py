"""A WebRTC client made of bare parts, for tests and load: it sees and makes every single packet.

It offers, checks (ICE), shakes hands (DTLS by aiortc) and then sends and receives RTP and RTCP that the test writes.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pylibsrtp
from aioice import stun
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensionsMap, RtcpPacket, RtpPacket
from aiortc.sdp import SessionDescription

AUDIO_PT = 111
VIDEO_PT = 96
MID_ID, LEVEL_ID, TIME_ID = 4, 1, 2
_EXTENSIONS = {
    MID_ID: "urn:ietf:params:rtp-hdrext:sdes:mid",
    LEVEL_ID: "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    TIME_ID: "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
}


def extensions_map() -> HeaderExtensionsMap:
    """The header extensions as this client negotiates them."""
    extensions = HeaderExtensionsMap()
    extensions.configure(
        RTCRtpParameters(
            headerExtensions=[
                RTCRtpHeaderExtensionParameters(id=number, uri=uri) for number, uri in _EXTENSIONS.items()
            ]
        )
    )
    return extensions


def make_offer(
    certificate: RTCCertificate,
    lines: Sequence[tuple[str, str]],
    *,
    ufrag: str = "clnt",
    pwd: str = "client-password-0123456789".replace("-", "x"),
    setup: str = "actpass",
    fingerprint: str | None = None,
) -> str:
    """An offer with m-lines of (kind, direction), whose mids are 0, 1, 2 and so on."""
    value = next(item.value for item in certificate.getFingerprints() if item.algorithm == "sha-256")
    mids = " ".join(str(number) for number in range(len(lines)))
    text = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE {mids}"]
    for number, (kind, direction) in enumerate(lines):
        payload_type = AUDIO_PT if kind == "audio" else VIDEO_PT
        text += [
            f"m={kind} 9 UDP/TLS/RTP/SAVPF {payload_type}",
            "c=IN IP4 0.0.0.0",
            f"a=mid:{number}",
            f"a={direction}",
            f"a=ice-ufrag:{ufrag}",
            f"a=ice-pwd:{pwd}",
            f"a=fingerprint:sha-256 {fingerprint or value}",
            f"a=setup:{setup}",
            "a=rtcp-mux",
            *(f"a=extmap:{identifier} {uri}" for identifier, uri in _EXTENSIONS.items()),
        ]
        if kind == "audio":
            text += [f"a=rtpmap:{AUDIO_PT} opus/48000/2", f"a=fmtp:{AUDIO_PT} minptime=10;useinbandfec=1"]
        else:
            text.append(f"a=rtpmap:{VIDEO_PT} VP8/90000")
            text += [f"a=rtcp-fb:{VIDEO_PT} {name}" for name in ("nack", "nack pli", "ccm fir", "goog-remb")]
    return "\r\n".join(text) + "\r\n"


PARTY = (("audio", "sendrecv"), ("video", "sendrecv"))
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
class Received:
    """What has come to a client's socket, taken apart."""

    datagrams: int = 0
    rtp: list[RtpPacket] = field(default_factory=list)
    rtcp: list[Any] = field(default_factory=list)
    rtcp_compounds: int = 0

    def of_kind(self, kind: str) -> list[RtpPacket]:
        """The RTP packets of one kind, in the order they came."""
        payload_type = AUDIO_PT if kind == "audio" else VIDEO_PT
        return [packet for packet in self.rtp if packet.payload_type == payload_type]


class MediaClient:
    """One session of a client. `connect` does ICE and DTLS; everything that comes in is put into `received`."""

    def __init__(
        self,
        lines: Sequence[tuple[str, str]] = PARTY,
        *,
        parse: bool = True,
        host: str = "127.0.0.1",
        transport: str = "udp",
    ) -> None:
        """Without `parse`, media is only counted, not decrypted: for load. `host` is where it sends from.

        `transport` is "udp" or "tcp" (RFC 6544, framed by RFC 4571).
        """
        self.host = host
        self.transport = transport
        self._incoming: dict[socket.socket, bytearray] = {}
        self.certificate = RTCCertificate.generateCertificate()
        self.lines = lines
        self.ufrag = secrets.token_hex(4)
        self.pwd = secrets.token_hex(12)
        self.received = Received()
        self.ssrc = {"audio": secrets.randbits(31), "video": secrets.randbits(31)}
        self.sequence = {"audio": secrets.randbits(15), "video": secrets.randbits(15)}
        self.extensions = extensions_map()
        self.dtls: RTCDtlsTransport | None = None
        self.server: tuple[str, int] = ("", 0)
        self.hung_up = False
        self.candidates: list[tuple[str, str, int]] = []
        self._old: list[socket.socket] = []
        self._servers: dict[socket.socket, tuple[str, int]] = {}
        self.replayed = 0
        self.local_ufrag = self.local_pwd = ""
        self._parse = parse
        self._early: list[bytes] = []
        self._responses: dict[bytes, asyncio.Future[stun.Message]] = {}
        self._keepalive: asyncio.Task[None] | None = None
        self._open_socket()

    def _open_socket(self) -> None:
        """A socket on `host`; over TCP it is connected once the answer has said where to."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        kind = socket.SOCK_STREAM if self.transport == "tcp" else socket.SOCK_DGRAM
        self.socket = socket.socket(family, kind)
        if self.transport == "udp":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((self.host, 0))
        self._incoming[self.socket] = bytearray()
        if self.transport == "tcp":
            if not self.server[0]:
                return
            self.socket.settimeout(10)
            self.socket.connect(self.server)
        self.socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self.socket, self._readable, self.socket)

    def offer(self, **changes: Any) -> str:
        """This client's offer."""
        return make_offer(self.certificate, self.lines, **{"ufrag": self.ufrag, "pwd": self.pwd, **changes})

    def take_answer(self, answer: str) -> SessionDescription:
        """Read the answer's ICE parameters and candidate."""
        description = SessionDescription.parse(answer)
        media = description.media[0]
        assert media.ice is not None and media.ice.usernameFragment and media.ice.password
        self.local_ufrag, self.local_pwd = media.ice.usernameFragment, media.ice.password
        self.candidates = [(item.protocol, item.ip, item.port) for item in media.ice_candidates]
        self.server = self._server_for(self.host, self.transport)
        if self.transport == "tcp":
            self.socket.close()
            self._open_socket()
        return description

    async def connect(self, answer: str, *, fingerprint: str | None = None) -> None:
        """Check, nominate, shake hands; raises ConnectionError if that fails."""
        description = self.take_answer(answer)
        await self.check(nominate=True)
        self.keep_alive()
        dtls = description.media[0].dtls
        assert dtls is not None
        pipe = _Pipe(self.transmit)
        self.pipe = pipe
        transport = RTCDtlsTransport(pipe, [self.certificate])  # type: ignore[arg-type]
        transport._set_role("client" if dtls.role == "server" else "server")
        self.dtls = transport
        fingerprints = dtls.fingerprints
        if fingerprint is not None:
            fingerprints = [RTCDtlsFingerprint("sha-256", fingerprint)]
        await asyncio.wait_for(transport.start(RTCDtlsParameters(fingerprints=fingerprints)), 30)
        if transport.state != "connected":
            raise ConnectionError(f"DTLS ended {transport.state}")
        self._take_early()

    def keep_alive(self) -> None:
        """Send a check every 2.5 s from now on, as Chromium does."""
        if self._keepalive is None:
            self._keepalive = asyncio.get_running_loop().create_task(self._keep_alive())

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(2.5)
            self.transmit(self.binding_request(nominate=True))

    def stop_checks(self) -> None:
        """Send no more checks."""
        if self._keepalive is not None:
            self._keepalive.cancel()

    def binding_request(self, *, nominate: bool, key: str | None = None, username: str | None = None) -> bytes:
        """A connectivity check (RFC 8445 section 7.1)."""
        request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
        request.attributes["USERNAME"] = username or f"{self.local_ufrag}:{self.ufrag}"
        request.attributes["PRIORITY"] = 1
        request.attributes["ICE-CONTROLLING"] = 1
        if nominate:
            request.attributes["USE-CANDIDATE"] = None
        request.add_message_integrity((key or self.local_pwd).encode())
        return bytes(request)

    async def check(self, *, nominate: bool, timeout: float = 30, over: socket.socket | None = None) -> stun.Message:
        """Send one check and wait for its response."""
        request = self.binding_request(nominate=nominate)
        future: asyncio.Future[stun.Message] = asyncio.get_running_loop().create_future()
        self._responses[request[8:20]] = future
        self.transmit(request, over)
        return await asyncio.wait_for(future, timeout)

    def _server_for(self, host: str, transport: str) -> tuple[str, int]:
        """The first of the server's addresses that can be reached from `host` by `transport`."""
        return next(
            (ip, port)
            for protocol, ip, port in self.candidates
            if protocol == transport and (":" in ip) == (":" in host)
        )

    async def migrate(self, host: str, transport: str = "udp", timeout: float = 30) -> None:
        """Change to another path as browsers do: the old one is used, and listened to, until the new one is proved."""
        old, server = self.socket, self.server
        self.host, self.transport, self.server = host, transport, self._server_for(host, transport)
        self._servers.setdefault(old, server)
        self._old.append(old)
        self._open_socket()
        self.socket, new = old, self.socket
        self._servers[new] = self.server
        await self.check(nominate=True, timeout=timeout, over=new)
        self.socket = new

    def move(self, host: str | None = None, server: tuple[str, int] | None = None) -> None:
        """Change the network: another local port, perhaps of another address, the old one closed.

        `server` is another of its addresses, where the new network cannot reach the one used before.
        """
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()
        self.host, self.server = host or self.host, server or self.server
        self._open_socket()

    def transmit(self, datagram: bytes, over: socket.socket | None = None) -> None:
        """Send bytes as they are (over TCP: in a frame), by another socket than the present one if that is given."""
        way = over or self.socket
        if way.type == socket.SOCK_STREAM:
            way.sendall(len(datagram).to_bytes(2, "big") + datagram)
        else:
            way.sendto(datagram, self._servers.get(way, self.server))

    def send_rtp(
        self,
        kind: str,
        payload: bytes,
        timestamp: int,
        *,
        marker: int = 1,
        level: int | None = None,
        send_time: int | None = None,
        skip: bool = False,
    ) -> RtpPacket:
        """Send one packet with the next sequence number (`skip`: take the number and send nothing)."""
        packet = RtpPacket(
            payload_type=AUDIO_PT if kind == "audio" else VIDEO_PT,
            marker=marker,
            sequence_number=self.sequence[kind],
            timestamp=timestamp,
            ssrc=self.ssrc[kind],
            payload=payload,
        )
        self.sequence[kind] = (self.sequence[kind] + 1) & 0xFFFF
        packet.extensions.mid = "0" if kind == "audio" else "1"
        if level is not None:
            packet.extensions.audio_level = (True, level)
        if send_time is not None:
            packet.extensions.abs_send_time = send_time
        if not skip:
            self.resend(packet)
        return packet

    def resend(self, packet: RtpPacket) -> None:
        """Protect and send a packet."""
        self.send_protected(packet.serialize(self.extensions))

    def send_protected(self, packet: bytes) -> None:
        """Protect and send a plain RTP packet's bytes."""
        assert self.dtls is not None
        self.transmit(self.dtls._tx_srtp.protect(packet))

    def send_rtcp(self, *packets: Any) -> None:
        """Protect and send a compound RTCP packet."""
        assert self.dtls is not None
        self.transmit(self.dtls._tx_srtp.protect_rtcp(b"".join(bytes(packet) for packet in packets)))

    def _readable(self, way: socket.socket) -> None:
        for _ in range(512):
            try:
                data = way.recv(2048)
            except (BlockingIOError, InterruptedError, ConnectionRefusedError):
                return
            except ConnectionResetError:
                data = b""
            if way.type == socket.SOCK_DGRAM:
                self._on_datagram(data)
                continue
            if not data:
                self.hung_up = True
                asyncio.get_running_loop().remove_reader(way)
                return
            buffer = self._incoming[way]
            buffer += data
            while len(buffer) >= 2:
                end = 2 + int.from_bytes(buffer[:2], "big")
                if len(buffer) < end:
                    break
                datagram = bytes(buffer[2:end])
                del buffer[:end]
                self._on_datagram(datagram)

    def _on_datagram(self, data: bytes) -> None:
        self.received.datagrams += 1
        if data and data[0] < 4:
            self._on_stun(data)
        elif data and data[0] < 64:
            self.pipe.datagrams.put_nowait(data)
        elif self._parse:
            self._on_media(data)

    def _on_stun(self, data: bytes) -> None:
        message = stun.parse_message(data)
        future = self._responses.pop(message.transaction_id, None)
        if future is not None and not future.done():
            future.set_result(message)

    def _on_media(self, data: bytes) -> None:
        session = self.dtls._rx_srtp if self.dtls is not None else None
        if session is None:  # the server was ready first
            self._early.append(data)
            return
        self._take_early()  # the session is there before `connect` goes on: what came first is first
        self._on_packet(session, data)

    def _take_early(self) -> None:
        early, self._early = self._early, []
        for data in early:
            assert self.dtls is not None
            self._on_packet(self.dtls._rx_srtp, data)

    def _on_packet(self, session: pylibsrtp.Session, data: bytes) -> None:
        if 192 <= data[1] <= 223:
            self.received.rtcp_compounds += 1
            self.received.rtcp += RtcpPacket.parse(session.unprotect_rtcp(data))
            return
        try:
            packet = session.unprotect(data)
        except pylibsrtp.Error as error:
            if "replay" not in str(error):
                raise
            self.replayed += 1
            return
        self.received.rtp.append(RtpPacket.parse(packet, self.extensions))

    async def close(self) -> None:
        """Leave."""
        tasks: list[asyncio.Future[None]] = []
        if self._keepalive is not None:
            self._keepalive.cancel()
            tasks.append(self._keepalive)
        if self.dtls is not None:
            task = self.dtls._task
            await self.dtls.stop()
            if task is not None:
                tasks.append(task)
        await asyncio.gather(*tasks, return_exceptions=True)
        for way in (*self._old, self.socket):
            if way.fileno() >= 0:
                asyncio.get_running_loop().remove_reader(way)
                way.close()


# VP8 payloads (RFC 7741): a descriptor with a 15-bit picture ID, then the frame's first byte.


def vp8(picture: int, *, key: bool, start: bool = True, size: int = 200) -> bytes:
    """A payload of `size` bytes after the descriptor, that is or is not the start of a keyframe."""
    descriptor = bytes([0x80 | (0x10 if start else 0), 0x80, 0x80 | picture >> 8 & 0x7F, picture & 0xFF])
    body = (b"\x10\x02\x00\x9d\x01\x2a\x80\x02\xe0\x01" if key else b"\x11\x02\x00") if start else b""
    return descriptor + body.ljust(size, b"\x55")
