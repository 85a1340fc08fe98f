"""DTLS-SRTP (RFC 5763, RFC 5764) by aiortc. The one file that reaches into aiortc's private parts.

aiortc's peer connection is made for an endpoint, not for a relay; its DTLS transport is used alone. What it needs of an
ICE transport is `role`, `_recv` and `_send`: `_DatagramPipe` has just these. After the handshake its SRTP sessions are
used directly, so that no packet of media passes through it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import structlog
from aiortc import rtcdtlstransport
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport

from signaling.media import native
from signaling.media.srtp import protector, unprotector

log = structlog.get_logger(__name__)

HANDSHAKE_TIMEOUT = 15.0  # seconds
_MAX_QUEUED = 64  # records; a handshake is a dozen

# Everything private that is used below, and on what: tests/unit/media/test_dtls.py checks each against the library.
MODULE_NAMES = ("SRTP_AEAD_AES_128_GCM", "SRTP_AEAD_AES_256_GCM", "SRTP_AES128_CM_SHA1_80", "SRTP_PROFILES")
TRANSPORT_NAMES = ("_set_role", "_srtp_profiles", "_rx_srtp", "_tx_srtp", "_ssl", "_task")
PIPE_NAMES = ("role", "_recv", "_send")


class DtlsFailed(Exception):
    """The handshake failed, took too long, or the certificate was not the one whose fingerprint was signalled."""


@dataclass(frozen=True, slots=True)
class Srtp:
    """The two SRTP sessions of a finished handshake (RFC 3711), as four functions from packet to packet.

    Each raises pylibsrtp.Error, or ValueError for a packet that is too long (1,500 bytes protected, 1,356 plain).
    """

    profile: str
    protect: Callable[[bytes], bytes]
    protect_rtcp: Callable[[bytes], bytes]
    unprotect: Callable[[bytes], bytes]
    unprotect_rtcp: Callable[[bytes], bytes]
    outgoing: Any = None  # the same for the packet path in C (native.cipher), or None
    incoming: Any = None


class Certificate:
    """A node's certificate: made at start, never written anywhere."""

    def __init__(self) -> None:
        self.own = RTCCertificate.generateCertificate()

    @property
    def fingerprint(self) -> tuple[str, str]:
        """Hash function and value of the SHA-256 fingerprint (RFC 8122 section 5)."""
        for fingerprint in self.own.getFingerprints():
            if fingerprint.algorithm == "sha-256":
                return fingerprint.algorithm, fingerprint.value
        raise RuntimeError("aiortc gives no sha-256 fingerprint")


class _DatagramPipe:
    """What RTCDtlsTransport takes for an ICE transport."""

    role = "controlled"

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._datagrams: asyncio.Queue[bytes | None] = asyncio.Queue(_MAX_QUEUED)
        self._transmit = send

    def feed(self, datagram: bytes | None) -> None:
        try:
            self._datagrams.put_nowait(datagram)
        except asyncio.QueueFull:
            pass  # DTLS repeats what it misses (RFC 6347 section 4.2.4)

    async def _recv(self) -> bytes:
        datagram = await self._datagrams.get()
        if datagram is None:
            raise ConnectionError("closed")
        return datagram

    async def _send(self, datagram: bytes) -> None:
        self._transmit(datagram)


class Dtls:
    """One session's DTLS association. `is_client` says who starts the handshake (RFC 5763 section 5)."""

    def __init__(
        self,
        certificate: Certificate,
        *,
        is_client: bool,
        fingerprints: Sequence[tuple[str, str]],
        send: Callable[[bytes], None],
        closed: Callable[[], None],
    ) -> None:
        """`fingerprints` (hash function, value) are the offer's: all whose hash is known must match.

        `send` sends one record's bytes; `closed` is called once if the other side ends the association later.
        """
        self._pipe = _DatagramPipe(send)
        self._closed = closed
        self._parameters = RTCDtlsParameters(
            fingerprints=[RTCDtlsFingerprint(algorithm=name, value=value) for name, value in fingerprints]
        )
        self._transport = RTCDtlsTransport(cast(Any, self._pipe), [certificate.own])
        self._transport._set_role("client" if is_client else "server")
        self._transport._srtp_profiles = preferred_profiles()
        self._established = False
        self._ended = False

    def feed(self, datagram: bytes) -> None:
        """One datagram of DTLS records; ignored while too many are waiting."""
        self._pipe.feed(datagram)

    async def handshake(self) -> Srtp:
        """Do the handshake and give the SRTP sessions; raises DtlsFailed."""
        try:
            async with asyncio.timeout(HANDSHAKE_TIMEOUT):
                await self._transport.start(self._parameters)
        except TimeoutError as error:
            raise DtlsFailed("no handshake in time") from error
        except (ConnectionError, ValueError) as error:
            raise DtlsFailed("the association ended during the handshake") from error
        if self._transport.state != "connected":
            raise DtlsFailed(f"handshake ended in state {self._transport.state}")
        self._established = True
        self._transport.on("statechange", self._state_changed)
        return self._sessions()

    def _sessions(self) -> Srtp:
        receive, transmit = self._transport._rx_srtp, self._transport._tx_srtp
        chosen = self._transport._ssl.get_selected_srtp_profile() if self._transport._ssl else b""
        return Srtp(
            profile=chosen.decode("ascii"),
            protect=protector(transmit),
            protect_rtcp=transmit.protect_rtcp,
            unprotect=unprotector(receive),
            unprotect_rtcp=receive.unprotect_rtcp,
            outgoing=native.cipher(transmit),
            incoming=native.cipher(receive),
        )

    def _state_changed(self) -> None:
        if self._transport.state == "closed" and not self._ended:
            self._ended = True
            self._closed()

    async def close(self) -> None:
        """End the association with an alert to the other side (RFC 5246 section 7.2.1). `closed` is not called."""
        self._ended = True
        self._pipe.feed(None)
        task = self._transport._task
        try:
            await self._transport.stop()
        except Exception:
            log.exception("dtls close failed")
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)


def preferred_profiles() -> list[rtcdtlstransport.SRTPProtectionProfile]:
    """The SRTP profiles this libsrtp can do, AEAD_AES_128_GCM (RFC 7714) first: the cheapest per packet."""
    order = [
        rtcdtlstransport.SRTP_AEAD_AES_128_GCM,
        rtcdtlstransport.SRTP_AEAD_AES_256_GCM,
        rtcdtlstransport.SRTP_AES128_CM_SHA1_80,
    ]
    return [profile for profile in order if profile in rtcdtlstransport.SRTP_PROFILES]
