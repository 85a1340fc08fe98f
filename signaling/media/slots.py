"""Who is shown where: the m-lines on which a session receives, and the participants in them."""

from __future__ import annotations

import secrets

from signaling.media.errors import SdpError
from signaling.media.forwarder import Forwarder, Outlet, RtxStream
from signaling.media.leg import Kind
from signaling.media.sdp import Offer, OfferedLine
from signaling.media.track import Track

TALK = -1  # the index of the slot for an officer's voice: it is nobody's place among the participants


class SlotPlan:
    """What each m-line of an offer is used for.

    The first audio and the first video line on which the client sends are `published`; further ones are not received.
    Every line on which it receives is a slot, counted per kind in the offer's order, up to `most` of each kind: so a
    party's own sendrecv lines are slot 0, and its receive-only lines the slots after it. With `talk`, the offer's last
    line is the slot `TALK` if it is receive-only audio and no video line goes with it.
    """

    def __init__(self, offer: Offer, *, publishes: bool, most: int, talk: bool = False) -> None:
        """Raises SdpError if the session would neither send nor receive anything."""
        usable = [line for line in offer.lines if line.is_usable]
        self.published: list[OfferedLine] = []
        self.slots: list[tuple[OfferedLine, int]] = []
        spare = _spare_audio(usable) if talk else None
        if spare is not None:
            usable.remove(spare)
        for kind in (Kind.AUDIO, Kind.VIDEO):
            lines = [line for line in usable if line.kind == kind]
            self.slots += [(line, index) for index, line in enumerate([line for line in lines if line.wants][:most])]
            if publishes:
                self.published += [line for line in lines if line.sends][:1]
        if not self.slots and not self.published:
            raise SdpError("the offer neither sends nor receives")
        if spare is not None:
            self.slots.append((spare, TALK))


def _spare_audio(usable: list[OfferedLine]) -> OfferedLine | None:
    """The last line, if it is receive-only audio that no video line goes with."""
    last = usable[-1] if usable else None
    if last is None or last.kind != Kind.AUDIO or last.sends or not last.wants:
        return None
    videos = sum(line.wants for line in usable if line.kind == Kind.VIDEO)
    audios = sum(line.wants for line in usable if line.kind == Kind.AUDIO)
    return last if 0 < videos < audios else None


class CnamePool:
    """One name per slot number, shared by its audio and its video: what a receiver keeps in sync (RFC 3550 6.5.1)."""

    def __init__(self) -> None:
        self._session = secrets.token_hex(8)

    def name(self, index: int) -> str:
        """The name of slot `index`."""
        return f"{self._session}-{index}"


def make_slot(line: OfferedLine, index: int, cnames: CnamePool, outlet: Outlet, *, hidden: bool) -> Forwarder:
    """The forwarder that sends on an m-line, with an SSRC and first numbers nobody can guess."""
    if line.payload_type is None:
        raise ValueError("not a usable m-line")
    resends = "nack" in line.feedback
    rtx = None
    if resends and line.rtx_payload_type is not None:
        rtx = RtxStream(secrets.randbits(31) + 1, line.rtx_payload_type, secrets.randbits(15))
    return Forwarder(
        kind=Kind(line.kind),
        mid=line.mid,
        index=index,
        cname=cnames.name(index),
        ssrc=secrets.randbits(31) + 1,
        payload_type=line.payload_type,
        clock_rate=line.clock_rate,
        extensions=line.extensions,
        outlet=outlet,
        hidden=hidden,
        first_sequence=secrets.randbits(15),
        first_timestamp=secrets.randbits(31),
        rtx=rtx,
        resends=resends,
    )


def arrange(slots: tuple[Forwarder, ...], own_id: str, present: list[str], tracks: list[Track]) -> None:
    """Put the participants' tracks into a session's slots.

    A participant keeps his slot number, in audio and video alike, as long as nobody else needs it: one who was away
    comes back to the same place. A new one takes the first number that is free, or else that of somebody who is away.
    `present` are the participants with a session, in the order of their joining; `own_id` is left out.
    """
    slots = tuple(slot for slot in slots if slot.index != TALK)
    others = [participant_id for participant_id in present if participant_id != own_id]
    placed = {slot.index: slot.participant_id for slot in slots if slot.participant_id is not None}
    numbers = sorted({slot.index for slot in slots})
    for participant_id in others:
        if participant_id in placed.values():
            continue
        free = [number for number in numbers if number not in placed]
        free += [number for number, occupant in placed.items() if occupant not in others]
        if free:
            placed[free[0]] = participant_id
    published = {(track.info.participant_id, track.info.kind): track for track in tracks}
    for slot in slots:
        slot.participant_id = placed.get(slot.index)
        track = published.get((slot.participant_id, slot.kind)) if slot.participant_id is not None else None
        slot.attach(track)
