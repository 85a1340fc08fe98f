"""The process of server.Floor: receive, decrypt, write an SSRC, encrypt, send, and nothing else.

What these libraries cost in plain Python when the relay itself does nothing: one socket, ICE-lite, aiortc's DTLS,
pylibsrtp, each packet to everybody else in the call. No RTCP, no loss, no state.

    python -m tests.support.load.floor_process ADDRESS
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import sys
from typing import Any

import uvloop
from aioice import stun
from aiortc.rtcdtlstransport import SRTP_AEAD_AES_128_GCM, RTCCertificate, RTCDtlsParameters, RTCDtlsTransport
from aiortc.sdp import SessionDescription

from tests.support.load.lines import answer_lines

Address = tuple[str, int]


class _Session:
    """One connection; the ICE transport that RTCDtlsTransport is given."""

    role = "controlled"

    def __init__(self, floor: FloorProcess, call: int, sends: bool, offer: str) -> None:
        self.call = call
        self.sends = sends
        self.ready = False
        self.address: Address | None = None
        self.datagrams: asyncio.Queue[bytes] = asyncio.Queue()
        self.ufrag, self.pwd = secrets.token_hex(4), secrets.token_hex(12)
        self.remote = SessionDescription.parse(offer).media
        self.dtls = RTCDtlsTransport(self, [floor.certificate])  # type: ignore[arg-type]
        self.dtls._set_role("server")
        self.dtls._srtp_profiles = [SRTP_AEAD_AES_128_GCM]
        self._floor = floor
        self._task: asyncio.Task[None] | None = None

    async def _recv(self) -> bytes:
        return await self.datagrams.get()

    async def _send(self, datagram: bytes) -> None:
        if self.address is not None:
            self._floor.socket.sendto(datagram, self.address)

    def checked(self, address: Address) -> None:
        """A check has come from there."""
        self.address = address
        if self._task is None:
            self._task = asyncio.create_task(self._handshake())

    async def _handshake(self) -> None:
        dtls = self.remote[0].dtls
        assert dtls is not None
        await self.dtls.start(RTCDtlsParameters(fingerprints=dtls.fingerprints))
        self._floor.connected(self)


class FloorProcess:
    """One socket, some calls."""

    def __init__(self, host: str) -> None:
        self.certificate = RTCCertificate.generateCertificate()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.socket.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
        self.socket.bind((host, 0))
        self._sessions: dict[str, _Session] = {}
        self._by_address: dict[Address, _Session] = {}
        self._targets: dict[Address, tuple[Any, list[tuple[Any, Address]]]] = {}
        self.sent = 0

    async def do(self, command: dict[str, Any]) -> dict[str, Any]:
        """One command."""
        if command["do"] in ("publish", "watch"):
            session = _Session(self, command["call"], command["do"] == "publish", command["offer"])
            self._sessions[session.ufrag] = session
            return {"sdp": self._answer(session)}
        return {"forwarded": self.sent}

    def _answer(self, session: _Session) -> str:
        host, port = self.socket.getsockname()
        prints = self.certificate.getFingerprints()
        fingerprint = next(item.value for item in prints if item.algorithm == "sha-256")
        mids = " ".join(line.rtp.muxId for line in session.remote)
        text = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=ice-lite", f"a=group:BUNDLE {mids}"]
        for line in session.remote:
            text += [
                f"m={line.kind} 9 UDP/TLS/RTP/SAVPF {line.fmt[0]}",
                "c=IN IP4 0.0.0.0",
                f"a=mid:{line.rtp.muxId}",
                f"a=ice-ufrag:{session.ufrag}",
                f"a=ice-pwd:{session.pwd}",
                f"a=candidate:1 1 udp 2130706431 {host} {port} typ host",
                f"a=fingerprint:sha-256 {fingerprint}",
                "a=setup:passive",
                "a=rtcp-mux",
            ]
        return "\r\n".join(text) + "\r\n"

    def connected(self, session: _Session) -> None:
        """Its keys are there: it gets what others of its call send, and they get its."""
        session.ready = True
        call = [other for other in self._sessions.values() if other.call == session.call and other.ready]
        for sender in call:
            if sender.sends and sender.address is not None:
                others = [(other.dtls._tx_srtp.protect, other.address) for other in call if other is not sender]
                self._targets[sender.address] = (sender.dtls._rx_srtp.unprotect, others)  # type: ignore[assignment]

    def readable(self) -> None:
        """Everything that there is to do."""
        for _ in range(256):
            try:
                data, address = self.socket.recvfrom(2048)
            except BlockingIOError:
                return
            if data[0] < 64:
                self._other(data, address)
                continue
            if 192 <= data[1] <= 223:
                continue
            target = self._targets.get(address)
            if target is None:
                continue
            unprotect, others = target
            packet = unprotect(data)
            head, ssrc, rest = packet[:8], bytes([packet[8] ^ 0x80]), packet[9:]
            for protect, other in others:
                self.socket.sendto(protect(head + ssrc + rest), other)
                self.sent += 1

    def _other(self, data: bytes, address: Address) -> None:
        if data[0] > 3:
            session = self._by_address.get(address)
            if session is not None:
                session.datagrams.put_nowait(data)
            return
        message = stun.parse_message(data)
        session = self._sessions.get(message.attributes.get("USERNAME", "").partition(":")[0])
        if session is None or message.message_class is not stun.Class.REQUEST:
            return
        response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, message.transaction_id)
        response.attributes["XOR-MAPPED-ADDRESS"] = address
        response.add_message_integrity(session.pwd.encode())
        self.socket.sendto(bytes(response), address)
        self._by_address[address] = session
        session.checked(address)


async def serve(host: str) -> None:
    """Run until stdin ends."""
    floor = FloorProcess(host)
    asyncio.get_running_loop().add_reader(floor.socket, floor.readable)
    await answer_lines(floor.do)


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
