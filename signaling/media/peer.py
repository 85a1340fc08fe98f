"""One session: a client's transport, what it publishes and what it is sent."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Protocol

import pylibsrtp
import structlog

from signaling.media import native
from signaling.media.demux import Demultiplexer
from signaling.media.dtls import Certificate, Dtls, DtlsFailed, Srtp
from signaling.media.feedback import Feedback
from signaling.media.forwarder import Forwarder
from signaling.media.ice import Credentials, IceLite
from signaling.media.listener import Direction, LineState, PeerLost
from signaling.media.path import Address, Path
from signaling.media.publication import Publication as Publication
from signaling.media.rtcp import is_rtcp
from signaling.media.session import SlotInfo
from signaling.media.sources import Sources
from signaling.media.stats import RoomCounters
from signaling.media.track import Track

log = structlog.get_logger(__name__)

CONNECT_TIMEOUT = 30.0  # seconds from the answer to the end of the handshake
_MAX_EARLY = 64  # packets kept that overtook the end of the handshake; the first keyframe is among them


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

    def line_changed(self, peer: Peer, direction: Direction, state: LineState) -> None:
        """The line to or from the session's client carries a picture no more, or again."""
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
        demux: Demultiplexer,
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
        self.etag = secrets.token_hex(8)
        self.connected = False
        self.closed = False
        self.profile = ""
        self.counters = room.live_counters
        self.room = room
        self._demux = demux
        self._clock = clock
        self._started = clock()
        self.ice = IceLite(credentials, self._started)
        self.native = native.module.Outlet() if native.module is not None else None
        self.link = native.module.Link(self, self.counters.tally) if native.module is not None else None
        self.sources = Sources(self, publications)
        self._receivers = self.sources.receivers
        self._early: list[tuple[bytes, float]] = []
        self._srtp: Srtp | None = None
        self._address: Address | None = None
        self._path: Path | None = None  # with its send_datagram and the other end's address: all three or none
        self._send_datagram: Callable[[bytes, Address], object] | None = None
        self._dtls = Dtls(
            certificate,
            is_client=is_dtls_client,
            fingerprints=fingerprints,
            send=self.transmit,
            closed=self._dtls_closed,
        )
        self._task: asyncio.Task[None] | None = None
        self.feedback = Feedback(self, self._started)
        demux.register(credentials.local_ufrag, self)

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
        if self.native is not None and self.link is not None:
            self.native.open(srtp.outgoing)
            self.link.open(srtp.incoming)
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
        if self.native is not None and self.link is not None:
            self.native.close()
            self.link.close()
        log.info("peer lost", session_id=self.session_id, why=why.value)
        for slot in self.slots:
            slot.attach(None)
        self._demux.unregister(self.ice.current.local_ufrag)
        if self.ice.previous is not None:
            self._demux.unregister(self.ice.previous.local_ufrag)
        for address in self.ice.addresses:
            self._demux.release_address(address, self)
        self.feedback.end()
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
            self._demux.unregister(self.ice.previous.local_ufrag)
        credentials = self.ice.restart(remote_ufrag, remote_pwd)
        self._demux.register(credentials.local_ufrag, self)
        self.etag = secrets.token_hex(8)
        self.counters.ice_restarts += 1
        return credentials

    # What comes from the demultiplexer

    def generation(self, username: bytes) -> Credentials | None:
        """See `demux.Receiver`."""
        return self.ice.generation(username)

    def on_check(self, path: Path, credentials: Credentials, address: Address, *, nominated: bool, now: float) -> None:
        """See `demux.Receiver`."""
        previous = self.ice.previous
        for forgotten in self.ice.checked(credentials, address, nominated=nominated, now=now):
            self._demux.release_address(forgotten, self)
        self._demux.bind_address(address, self, path)
        if previous is not None and self.ice.previous is None:
            self._demux.unregister(previous.local_ufrag)
        # The same address may be reached over another of our sockets now: the nominated check says over which.
        if self.ice.selected == address and (nominated or self._address != address):
            self._send_over(path, address)
        if self._task is None:
            self._start_handshake()

    def _send_over(self, path: Path, address: Address) -> None:
        if path is not self._path:
            log.info("path", session_id=self.session_id, transport=path.protocol)
        self._path, self._send_datagram, self._address = path, path.send_datagram, address
        if self.native is not None:
            self.native.to(path.outbox, address)

    def on_path_closed(self, address: Address) -> None:
        """See `demux.Receiver`."""
        self.ice.lost(address)
        if self._address == address:
            self._path = self._send_datagram = self._address = None
            if self.native is not None:
                self.native.to(None, None)

    def on_dtls(self, datagram: bytes, now: float) -> None:
        """See `demux.Receiver`."""
        self._dtls.feed(datagram)

    def on_media(self, datagram: bytes, now: float) -> None:
        """See `demux.Receiver`."""
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
        self.on_packet(packet, now)

    def on_packet(self, packet: bytes, now: float) -> None:
        """One authenticated RTP packet: one that the packet path in C has no source for, or any without it."""
        self.ice.last_seen = now
        receive = self._receivers.get(int.from_bytes(packet[8:12], "big"))
        if receive is None:
            receive = self.sources.find(packet, now)
            if receive is None:
                self.counters.dropped_unknown_track += 1
                return
        receive(packet, now)

    def _on_srtcp(self, srtp: Srtp, datagram: bytes, now: float) -> None:
        try:
            compound = srtp.unprotect_rtcp(datagram)
        except (pylibsrtp.Error, ValueError):
            self.counters.dropped_srtp += 1
            return
        self.on_rtcp(compound, now)

    def on_rtcp(self, compound: bytes, now: float) -> None:
        """One authenticated compound RTCP packet."""
        self.ice.last_seen = now
        self.feedback.receive(compound, now)

    def owns_alive(self, address: Address, now: float) -> bool:
        """See `demux.Receiver`."""
        self._heed_link()
        return not self.closed and address in self.ice.addresses and self.ice.is_alive(now)

    def _heed_link(self) -> None:
        """Packets that went the way in C are signs of life, too."""
        if self.link is not None and self.link.last_seen > self.ice.last_seen:
            self.ice.last_seen = self.link.last_seen

    # What goes out

    def send_rtp(self, packet: bytes) -> bytes | None:
        """See `forwarder.Outlet`."""
        address, send = self._address, self._send_datagram
        if address is None or send is None or not self.connected:
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
            send(wire, address)
        except OSError:  # the kernel's buffer is full, or the way there is gone
            self.counters.dropped_send += 1
            return None
        return wire

    def send_sender_report(self, forwarder: Forwarder, ntp: int, rtp_timestamp: int) -> None:
        """See `forwarder.Outlet`."""
        self.feedback.send_sender_report(forwarder, ntp, rtp_timestamp)

    def starved(self, forwarder: Forwarder) -> None:
        """See `forwarder.Outlet`."""
        layer = forwarder.next_layer or forwarder.layer
        if not self.hidden and layer is not None:
            layer.request_keyframe(self._clock())

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        """See `forwarder.Outlet`."""
        asyncio.get_running_loop().call_later(delay, callback)

    def send_rtcp(self, compound: bytes) -> None:
        """Protect and send a compound RTCP packet; nothing happens before the handshake is done."""
        if self._srtp is None or self.closed:
            return
        try:
            if self.native is not None and self.native.rtcp(compound):
                return
            wire = self._srtp.protect_rtcp(compound)
        except (pylibsrtp.Error, ValueError):
            self.counters.dropped_srtp += 1
            return
        self.transmit(wire)

    def transmit(self, datagram: bytes) -> None:
        """Send a datagram as it is: a DTLS record, or a packet that is protected already."""
        if self._path is not None and self._address is not None:
            self._path.transmit(datagram, self._address)

    # Time

    def tick(self, now: float) -> None:
        """What time brings: the end of consent, reports to the publisher, whatever its tracks have due."""
        if not self.connected:
            if now - self._started > CONNECT_TIMEOUT:
                self.close(PeerLost.NEVER_CONNECTED)
            return
        self._heed_link()
        if not self.ice.is_alive(now):
            self.close(PeerLost.CONSENT_EXPIRED)
            return
        for track in list(self.sources.tracks.values()):
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
