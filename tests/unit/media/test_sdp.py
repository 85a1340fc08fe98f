"""Offers and answers (RFC 8829, RFC 9143, RFC 8839, RFC 8842)."""

from __future__ import annotations

import pytest
from aiortc.rtcdtlstransport import RTCCertificate
from aiortc.sdp import SessionDescription
from hypothesis import given, settings
from hypothesis import strategies as st

from signaling.media.candidates import host_candidates
from signaling.media.errors import SdpError
from signaling.media.ice import Credentials
from signaling.media.sdp import AnsweredLine, LocalTransport, build_answer, parse_offer
from signaling.media.sdpfrag import build_fragment, parse_fragment
from signaling.media.slots import SlotPlan
from tests.fakes.media_client import OFFICER, PARTY, make_offer

CERTIFICATE = RTCCertificate.generateCertificate()
OFFER = make_offer(CERTIFICATE, PARTY)
LOCAL = LocalTransport(
    "ourufrag",
    "ourpassword-of-24-letters".replace("-", ""),
    ("sha-256", "AA:" * 31 + "AA"),
    host_candidates([("192.0.2.7", 8189), ("198.51.100.7", 9)], ["udp"]),
)


def changed(old: str, new: str, count: int = -1) -> str:
    """The good offer with something replaced; the text must have been there."""
    assert old in OFFER
    return OFFER.replace(old, new, count)


def test_what_is_read_of_an_offer() -> None:
    offer = parse_offer(OFFER)
    audio, video = offer.lines
    assert (audio.kind, audio.mid, audio.payload_type, audio.clock_rate) == ("audio", "0", 111, 48000)
    assert (video.kind, video.mid, video.payload_type, video.clock_rate) == ("video", "1", 96, 90000)
    assert video.feedback == ("nack", "nack pli", "ccm fir", "goog-remb")
    assert (audio.extensions.mid, audio.extensions.audio_level, audio.extensions.abs_send_time) == (4, 1, 2)
    assert video.extensions.audio_level == 0
    assert (offer.ice_ufrag, offer.setup, offer.is_active) == ("clnt", "passive", False)
    assert len(offer.fingerprints) == 1


@pytest.mark.parametrize(("theirs", "ours"), [("actpass", "passive"), ("active", "passive"), ("passive", "active")])
def test_dtls_roles(theirs: str, ours: str) -> None:
    """RFC 8842 section 5.3: the answer takes the role that the offer leaves."""
    assert parse_offer(make_offer(CERTIFICATE, PARTY, setup=theirs)).setup == ours


