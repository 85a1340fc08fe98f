"""SDP fragments of a PATCH (RFC 8840, RFC 9725 section 4.3): trickled candidates and ICE restarts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from signaling.media.candidates import Candidate, candidate_lines
from signaling.media.ice import Credentials
from signaling.media.sdp import check_ice, check_size


@dataclass(frozen=True, slots=True)
class Fragment:
    """What a fragment says of ICE. A lite agent has no use for the candidates, only for their having been there."""

    ice_ufrag: str
    ice_pwd: str
    mid: str | None


def parse_fragment(text: str) -> Fragment:
    """Read a fragment; raises SdpError if it lacks well-formed ICE credentials."""
    check_size(text)
    ufrag = pwd = mid = None
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == "a=ice-ufrag":
            ufrag = ufrag or value.strip()
        elif name == "a=ice-pwd":
            pwd = pwd or value.strip()
        elif name == "a=mid":
            mid = mid or value.strip()
    checked_ufrag, checked_pwd = check_ice(ufrag, pwd)
    return Fragment(checked_ufrag, checked_pwd, mid)


def build_fragment(credentials: Credentials, candidates: Sequence[Candidate], media_line: str, mid: str) -> str:
    """Our side after a restart: new credentials, the same candidates; `media_line` and `mid` of the bundle's first."""
    lines = [
        "a=ice-lite",
        media_line,
        f"a=mid:{mid}",
        f"a=ice-ufrag:{credentials.local_ufrag}",
        f"a=ice-pwd:{credentials.local_pwd}",
        *candidate_lines(candidates),
    ]
    return "\r\n".join(lines) + "\r\n"
