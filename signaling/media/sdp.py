"""Offers in, one answer out (RFC 8829, RFC 9143, RFC 8839, RFC 8842): VP8 and Opus, one bundle, ICE-lite."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.sdp import GroupDescription, MediaDescription, SessionDescription

from signaling.media.candidates import Candidate, candidate_lines
from signaling.media.errors import SdpError
from signaling.media.leg import Kind
from signaling.media.rtp import ExtensionIds

MAX_SIZE = 256 * 1024  # bytes; a wall of 16 video slots from Chromium is about 90 kB
MAX_LINES = 8000
MAX_LINE = 4096
MAX_MEDIA = 40

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"

# What may stand in a second byte without being taken for RTCP (RFC 5761 section 4).
_PAYLOAD_TYPES = frozenset({*range(64), *range(96, 128)})
_CODECS = {Kind.AUDIO: ("opus", 48000), Kind.VIDEO: ("vp8", 90000)}
_FORMAT = {Kind.AUDIO: "minptime=10;useinbandfec=1;usedtx=1", Kind.VIDEO: ""}
_FEEDBACK = ("nack", "nack pli", "ccm fir", "goog-remb")
_MID_TOKEN = re.compile(r"[A-Za-z0-9_\-.]{1,16}\Z")  # 16 bytes are what a one-byte extension element carries
_RID_TOKEN = re.compile(r"[A-Za-z0-9_\-]{1,16}\Z")  # RFC 8851 section 10, and what a one-byte element carries
_MAX_LAYERS = 4
_ICE_TOKEN = re.compile(r"[A-Za-z0-9+/]+\Z")
_FINGERPRINT = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){31,63}\Z")
_HASHES = frozenset({"sha-256", "sha-384", "sha-512"})
_SETUP_ANSWER = {"auto": "passive", "client": "passive", "server": "active"}


@dataclass(frozen=True, slots=True)
class OfferedLine:
    """One m-line of an offer. `payload_type` is None where the line cannot be used; then it is refused.

    `wants` and `sends` are the client's: to receive from us, to send to us. `feedback` is what both sides can do of
    RTCP feedback (RFC 4585), e.g. "nack pli". `rtx_payload_type` is RTX's for the codec (RFC 4588), `repairs` the
    client's pairs (SSRC of RTX, SSRC of what it repairs), `rids` the layers that it sends by simulcast (RFC 8853).
    """

    kind: str
    protocol: str
    format: str
    mid: str
    wants: bool
    sends: bool
    payload_type: int | None
    clock_rate: int
    extensions: ExtensionIds
    feedback: tuple[str, ...]
    rtx_payload_type: int | None = None
    repairs: tuple[tuple[int, int], ...] = ()
    rids: tuple[str, ...] = ()

    @property
    def is_usable(self) -> bool:
        """Whether the line can carry media of ours or the client's."""
        return self.payload_type is not None


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that can be answered. `is_active` says that the client asks us to start DTLS (its setup is passive)."""

    lines: tuple[OfferedLine, ...]
    ice_ufrag: str
    ice_pwd: str
    fingerprints: tuple[tuple[str, str], ...]
    setup: str

    @property
    def is_active(self) -> bool:
        """Whether our side is the DTLS client."""
        return self.setup == "active"


@dataclass(frozen=True, slots=True)
class AnsweredLine:
    """What the answer says of one m-line: whether we receive on it, and the SSRC on which we send, if we do."""

    receives: bool
    ssrc: int | None
    cname: str = ""
    stream: str = ""
    rtx_ssrc: int | None = None


def parse_offer(text: str) -> Offer:
    """Read an offer. Raises SdpError, saying what is wrong with it."""
    description = _parse(text)
    bundled = _bundle(description)
    sections = _sections(text)
    lines = tuple(_line(media, bundled, sections[number]) for number, media in enumerate(description.media))
    usable = [media for media, line in zip(description.media, lines, strict=True) if line.is_usable]
    if not usable:
        raise SdpError("no m-line with Opus or VP8 in the bundle")
    mids = [line.mid for line in lines if line.is_usable]
    if len(set(mids)) != len(mids):
        raise SdpError("two m-lines have the same mid")
    payload_types = {(line.payload_type, line.kind) for line in lines if line.is_usable}
    if len({payload_type for payload_type, _ in payload_types}) != len({kind for _, kind in payload_types}):
        raise SdpError("a payload type stands for two codecs, or a codec for two payload types")
    media_types = {payload_type for payload_type, _ in payload_types}
    rtx_types = {line.rtx_payload_type for line in lines if line.kind == Kind.VIDEO and line.is_usable}
    if len(rtx_types) != 1 or rtx_types & media_types:  # not the same for all, or taken: do without
        lines = tuple(replace(line, rtx_payload_type=None) for line in lines)
    first = usable[0]
    if first.ice is None:
        raise SdpError("no ICE")
    ufrag, pwd = check_ice(first.ice.usernameFragment, first.ice.password)
    if first.ice.iceLite:
        raise SdpError("both sides are ICE-lite")
    if first.dtls is None or first.dtls.role not in _SETUP_ANSWER:
        raise SdpError("no usable a=setup")
    return Offer(lines, ufrag, pwd, _fingerprints(first), _SETUP_ANSWER[first.dtls.role])


def check_size(text: str) -> None:
    """Raise SdpError for a text larger than any honest offer."""
    if len(text) > MAX_SIZE:
        raise SdpError("the offer is too long")
    lines = text.splitlines()
    if len(lines) > MAX_LINES or any(len(line) > MAX_LINE for line in lines):
        raise SdpError("the offer has too many lines, or too long ones")


def check_ice(ufrag: str | None, pwd: str | None) -> tuple[str, str]:
    """The remote's user fragment and password if they are well-formed (RFC 8839 section 5.4); SdpError otherwise."""
    if not ufrag or not 4 <= len(ufrag) <= 256 or not _ICE_TOKEN.match(ufrag):
        raise SdpError("no usable a=ice-ufrag")
    if not pwd or not 22 <= len(pwd) <= 256 or not _ICE_TOKEN.match(pwd):
        raise SdpError("no usable a=ice-pwd")
    return ufrag, pwd


