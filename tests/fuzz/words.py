"""Targets: SDP offers and fragments, the channel's messages, tickets. tests/fuzz/targets.py says what a target is."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from aiortc.sdp import SessionDescription
from joserfc import jws
from joserfc.jwk import OKPKey

from signaling.capabilities import CallCharter, MonitorWarrant, RecordingWarrant
from signaling.errors import InvalidRequest, TicketError
from signaling.ids import OrdinaryCallId, parse_call_id
from signaling.media.candidates import host_candidates
from signaling.media.errors import SdpError
from signaling.media.sdp import AnsweredLine, LocalTransport, build_answer, parse_offer
from signaling.media.sdpfrag import build_fragment, parse_fragment
from signaling.media.slots import SlotPlan
from signaling.messages import parse_client_message
from signaling.tickets import peek_call_id
from tests.fuzz.known import CREDENTIALS, KEY, NOW, TICKETS, VERIFIER

_TOKEN = re.compile(r"[A-Za-z0-9+/]+")
_LINE = re.compile(r"[a-z]=\S.*|s=-")
_LOCAL = LocalTransport(
    CREDENTIALS.local_ufrag,
    CREDENTIALS.local_pwd,
    ("sha-256", ":".join(["AB"] * 32)),
    tuple(host_candidates([("192.0.2.1", 8189)])),
)


def offer(data: bytes) -> None:
    """An offer is answered, line for line, with a description that can be read, or refused with SdpError."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    try:
        parsed = parse_offer(text)
    except SdpError as error:
        assert error.status == 400
        assert 0 < len(error.detail) < 200
        return
    assert parsed == parse_offer(text)
    for publishes in (True, False):
        try:
            plan = SlotPlan(parsed, publishes=publishes, most=5)
        except SdpError:
            continue
        assert len(plan.published) <= 2
    lines = {
        line.mid: AnsweredLine(receives=line.sends, ssrc=number + 1 if line.wants else None, cname="c", stream="s")
        for number, line in enumerate(parsed.lines)
        if line.is_usable
    }
    answer = build_answer(parsed, _LOCAL, lines, 1)
    written = answer.split("\r\n")
    assert written.pop() == ""
    assert all(_LINE.fullmatch(line) for line in written), "no line of the answer is one that the offer smuggled in"
    assert sum(line.startswith("m=") for line in written) == len(parsed.lines)
    read = SessionDescription.parse(answer)
    assert [media.kind for media in read.media] == [line.kind for line in parsed.lines]
    for media, line in zip(read.media, parsed.lines, strict=True):
        assert (media.port != 0) == line.is_usable
        if not line.is_usable:
            continue
        assert media.rtp.muxId == line.mid
        assert media.rtp.codecs[0].payloadType == line.payload_type
        sends, wants = media.direction in ("sendrecv", "sendonly"), media.direction in ("sendrecv", "recvonly")
        assert not sends or line.wants
        assert not wants or line.sends


def fragment(data: bytes) -> None:
    """A fragment gives well-formed credentials or is refused with SdpError; ours can be read back."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    try:
        parsed = parse_fragment(text)
    except SdpError:
        return
    assert _TOKEN.fullmatch(parsed.ice_ufrag)
    assert 4 <= len(parsed.ice_ufrag) <= 256
    assert _TOKEN.fullmatch(parsed.ice_pwd)
    assert 22 <= len(parsed.ice_pwd) <= 256
    built = build_fragment(CREDENTIALS, _LOCAL.candidates, "m=audio 9 UDP/TLS/RTP/SAVPF 111", "0")
    again = parse_fragment(built)
    assert (again.ice_ufrag, again.ice_pwd, again.mid) == (CREDENTIALS.local_ufrag, CREDENTIALS.local_pwd, "0")


def message(data: bytes) -> None:
    """A message is one of ours, and written and read again the same; or it is refused without being repeated."""
    try:
        parsed = parse_client_message(data)
    except InvalidRequest as error:
        assert len(error.detail) <= 290
        return
    assert parse_client_message(parsed.model_dump_json()) == parsed


def ticket(data: bytes) -> None:
    """A first byte below 128: a token as it came. Otherwise claims, signed by the application's own key.

    Nothing but a TicketError is raised; what is believed was issued; nobody ever gets a warrant for a privileged call.
    """
    if not data:
        return
    kind = data[0] & 3
    types = ("visit-charter+jws", "visit-join+jws", "visit-monitor+jws", "visit-recording+jws")
    if data[0] < 128:
        token = data[1:].decode("utf-8", "replace")
    else:
        header = {"alg": "Ed25519", "typ": types[kind], "kid": _OWN.thumbprint()}
        token = jws.serialize_compact(header, data[1:], _OWN, algorithms=["Ed25519"])
    try:
        peek_call_id(token)
    except TicketError:
        pass
    believed: list[Any] = []
    checks: tuple[Callable[[str], Any], ...] = (
        VERIFIER.charter,
        VERIFIER.join,
        VERIFIER.monitor,
        VERIFIER.recording,
    )
    for check in checks:
        try:
            believed.append(check(token))
        except TicketError as error:
            assert error.status in (401, 403)
            assert data[-20:] == b"" or error.detail
    assert len(believed) <= 1, "one kind is never taken for another"
    for verified in believed:
        body = verified.body
        assert verified.expires_at > NOW
        if data[0] < 128:
            assert body in TICKETS
        if isinstance(body, MonitorWarrant):
            assert all(isinstance(parse_call_id(call_id), OrdinaryCallId) for call_id in body.call_ids)
        if isinstance(body, RecordingWarrant):
            assert isinstance(parse_call_id(body.call_id), OrdinaryCallId)
        if isinstance(body, CallCharter) and body.privileged:
            assert (body.recording, body.supervision) == ("none", "none")


_OWN = OKPKey.import_key(KEY)
