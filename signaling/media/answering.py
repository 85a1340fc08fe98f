"""An offer's answer: the session that it begins, and what its client is told."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from signaling.ids import new_id
from signaling.media.candidates import Candidate
from signaling.media.demux import Demultiplexer
from signaling.media.dtls import Certificate
from signaling.media.errors import PreconditionFailed, PreconditionRequired, SdpError
from signaling.media.forwarder import Forwarder
from signaling.media.ice import Credentials
from signaling.media.leg import Kind
from signaling.media.peer import Peer, PeerOwner
from signaling.media.publication import Publication
from signaling.media.sdp import AnsweredLine, LocalTransport, Offer, OfferedLine, build_answer
from signaling.media.sdpfrag import build_fragment, parse_fragment
from signaling.media.session import Answer, PatchAnswer
from signaling.media.slots import TALK, CnamePool, SlotPlan, make_slot

_CODEC = {Kind.AUDIO: "opus", Kind.VIDEO: "VP8"}


@dataclass(frozen=True, slots=True)
class Transport:
    """What a node's sessions share. `clock` gives seconds of a monotonic clock; `candidates` go into every answer."""

    demux: Demultiplexer
    certificate: Certificate
    candidates: tuple[Candidate, ...]
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Begun:
    """A session that has been answered. `line` is its first m-line and that one's mid: what ICE fragments name."""

    peer: Peer
    answer: Answer
    line: tuple[str, str]


def begin_session(
    transport: Transport, owner: PeerOwner, offer: Offer, plan: SlotPlan, owner_id: str, *, hidden: bool
) -> Begun:
    """Make the session that `offer` asks for. `hidden`: it is an officer's."""
    credentials = Credentials.for_remote(offer.ice_ufrag, offer.ice_pwd)
    peer = Peer(
        session_id=new_id("ses"),
        owner_id=owner_id,
        hidden=hidden,
        room=owner,
        demux=transport.demux,
        certificate=transport.certificate,
        credentials=credentials,
        is_dtls_client=offer.is_active,
        fingerprints=offer.fingerprints,
        publications=[_publication(line) for line in plan.published],
        clock=transport.clock,
    )
    cnames = CnamePool()
    peer.slots = tuple(make_slot(line, index, cnames, peer, hidden=hidden) for line, index in plan.slots)
    by_mid = {slot.mid: slot for slot in peer.slots}
    receiving = {line.mid for line in plan.published}
    lines = {line.mid: _answered(by_mid.get(line.mid), line.mid in receiving) for line in offer.lines if line.is_usable}
    local = LocalTransport(
        credentials.local_ufrag, credentials.local_pwd, transport.certificate.fingerprint, transport.candidates
    )
    text = build_answer(offer, local, lines, secrets.randbits(62))
    first = next(line for line in offer.lines if line.is_usable)
    media = f"m={first.kind} 9 {first.protocol} {first.payload_type}"
    return Begun(peer, Answer(peer.session_id, text, peer.etag), (media, first.mid))


def patch_session(
    transport: Transport, peer: Peer, line: tuple[str, str], etag: str | None, fragment: str
) -> PatchAnswer:
    """Take trickled candidates, or restart ICE (RFC 9725 section 4.3); `etag` is the If-Match header's.

    A restart is a fragment with another user fragment and comes with `*` or the present entity tag. Raises SdpError,
    PreconditionRequired, PreconditionFailed; then nothing has changed.
    """
    if etag is None:
        raise PreconditionRequired("a PATCH needs If-Match")
    if etag.strip('"') not in ("*", peer.etag):
        raise PreconditionFailed("the ICE session is another one by now")
    parsed = parse_fragment(fragment)
    current = peer.ice.current
    if parsed.ice_ufrag == current.remote_ufrag:
        if parsed.ice_pwd != current.remote_pwd:
            raise SdpError("a new password needs a new user fragment")
        return PatchAnswer(None, peer.etag)
    credentials = peer.restart_ice(parsed.ice_ufrag, parsed.ice_pwd)
    media, mid = line
    return PatchAnswer(build_fragment(credentials, transport.candidates, media, mid), peer.etag)


def _publication(line: OfferedLine) -> Publication:
    if line.payload_type is None:
        raise ValueError("not a usable m-line")
    kind = Kind(line.kind)
    return Publication(
        kind=kind,
        mid=line.mid,
        codec=_CODEC[kind],
        payload_type=line.payload_type,
        clock_rate=line.clock_rate,
        extensions=line.extensions,
        feedback=line.feedback,
        rtx_payload_type=line.rtx_payload_type,
        rids=line.rids,
        repairs=line.repairs,
    )


def _answered(slot: Forwarder | None, receives: bool) -> AnsweredLine:
    if slot is None:
        return AnsweredLine(receives=receives, ssrc=None)
    stream = "talk" if slot.index == TALK else f"slot-{slot.index}"
    rtx_ssrc = slot.rtx.ssrc if slot.rtx is not None else None
    return AnsweredLine(receives=receives, ssrc=slot.ssrc, rtx_ssrc=rtx_ssrc, cname=slot.cname, stream=stream)