@pytest.mark.parametrize(
    ("offer", "says"),
    [
        ("", "not a session description"),
        ("hello", "not a session description"),
        ("v=0\r\n", "no m-line"),
        ("v=0\r\ns=-\r\nm=nonsense\r\n", "not a session description"),
        (changed("a=group:BUNDLE 0 1", "a=x"), "BUNDLE"),
        (changed("a=group:BUNDLE 0 1", "a=group:BUNDLE 7"), "no m-line with Opus or VP8"),
        (changed("a=ice-ufrag:clnt", "a=ice-ufrag:x"), "ice-ufrag"),
        (changed("a=ice-ufrag:clnt", "a=x"), "ice-ufrag"),
        (changed("a=ice-pwd:clientxpasswordx0123456789", "a=ice-pwd:short"), "ice-pwd"),
        (changed("a=ice-pwd:clientxpasswordx0123456789", "a=ice-pwd:client password 0123456789"), "ice-pwd"),
        (changed("a=fingerprint:sha-256", "a=fingerprint:md5"), "fingerprint"),
        (make_offer(CERTIFICATE, PARTY, fingerprint="not-a-fingerprint"), "fingerprint"),
        (changed("a=setup:actpass", "a=x"), "setup"),
        (changed("a=setup:actpass", "a=setup:holdconn"), "not a session description"),
        (changed("a=rtcp-mux", "a=x"), "no m-line with Opus or VP8"),
        (changed("VP8/90000", "H264/90000").replace("opus/48000/2", "PCMU/8000"), "no m-line with Opus or VP8"),
        (changed("a=mid:1", "a=mid:0"), "same mid"),
        (changed("a=mid:1", "a=mid:much-too-long-for-one-element").replace("a=mid:0", "a=x"), "no m-line"),
        (changed("v=0\r\n", "v=0\r\na=ice-lite\r\n"), "ICE-lite"),
        (changed("96", "111"), "payload type"),
        (OFFER + "a=x\r\n" * 9000, "too many lines"),
        (OFFER + "a=" + "x" * 5000, "too long ones"),
        (OFFER + "a=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n" * 7990, "too long"),
        (make_offer(CERTIFICATE, PARTY * 21), "too many m-lines"),
        (changed("a=rtpmap:111 opus", "a=rtpmap:" + "9" * 5000 + " opus"), "too long ones"),
        (changed("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "no m-line"),
    ],
)
def test_a_bad_offer_is_refused_with_a_reason(offer: str, says: str) -> None:
    with pytest.raises(SdpError, match=says):
        parse_offer(offer)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_damaged_offer_is_answered_or_refused_and_nothing_else(data: st.DataObject) -> None:
    lines = OFFER.split("\r\n")
    for _ in range(data.draw(st.integers(1, 4))):
        number = data.draw(st.integers(0, len(lines) - 1))
        how = data.draw(st.sampled_from(["drop", "cut", "double", "move", "junk"]))
        if how == "drop":
            del lines[number]
        elif how == "cut":
            lines[number] = lines[number][: data.draw(st.integers(0, 20))]
        elif how == "double":
            lines.insert(number, lines[number])
        elif how == "move":
            lines.append(lines.pop(number))
        else:
            lines[number] = lines[number][:2] + data.draw(st.text(max_size=30))
        lines = lines or [""]
    try:
        offer = parse_offer("\r\n".join(lines))
    except SdpError:
        return
    answer = build_answer(offer, LOCAL, {}, 1)
    assert len(SessionDescription.parse(answer).media) == len(offer.lines)


def answered(lines: tuple[tuple[str, str], ...] = PARTY) -> tuple[str, SessionDescription]:
    offer = parse_offer(make_offer(CERTIFICATE, lines))
    plan = SlotPlan(offer, publishes=True, most=5)
    published = {line.mid for line in plan.published}
    slots = {line.mid: 1000 + number for number, (line, _) in enumerate(plan.slots)}
    said = {
        line.mid: AnsweredLine(line.mid in published, slots.get(line.mid), "name", "slot-0") for line in offer.lines
    }
    text = build_answer(offer, LOCAL, said, 4)
    return text, SessionDescription.parse(text)


def test_the_answer_says_what_was_decided_and_no_more() -> None:
    text, description = answered()
    assert "a=ice-lite" in text
    assert [str(group) for group in description.group] == ["BUNDLE 0 1"]
    audio, video = description.media
    assert [codec.mimeType for codec in audio.rtp.codecs + video.rtp.codecs] == ["audio/opus", "video/VP8"]
    assert "a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1" in text
    for media in description.media:
        assert media.rtcp_mux
        assert media.direction == "sendrecv"
        assert media.dtls is not None
        assert media.dtls.role == "server"
        assert media.ice is not None
        assert (media.ice.usernameFragment, media.ice.password) == (LOCAL.ice_ufrag, LOCAL.ice_pwd)
        assert [(item.ip, item.port, item.type) for item in media.ice_candidates] == [
            ("192.0.2.7", 8189, "host"),
            ("198.51.100.7", 9, "host"),
        ]
        assert media.ice_candidates[0].priority > media.ice_candidates[1].priority
        assert media.ice_candidates_complete
        assert media.ssrc[0].cname == "name"
    feedback = {f"{item.type} {item.parameter or ''}".strip() for item in video.rtp.codecs[0].rtcpFeedback}
    assert feedback == {"nack", "nack pli", "ccm fir", "goog-remb"}
    assert audio.rtp.codecs[0].rtcpFeedback == []
    assert {header.id for header in audio.rtp.headerExtensions} == {4, 1, 2}
    assert {header.id for header in video.rtp.headerExtensions} == {4, 2}
    assert "transport-cc" not in text
    assert "transport-wide-cc" not in text


@pytest.mark.parametrize(
    ("direction", "expected"),
    [("sendrecv", "sendrecv"), ("sendonly", "recvonly"), ("recvonly", "sendonly"), ("inactive", "inactive")],
)
def test_directions(direction: str, expected: str) -> None:
    _, description = answered((("audio", "sendrecv"), ("video", direction)))
    assert description.media[1].direction == expected


def test_lines_that_cannot_be_used_are_refused_in_their_place() -> None:
    """RFC 8829 section 5.3.1: as many m-lines as the offer, in its order; a refused one has port 0."""
    data = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:data\r\n"
    head, _, tail = OFFER.partition("m=video")
    offer = parse_offer(head.replace("BUNDLE 0 1", "BUNDLE 0 data 1") + data + "m=video" + tail)
    description = SessionDescription.parse(build_answer(offer, LOCAL, {}, 1))
    assert [(media.kind, media.port) for media in description.media] == [("audio", 9), ("application", 0), ("video", 9)]
    assert [str(group) for group in description.group] == ["BUNDLE 0 1"]


def test_the_first_lines_are_the_partys_own_and_slot_0() -> None:
    lines = (*PARTY, ("audio", "recvonly"), ("video", "recvonly"), ("video", "recvonly"))
    plan = SlotPlan(parse_offer(make_offer(CERTIFICATE, lines)), publishes=True, most=5)
    assert [line.mid for line in plan.published] == ["0", "1"]
    assert [(line.mid, index) for line, index in plan.slots] == [("0", 0), ("2", 1), ("1", 0), ("3", 1), ("4", 2)]


def test_an_officer_publishes_nothing_even_if_he_offers_to() -> None:
    plan = SlotPlan(parse_offer(OFFER), publishes=False, most=16)
    assert plan.published == []
    assert len(plan.slots) == 2
    with pytest.raises(SdpError):
        SlotPlan(parse_offer(make_offer(CERTIFICATE, (("audio", "sendonly"),))), publishes=False, most=16)


def test_slots_are_bounded_and_a_second_camera_is_not_received() -> None:
    plan = SlotPlan(parse_offer(make_offer(CERTIFICATE, (("video", "sendrecv"),) * 8)), publishes=True, most=5)
    assert (len(plan.slots), len(plan.published)) == (5, 1)
    plan = SlotPlan(parse_offer(make_offer(CERTIFICATE, OFFICER)), publishes=False, most=1)
    assert [(line.kind, index) for line, index in plan.slots] == [("audio", 0), ("video", 0)]


def test_fragments() -> None:
    """RFC 8840 section 9; RFC 9725 section 4.3.3."""
    fragment = parse_fragment(
        "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
        "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n"
    )
    assert (fragment.ice_ufrag, fragment.ice_pwd, fragment.mid) == ("EsAw", "P2uYro0UCOQ4zxjKXaWCBui1", "0")
    credentials = Credentials.for_remote(fragment.ice_ufrag, fragment.ice_pwd)
    text = build_fragment(credentials, host_candidates([("192.0.2.7", 8189)]), "m=audio 9 UDP/TLS/RTP/SAVPF 111", "0")
    again = parse_fragment(text)
    assert (again.ice_ufrag, again.ice_pwd) == (credentials.local_ufrag, credentials.local_pwd)
    assert "a=ice-lite" in text
    assert "192.0.2.7 8189 typ host\r\n" in text
    assert "192.0.2.7 8189 typ host tcptype passive\r\n" in text


@pytest.mark.parametrize(
    "text", ["", "a=ice-ufrag:EsAw", "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1", "a=ice-ufrag:E\na=ice-pwd:x"]
)
def test_a_fragment_without_credentials_is_refused(text: str) -> None:
    with pytest.raises(SdpError):
        parse_fragment(text)


def with_layers(rids: str = "q;h;f", declared: tuple[str, ...] = ("q", "h", "f"), rtx: int = 97, apt: int = 96) -> str:
    """The good offer with RTX and simulcast on its video line, which is its last."""
    offer = OFFER.replace("SAVPF 96", f"SAVPF 96 {rtx}")
    offer += f"a=rtpmap:{rtx} rtx/90000\r\na=fmtp:{rtx} apt={apt}\r\na=ssrc-group:FID 11 12\r\n"
    offer += "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n"
    offer += "a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id\r\n"
    return offer + "".join(f"a=rid:{rid} send\r\n" for rid in declared) + f"a=simulcast:send {rids}\r\n"


def test_rtx_and_layers_are_read_and_answered() -> None:
    offer = parse_offer(with_layers())
    audio, video = offer.lines
    assert (audio.rtx_payload_type, audio.rids) == (None, ())
    assert (video.rtx_payload_type, video.rids, video.repairs) == (97, ("q", "h", "f"), ((12, 11),))
    assert (video.extensions.rid, video.extensions.repaired_rid) == (10, 11)
    lines = {"0": AnsweredLine(True, 5), "1": AnsweredLine(True, 7, "name", "slot-0", 8)}
    answer = build_answer(offer, LOCAL, lines, 1)
    for line in (
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
        "a=rtpmap:97 rtx/90000",
        "a=fmtp:97 apt=96",
        "a=ssrc-group:FID 7 8",
        "a=rid:h recv",
        "a=simulcast:recv q;h;f",
        "a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
        "a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1",
    ):
        assert line in answer.split("\r\n")
    sent_only = build_answer(offer, LOCAL, {"1": AnsweredLine(False, 7)}, 1)
    assert "simulcast" not in sent_only  # layers are received or not spoken of
    plain = build_answer(parse_offer(OFFER), LOCAL, lines, 1)
    assert "rtx" not in plain
    assert "rid" not in plain


@pytest.mark.parametrize(
    ("offer", "rids"),
    [
        (with_layers("q,x;~h;f"), ("q", "h", "f")),
        (with_layers("q;unknown"), ("q",)),
        (with_layers("q;q;q"), ("q",)),
        (with_layers("a;b;c;d;e", tuple("abcde")), tuple("abcd")),
        (with_layers("much-too-long-for-an-element", ("much-too-long-for-an-element",)), ()),
        (with_layers(""), ()),
        (with_layers(";;,"), ()),
        (with_layers("q h f"), ("q",)),
        (with_layers().replace("rtp-stream-id", "something-else"), ()),
        (with_layers().replace("a=simulcast:send", "a=simulcast:recv"), ()),
    ],
)
def test_layers_that_make_no_sense_are_left_out(offer: str, rids: tuple[str, ...]) -> None:
    assert parse_offer(offer).lines[1].rids == rids


@pytest.mark.parametrize(("rtx", "apt"), [(97, 98), (111, 96), (200, 96), (70, 96)])
def test_rtx_that_cannot_be_told_apart_is_done_without(rtx: int, apt: int) -> None:
    assert parse_offer(with_layers(rtx=rtx, apt=apt)).lines[1].rtx_payload_type is None