def _parse(text: str) -> SessionDescription:
    check_size(text)
    if not text.startswith("v=0"):
        raise SdpError("not a session description")
    try:
        description = SessionDescription.parse(text)
    except Exception as error:  # the parser's asserts and lookups: whatever it trips over is the offer's fault
        raise SdpError(f"not a session description that can be read ({type(error).__name__})") from error
    if not description.media:
        raise SdpError("no m-line")
    if len(description.media) > MAX_MEDIA:
        raise SdpError("too many m-lines")
    return description


def _bundle(description: SessionDescription) -> frozenset[str]:
    for group in description.group:
        if group.semantic == "BUNDLE":
            return frozenset(_mids(group))
    raise SdpError("no BUNDLE group: everything goes over one transport")


def _mids(group: GroupDescription) -> list[str]:
    return [str(item) for item in group.items]


def _sections(text: str) -> list[list[str]]:
    """The lines of each m-section: the parser knows nothing of rid and simulcast."""
    sections: list[list[str]] = []
    for line in text.splitlines():
        if line.startswith("m="):
            sections.append([])
        elif sections:
            sections[-1].append(line.strip())
    return sections


def _line(media: MediaDescription, bundled: frozenset[str], section: list[str]) -> OfferedLine:
    mid = media.rtp.muxId or ""
    direction = media.direction or "sendrecv"
    codec = _codec(media) if _MID_TOKEN.match(mid) and mid in bundled and media.rtcp_mux else None
    if codec is None:
        return OfferedLine(media.kind, media.profile, str(media.fmt[0]), mid, False, False, None, 0, ExtensionIds(), ())
    extensions = _extensions(media)
    rids = _rids(section) if media.kind == Kind.VIDEO and extensions.rid else ()
    if not rids:
        extensions = replace(extensions, rid=0, repaired_rid=0)
    offered = {f"{item.type} {item.parameter}" if item.parameter else item.type for item in codec.rtcpFeedback}
    return OfferedLine(
        kind=media.kind,
        protocol=media.profile,
        format=str(codec.payloadType),
        mid=mid,
        wants=direction in ("sendrecv", "recvonly"),
        sends=direction in ("sendrecv", "sendonly"),
        payload_type=codec.payloadType,
        clock_rate=codec.clockRate,
        extensions=extensions,
        feedback=tuple(name for name in _FEEDBACK if name in offered),
        rtx_payload_type=_rtx(media, codec),
        repairs=_repairs(media),
        rids=rids,
    )


