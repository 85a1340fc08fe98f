"""The fuzz targets: what an attacker's bytes meet first, each with what must hold whatever they are.

A target takes bytes and returns nothing. It raises when something must not be: an exception that the code does not
document, or an invariant of its own that fails. Kept inputs lie in tests/fuzz/corpus/<target>/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz import addresses, packets, words

CORPUS = Path(__file__).parent / "corpus"

_SDP_WORDS = (
    "v=0", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "m=video 9 UDP/TLS/RTP/SAVPF 96 97", "m=application 9 UDP/DTLS/SCTP",
    "a=group:BUNDLE 0 1", "a=mid:", "a=rtcp-mux", "a=ice-lite", "a=ice-ufrag:", "a=ice-pwd:", "a=setup:actpass",
    "a=setup:active", "a=fingerprint:sha-256 ", "a=rtpmap:96 VP8/90000", "a=rtpmap:111 opus/48000/2",
    "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96", "a=rid:h send", "a=simulcast:send h;m;l", "a=ssrc-group:FID 1 2",
    "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid", "a=sendrecv", "a=recvonly", "a=candidate:", "\r\n",
)  # fmt: skip
_JSON_WORDS = ('"type"', '"hello"', '"ticket"', '"ping"', '"device"', '"quality"', "null", "1e999", "[[[[", '{"a":')


@dataclass(frozen=True)
class Target:
    """`longest` is in bytes; `words` are what its language is made of, for the fuzzer's dictionary."""

    name: str
    run: Callable[[bytes], None]
    longest: int
    words: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where its kept inputs lie."""
        return CORPUS / self.name

    def kept(self) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of every kept input, in order."""
        for path in sorted(self.folder.iterdir()):
            yield path.name, path.read_bytes()


TARGETS = {
    target.name: target
    for target in (
        Target("demultiplexer", addresses.demultiplexer, 4096),
        Target("framing", addresses.framing, 4096),
        Target("stun", addresses.stun, 548),
        Target("rtp", packets.rtp, 1500),
        Target("rtx", packets.rtx, 1500),
        Target("vp8", packets.vp8, 64),
        Target("rtcp", packets.compound, 1500),
        Target("offer", words.offer, 16384, _SDP_WORDS),
        Target("fragment", words.fragment, 4096, _SDP_WORDS),
        Target("message", words.message, 2048, _JSON_WORDS),
        Target("ticket", words.ticket, 2048, _JSON_WORDS),
    )
}
