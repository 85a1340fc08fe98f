"""What a client sends on one m-line."""

from __future__ import annotations

from dataclasses import dataclass

from signaling.media.leg import Kind
from signaling.media.rtp import ExtensionIds


@dataclass(frozen=True, slots=True)
class Publication:
    """An m-line on which the client sends: what its packets look like.

    `rids` are the layers of simulcast that it may send (RFC 8853), `rtx_payload_type` is None without RTX (RFC 4588),
    `repairs` are the pairs (SSRC of RTX, SSRC of what it repairs) that the offer names.
    """

    kind: Kind
    mid: str
    codec: str
    payload_type: int
    clock_rate: int
    extensions: ExtensionIds
    feedback: tuple[str, ...]
    rtx_payload_type: int | None = None
    rids: tuple[str, ...] = ()
    repairs: tuple[tuple[int, int], ...] = ()