def _rtx(media: MediaDescription, codec: RTCRtpCodecParameters) -> int | None:
    """The payload type of RTX for `codec` (RFC 4588 section 8.6), for video: voice is small enough for its own FEC."""
    if media.kind != Kind.VIDEO:
        return None
    for other in media.rtp.codecs:
        is_listed = other.payloadType in media.fmt and other.payloadType in _PAYLOAD_TYPES
        is_rtx = other.name.lower() == "rtx" and other.clockRate == codec.clockRate
        if is_rtx and is_listed and other.parameters.get("apt") == codec.payloadType:
            return other.payloadType
    return None


def _repairs(media: MediaDescription) -> tuple[tuple[int, int], ...]:
    """RFC 5576 section 4.2, RFC 4588 section 8.2: an FID group is a source and its RTX."""
    return tuple(
        (int(group.items[1]), int(group.items[0]))
        for group in media.ssrc_group
        if group.semantic == "FID" and len(group.items) == 2
    )


def _rids(section: list[str]) -> tuple[str, ...]:
    """The layers that the client sends (RFC 8853 section 5.1), of alternatives the first; none if that is malformed."""
    declared = {
        words[0]
        for line in section
        if line.startswith("a=rid:") and len(words := line[6:].split()) >= 2 and words[1] == "send"
    }
    for line in section:
        if not line.startswith("a=simulcast:"):
            continue
        words = line[12:].split()
        streams = dict(zip(words[::2], words[1::2], strict=False)).get("send", "")
        rids = [alternatives.split(",")[0].removeprefix("~") for alternatives in streams.split(";")]
        wanted = [rid for rid in rids if rid in declared and _RID_TOKEN.match(rid)]
        return tuple(dict.fromkeys(wanted))[:_MAX_LAYERS]
    return ()


def _codec(media: MediaDescription) -> RTCRtpCodecParameters | None:
    if media.kind not in (Kind.AUDIO, Kind.VIDEO) or "SAVP" not in media.profile:
        return None
    name, clock_rate = _CODECS[Kind(media.kind)]
    for codec in media.rtp.codecs:
        is_listed = codec.payloadType in media.fmt and codec.payloadType in _PAYLOAD_TYPES
        if codec.name.lower() == name and codec.clockRate == clock_rate and is_listed:
            return codec
    return None


def _extensions(media: MediaDescription) -> ExtensionIds:
    found = {header.uri: header.id for header in media.rtp.headerExtensions if 1 <= header.id <= 14}
    level = found.get(AUDIO_LEVEL, 0) if media.kind == Kind.AUDIO else 0
    return ExtensionIds(
        mid=found.get(MID, 0),
        audio_level=level,
        abs_send_time=found.get(ABS_SEND_TIME, 0),
        rid=found.get(RID, 0),
        repaired_rid=found.get(REPAIRED_RID, 0),
    )


def _fingerprints(media: MediaDescription) -> tuple[tuple[str, str], ...]:
    offered = media.dtls.fingerprints if media.dtls is not None else []
    known = tuple(
        (item.algorithm.lower(), item.value)
        for item in offered
        if item.algorithm.lower() in _HASHES and _FINGERPRINT.match(item.value)
    )
    if not known:
        raise SdpError("no a=fingerprint with SHA-256 or better")
    return known


@dataclass(frozen=True, slots=True)
class LocalTransport:
    """Our half of the transport: ICE credentials, certificate fingerprint, and the addresses clients reach us at."""

    ice_ufrag: str
    ice_pwd: str
    fingerprint: tuple[str, str]
    candidates: tuple[Candidate, ...]


