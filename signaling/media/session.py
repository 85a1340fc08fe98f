"""What the other side of an offer gets back: an answer, its tag, and who is shown in which slot."""

from __future__ import annotations

from dataclasses import dataclass

from signaling.ids import OrdinaryCallId
from signaling.media.leg import Kind


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to an offer.

    `session_id` names the connection for later PATCH and DELETE; `sdp` is the whole answer (application/sdp); `etag`
    names the ICE session (RFC 9725 section 4.3.1), without quotation marks.
    """

    session_id: str
    sdp: str
    etag: str


@dataclass(frozen=True, slots=True)
class PatchAnswer:
    """The answer to a PATCH.

    `fragment` (application/trickle-ice-sdpfrag, RFC 8840) is there after an ICE restart (status 200) and None after
    trickled candidates (status 204). `etag` is that of the ICE session from now on.
    """

    fragment: str | None
    etag: str


@dataclass(frozen=True, slots=True)
class SlotInfo:
    """One m-line on which the relay sends to a session, and whose track it carries now.

    `mid` is the m-line's identification (RFC 5888) in that session's offer. `index` counts from 0 per kind: audio slot
    n and video slot n always carry the same participant. `participant_id` is None while the slot is free; it stays
    while a participant is away, so that he comes back to the same place. `track_id` is None while nothing is published.
    """

    mid: str
    kind: Kind
    index: int
    participant_id: str | None
    track_id: str | None


@dataclass(frozen=True, slots=True)
class WallSlot:
    """A slot of an officer's wall, and whose call is in it."""

    call_id: OrdinaryCallId | None
    slot: SlotInfo
