"""One session: a client's transport, what it publishes and what it is sent."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import pylibsrtp
import structlog

from signaling.media.dtls import Certificate, Dtls, DtlsFailed, Srtp
from signaling.media.endpoint import UdpEndpoint
from signaling.media.feedback import Feedback
from signaling.media.forwarder import Forwarder
from signaling.media.ice import Address, Credentials, IceLite
from signaling.media.leg import Kind
from signaling.media.listener import PeerLost
from signaling.media.rtcp import is_rtcp
from signaling.media.rtp import ExtensionIds
from signaling.media.session import SlotInfo
from signaling.media.stats import RoomCounters
from signaling.media.track import Track

log = structlog.get_logger(__name__)

CONNECT_TIMEOUT = 30.0  # seconds from the answer to the end of the handshake
_MAX_EARLY = 64  # packets kept that overtook the end of the handshake; the first keyframe is among them
_MAX_SOURCES = 32  # new SSRCs one session may come with in its life


@dataclass(frozen=True, slots=True)
class Publication:
    """An m-line on which the client sends: what its packets look like."""

    kind: Kind
    mid: str
    codec: str
    payload_type: int
    clock_rate: int
    extensions: ExtensionIds
    feedback: tuple[str, ...]


class PeerOwner(Protocol):
    """The room, as its sessions see it."""

    live_counters: RoomCounters

    def peer_connected(self, peer: Peer) -> None:
        """The handshake is done."""
        ...

    def peer_lost(self, peer: Peer, why: PeerLost) -> None:
        """The session is over; said once."""
        ...

    def new_source(self, peer: Peer, publication: Publication, ssrc: int) -> Track:
        """The first packet of an SSRC has come; gives the track that it belongs to from now on."""
        ...

    def downlinks(self, peer: Peer) -> list[int]:
        """The bitrates (bit/s) that those who are sent this publisher's video say they can take, if they do."""
        ...