def build_answer(
    offer: Offer, transport: LocalTransport, lines: Mapping[str, AnsweredLine], session_number: int
) -> str:
    """The answer's text. `lines` says by mid what each usable m-line does; a usable line not in it is inactive."""
    usable = [line for line in offer.lines if line.is_usable]
    text = [
        "v=0",
        f"o=- {session_number} 1 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        f"a=group:BUNDLE {' '.join(line.mid for line in usable)}",
        "a=msid-semantic:WMS *",
    ]
    for line in offer.lines:
        if not line.is_usable:
            text += [f"m={line.kind} 0 {line.protocol} {line.format}", "c=IN IP4 0.0.0.0", "a=inactive"]
            if line.mid:
                text.append(f"a=mid:{line.mid}")
            continue
        answered = lines.get(line.mid, AnsweredLine(receives=False, ssrc=None))
        text += _answer_line(line, answered, offer.setup, transport)
    return "\r\n".join(text) + "\r\n"


def _answer_line(line: OfferedLine, answered: AnsweredLine, setup: str, transport: LocalTransport) -> list[str]:
    codec = "opus/48000/2" if line.kind == Kind.AUDIO else "VP8/90000"
    rtx = line.rtx_payload_type
    formats = f"{line.payload_type}" if rtx is None else f"{line.payload_type} {rtx}"
    text = [
        f"m={line.kind} 9 {line.protocol} {formats}",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        f"a=ice-ufrag:{transport.ice_ufrag}",
        f"a=ice-pwd:{transport.ice_pwd}",
        # Once would do in a bundle (RFC 9143), but aiortc takes the last m-line's for all.
        *candidate_lines(transport.candidates),
        f"a=fingerprint:{transport.fingerprint[0]} {transport.fingerprint[1]}",
        f"a=setup:{setup}",
        f"a=mid:{line.mid}",
        *(f"a=extmap:{number} {uri}" for number, uri in _extension_lines(line.extensions)),
        f"a={_direction(answered)}",
        "a=rtcp-mux",
        f"a=rtpmap:{line.payload_type} {codec}",
        *(f"a=rtcp-fb:{line.payload_type} {name}" for name in line.feedback),
    ]
    if _FORMAT[Kind(line.kind)]:
        text.append(f"a=fmtp:{line.payload_type} {_FORMAT[Kind(line.kind)]}")
    if rtx is not None:
        text += [f"a=rtpmap:{rtx} rtx/90000", f"a=fmtp:{rtx} apt={line.payload_type}"]
    if line.rids and answered.receives:
        text += [*(f"a=rid:{rid} recv" for rid in line.rids), f"a=simulcast:recv {';'.join(line.rids)}"]
    if answered.ssrc is not None:
        track = f"{answered.stream}-{line.kind}"
        text += [
            f"a=msid:{answered.stream} {track}",
            f"a=ssrc:{answered.ssrc} cname:{answered.cname}",
            f"a=ssrc:{answered.ssrc} msid:{answered.stream} {track}",
        ]
        if answered.rtx_ssrc is not None:
            text += [
                f"a=ssrc-group:FID {answered.ssrc} {answered.rtx_ssrc}",
                f"a=ssrc:{answered.rtx_ssrc} cname:{answered.cname}",
                f"a=ssrc:{answered.rtx_ssrc} msid:{answered.stream} {track}",
            ]
    return text


def _extension_lines(extensions: ExtensionIds) -> list[tuple[int, str]]:
    pairs = [
        (extensions.mid, MID),
        (extensions.audio_level, AUDIO_LEVEL),
        (extensions.abs_send_time, ABS_SEND_TIME),
        (extensions.rid, RID),
        (extensions.repaired_rid, REPAIRED_RID),
    ]
    return [(number, uri) for number, uri in pairs if number]


def _direction(answered: AnsweredLine) -> str:
    if answered.ssrc is not None:
        return "sendrecv" if answered.receives else "sendonly"
    return "recvonly" if answered.receives else "inactive"
