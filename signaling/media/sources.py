"""What a session publishes: which of its SSRCs belongs to which layer of which track."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from signaling.media.layer import Layer
from signaling.media.leg import Kind
from signaling.media.publication import Publication
from signaling.media.rtp import element
from signaling.media.track import Track

if TYPE_CHECKING:
    from signaling.media.peer import Peer

MAX_SOURCES = 32  # new SSRCs one session may come with in its life

Receive = Callable[[bytes, float], None]


class Sources:
    """Sorts authenticated RTP by SSRC. `receivers` says who takes what; a new SSRC is placed by `find`."""

    def __init__(self, peer: Peer, publications: Iterable[Publication]) -> None:
        self.receivers: dict[int, Receive] = {}
        self.layers: dict[int, Layer] = {}
        self.tracks: dict[Kind, Track] = {}
        self._peer = peer
        self._by_payload_type: dict[int, Publication] = {}
        self._by_rtx: dict[int, Publication] = {}
        for publication in publications:
            self._by_payload_type[publication.payload_type] = publication
            if publication.rtx_payload_type is not None:
                self._by_rtx[publication.rtx_payload_type] = publication
        self._found = 0
        self._link = peer.link  # where the packet path in C finds who takes what (native.py)

    def find(self, packet: bytes, now: float) -> Receive | None:
        """Who takes this packet, the first of its SSRC; None if nobody does, or the session has had too many."""
        if self._found >= MAX_SOURCES:
            return None
        payload_type = packet[1] & 0x7F
        ssrc = int.from_bytes(packet[8:12], "big")
        publication = self._by_payload_type.get(payload_type)
        if publication is not None:
            layer = self._layer(publication, packet, ssrc, now)
            receive = layer.receive if layer is not None else None
        else:
            publication = self._by_rtx.get(payload_type)
            layer = self._repaired(publication, packet, ssrc) if publication is not None else None
            receive = layer.receive_again if layer is not None else None
        if receive is not None:
            self._found += 1
            self.receivers[ssrc] = receive
            if layer is not None and receive == layer.receive and self._link is not None:
                ids = layer.track.extensions
                self._link.add(ssrc, layer, audio_level=ids.audio_level, abs_send_time=ids.abs_send_time)
        return receive

    def _layer(self, publication: Publication, packet: bytes, ssrc: int, now: float) -> Layer | None:
        rid = ""
        if publication.rids:
            rid = _text(element(packet, publication.extensions.rid))
            if rid not in publication.rids:
                return None
        track = self.tracks.get(publication.kind)
        if track is not None and rid:
            for other in track.layers:
                if other.rid == rid:
                    self._forget(other)
            layer = track.add_layer(ssrc, rid, now)
        else:
            if track is not None:  # one source per m-line: the newest
                for other in track.layers:
                    self._forget(other)
            track = self._peer.room.new_source(self._peer, publication, ssrc)
            self.tracks[publication.kind] = track
            layer = track.layers[0]
            if rid:
                track.name_layer(rid)
        self.layers[ssrc] = layer
        return layer

    def _forget(self, layer: Layer) -> None:
        self.layers.pop(layer.ssrc, None)
        for ssrc, receive in list(self.receivers.items()):
            if getattr(receive, "__self__", None) is layer:
                del self.receivers[ssrc]
                if self._link is not None:
                    self._link.remove(ssrc)

    def _repaired(self, publication: Publication, packet: bytes, ssrc: int) -> Layer | None:
        """The layer that an RTX stream repairs: by ssrc-group (RFC 5576), repaired-rid (RFC 8852), or the only one."""
        track = self.tracks.get(publication.kind)
        if track is None:
            return None
        original = dict(publication.repairs).get(ssrc)
        if original in self.layers:
            return self.layers[original]
        if not publication.rids:
            return track.layers[0]
        rid = _text(element(packet, publication.extensions.repaired_rid))
        return next((layer for layer in track.layers if layer.rid == rid), None)


def _text(value: bytes | None) -> str:
    return value.decode("ascii", "replace") if value is not None else ""