class Peer:
    """A session from its answer to its end. Times are seconds of the loop's monotonic `clock`.

    `hidden` sessions are officers': nothing that they do leads to a message to a publisher.
    """

    def __init__(
        self,
        *,
        session_id: str,
        owner_id: str,
        hidden: bool,
        room: PeerOwner,
        endpoint: UdpEndpoint,
        certificate: Certificate,
        credentials: Credentials,
        is_dtls_client: bool,
        fingerprints: Sequence[tuple[str, str]],
        publications: Sequence[Publication],
        clock: Callable[[], float],
    ) -> None:
        self.session_id = session_id
        self.owner_id = owner_id
        self.hidden = hidden
        self.slots: tuple[Forwarder, ...] = ()
        self.tracks: dict[int, Track] = {}
        self.etag = secrets.token_hex(8)
        self.connected = False
        self.closed = False
        self.profile = ""
        self.counters = room.live_counters
        self.room = room
        self._endpoint = endpoint
        self._clock = clock
        self._started = clock()
        self.ice = IceLite(credentials, self._started)
        self._publications = {publication.payload_type: publication for publication in publications}
        self._sources = 0
        self._early: list[tuple[bytes, float]] = []
        self._srtp: Srtp | None = None
        self._address: Address | None = None
        self._path = endpoint
        self._send_datagram = endpoint.send_datagram
        self._dtls = Dtls(
            certificate,
            is_client=is_dtls_client,
            fingerprints=fingerprints,
            send=self.transmit,
            closed=self._dtls_closed,
        )
        self._task: asyncio.Task[None] | None = None
        self.feedback = Feedback(self, self._started)
        endpoint.register(credentials.local_ufrag, self)

    # Life

    def _start_handshake(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._handshake(), name=f"dtls {self.session_id}")

    async def _handshake(self) -> None:
        try:
            srtp = await self._dtls.handshake()
        except DtlsFailed as error:
            log.warning("dtls failed", session_id=self.session_id, why=str(error))
            self.close(PeerLost.DTLS_FAILED)
            return
        if self.closed:
            return
        self._srtp = srtp
        self._protect = srtp.protect
        self._unprotect = srtp.unprotect
        self.profile = srtp.profile
        self.connected = True
        log.info("peer connected", session_id=self.session_id, profile=srtp.profile)
        for slot in self.slots:
            slot.open()
        self.room.peer_connected(self)
        early, self._early = self._early, []
        for datagram, arrival in early:
            self.on_media(datagram, arrival)

    def _dtls_closed(self) -> None:
        self.close(PeerLost.DTLS_CLOSED)

    def close(self, why: PeerLost) -> None:
        """End the session: its tracks, its slots, its transport. Only the first call has an effect."""
        if self.closed:
            return
        self.closed = True
        self.connected = False
        log.info("peer lost", session_id=self.session_id, why=why.value)
        for slot in self.slots:
            slot.attach(None)
        self._endpoint.unregister(self.ice.current.local_ufrag)
        if self.ice.previous is not None:
            self._endpoint.unregister(self.ice.previous.local_ufrag)
        for address in self.ice.addresses:
            self._endpoint.release_address(address, self)
        self.room.peer_lost(self, why)
        handshake = self._task if self._task is not asyncio.current_task() else None
        self._task = asyncio.get_running_loop().create_task(self._close_dtls(handshake), name=f"end {self.session_id}")

    async def _close_dtls(self, handshake: asyncio.Task[None] | None) -> None:
        if handshake is not None and not handshake.done():
            handshake.cancel()
            await asyncio.gather(handshake, return_exceptions=True)
        await self._dtls.close()

    async def wait_closed(self) -> None:
        """Wait until a closed session's last task has ended."""
        if self._task is not None and self._task is not asyncio.current_task():
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def ended(self) -> bool:
        """Whether the session is closed and its last task over."""
        return self.closed and (self._task is None or self._task.done())

    def restart_ice(self, remote_ufrag: str, remote_pwd: str) -> Credentials:
        """New credentials on both sides (RFC 8445 section 9); DTLS, SRTP and outgoing SSRCs stay."""
        if self.ice.previous is not None:
            self._endpoint.unregister(self.ice.previous.local_ufrag)
        credentials = self.ice.restart(remote_ufrag, remote_pwd)
        self._endpoint.register(credentials.local_ufrag, self)
        self.etag = secrets.token_hex(8)
        self.counters.ice_restarts += 1
        return credentials

    # What comes from the endpoint

    def generation(self, username: bytes) -> Credentials | None:
        """See `endpoint.Receiver`."""
        return self.ice.generation(username)

    def on_check(
        self, endpoint: UdpEndpoint, credentials: Credentials, address: Address, *, nominated: bool, now: float
    ) -> None:
        """See `endpoint.Receiver`."""
        previous = self.ice.previous
        for forgotten in self.ice.checked(credentials, address, nominated=nominated, now=now):
            endpoint.release_address(forgotten, self)
        endpoint.bind_address(address, self)
        if previous is not None and self.ice.previous is None:
            endpoint.unregister(previous.local_ufrag)
        if self.ice.selected != self._address:
            self._address = self.ice.selected
            self._path = endpoint
            self._send_datagram = endpoint.send_datagram
        if self._task is None:
            self._start_handshake()

    def on_dtls(self, datagram: bytes, now: float) -> None:
        """See `endpoint.Receiver`."""
        self._dtls.feed(datagram)

    def on_media(self, datagram: bytes, now: float) -> None:
        """See `endpoint.Receiver`."""
        if self._srtp is None or self.closed:
            if len(self._early) < _MAX_EARLY and not self.closed:
                self._early.append((datagram, now))
            else:
                self.counters.dropped_srtp += 1
            return
        if is_rtcp(datagram):
            self._on_srtcp(self._srtp, datagram, now)
            return
        try:
            packet = self._unprotect(datagram)
        except (pylibsrtp.Error, ValueError):
            self.counters.dropped_srtp += 1
            return
        self.ice.last_seen = now
        track = self.tracks.get(int.from_bytes(packet[8:12], "big"))
        if track is None:
            track = self._new_source(packet)
            if track is None:
                self.counters.dropped_unknown_track += 1
                return
        track.receive(packet, now)

    def _on_srtcp(self, srtp: Srtp, datagram: bytes, now: float) -> None:
        try:
            compound = srtp.unprotect_rtcp(datagram)
        except (pylibsrtp.Error, ValueError):
            self.counters.dropped_srtp += 1
            return
        self.ice.last_seen = now
        self.feedback.receive(compound, now)

    def owns_alive(self, address: Address, now: float) -> bool:
        """See `endpoint.Receiver`."""
        return not self.closed and address in self.ice.addresses and self.ice.is_alive(now)

    def _new_source(self, packet: bytes) -> Track | None:
        publication = self._publications.get(packet[1] & 0x7F)
        if publication is None or self._sources >= _MAX_SOURCES:
            return None
        self._sources += 1
        ssrc = int.from_bytes(packet[8:12], "big")
        for other, track in list(self.tracks.items()):
            if track.info.kind is publication.kind:  # one source per m-line: the newest
                del self.tracks[other]
        track = self.room.new_source(self, publication, ssrc)
        self.tracks[ssrc] = track
        return track

    # What goes out

    def send_rtp(self, packet: bytes) -> bytes | None:
        """See `forwarder.Outlet`."""
        address = self._address
        if address is None or not self.connected:
            return None
        try:
            wire = self._protect(packet)
        except ValueError:
            self.counters.dropped_oversize += 1
            return None
        except pylibsrtp.Error:
            self.counters.dropped_srtp += 1
            return None
        try:
            self._send_datagram(wire, address)
        except OSError:  # the kernel's buffer is full, or the way there is gone
            self.counters.dropped_send += 1
            return None
        return wire

    def send_sender_report(self, forwarder: Forwarder, ntp: int, rtp_timestamp: int) -> None:
        """See `forwarder.Outlet`."""
        self.feedback.send_sender_report(forwarder, ntp, rtp_timestamp)

    def starved(self, forwarder: Forwarder) -> None:
        """See `forwarder.Outlet`."""
        if not self.hidden and forwarder.track is not None:
            forwarder.track.request_keyframe(self._clock())

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        """See `forwarder.Outlet`."""
        asyncio.get_running_loop().call_later(delay, callback)

    def send_rtcp(self, compound: bytes) -> None:
        """Protect and send a compound RTCP packet; nothing happens before the handshake is done."""
        if self._srtp is None or self.closed:
            return
        try:
            wire = self._srtp.protect_rtcp(compound)
        except (pylibsrtp.Error, ValueError):
            self.counters.dropped_srtp += 1
            return
        self.transmit(wire)

    def transmit(self, datagram: bytes) -> None:
        """Send a datagram as it is: a DTLS record, or a packet that is protected already."""
        if self._address is not None:
            self._path.transmit(datagram, self._address)

    # Time

    def tick(self, now: float) -> None:
        """What time brings: the end of consent, reports to the publisher, whatever its tracks have due."""
        if not self.connected:
            if now - self._started > CONNECT_TIMEOUT:
                self.close(PeerLost.NEVER_CONNECTED)
            return
        if not self.ice.is_alive(now):
            self.close(PeerLost.CONSENT_EXPIRED)
            return
        for track in list(self.tracks.values()):
            track.tick(now)
        self.feedback.tick(now)

    def slot_infos(self) -> tuple[SlotInfo, ...]:
        """Who is in which slot."""
        return tuple(
            SlotInfo(
                mid=slot.mid,
                kind=slot.kind,
                index=slot.index,
                participant_id=slot.participant_id,
                track_id=slot.track.info.track_id if slot.track is not None else None,
            )
            for slot in self.slots
        )
