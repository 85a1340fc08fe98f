"""Tickets: what is signed comes back; anything else is refused with a code that says why."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jws
from joserfc.jwk import OctKey, OKPKey

from signaling.errors import PrivilegedCallError, TicketError
from signaling.ids import CallId, OrdinaryCallId, PrivilegedCallId, new_call_id
from signaling.media.leg import Kind, Side
from signaling.tickets import (
    CallCharter,
    JoinTicket,
    MonitorWarrant,
    RecordingPolicy,
    RecordingWarrant,
    Supervision,
    Ticket,
    TicketIssuer,
    TicketVerifier,
    peek_call_id,
)
from tests.fakes.clock import FakeClock
from tests.unit.signaling.charters import LOBBY, START, charter

HOUR = timedelta(hours=1)


class Signer:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.key = Ed25519PrivateKey.generate()
        self.issuer = TicketIssuer(self.key, self.clock)
        self.verifier = TicketVerifier([self.key.public_key()], self.clock)

    def sign(self, ticket: Ticket, life: timedelta = HOUR) -> str:
        return self.issuer.issue(ticket, expires_at=self.clock() + life)

    def forge(self, typ: str, **claims: object) -> str:
        """A token with a good signature and whatever content: what a broken issuer could make."""
        now = int(self.clock().timestamp())
        key = OKPKey.import_key(self.key)
        body = {"jti": "j", "iat": now, "nbf": now, "exp": now + 600, **claims}
        header = {"alg": "Ed25519", "typ": typ, "kid": key.thumbprint()}
        return jws.serialize_compact(header, json.dumps(body), key, algorithms=["Ed25519"])


@pytest.fixture
def signer() -> Signer:
    return Signer()


def ordinary() -> OrdinaryCallId:
    call_id = new_call_id(privileged=False)
    assert isinstance(call_id, OrdinaryCallId)
    return call_id


def join(call_id: CallId | None = None) -> JoinTicket:
    return JoinTicket(call_id or ordinary(), "ctc_1", Side.FAMILY, "Aino Ääkkönen", "idc_1")


def test_every_kind_comes_back_as_it_was_signed(signer: Signer) -> None:
    call_id = ordinary()
    opened = charter(recording=RecordingPolicy.REQUIRED, supervision=Supervision.LIVE, watch_banner=True)
    assert signer.verifier.charter(signer.sign(opened)).body == opened
    assert signer.verifier.join(signer.sign(join(call_id)), call_id).body == join(call_id)
    watch = MonitorWarrant((call_id, ordinary()), "stf_1", "policy: live supervision", may_talk=True)
    assert signer.verifier.monitor(signer.sign(watch), call_id).body == watch
    record = RecordingWarrant(call_id, "rec_1", (Kind.AUDIO, Kind.VIDEO), "policy-7")
    assert signer.verifier.recording(signer.sign(record), call_id).body == record


def test_verified_says_what_was_signed_around_the_ticket(signer: Signer) -> None:
    verified = signer.verifier.join(signer.sign(join()))
    assert verified.issued_at == signer.clock()
    assert verified.expires_at == signer.clock() + HOUR
    assert verified.jti.startswith("jti_")
    assert verified.jti != signer.verifier.join(signer.sign(join())).jti


def test_a_ticket_expires_to_the_second(signer: Signer) -> None:
    token = signer.sign(join(), timedelta(seconds=60))
    signer.clock.advance(59)
    signer.verifier.join(token)
    signer.clock.advance(1)
    with pytest.raises(TicketError) as refused:
        signer.verifier.join(token)
    assert refused.value.code == "expired"


def test_a_ticket_of_tomorrow_is_not_valid_yet(signer: Signer) -> None:
    token = signer.issuer.issue(
        join(), expires_at=signer.clock() + HOUR, not_before=signer.clock() + timedelta(minutes=5)
    )
    with pytest.raises(TicketError) as refused:
        signer.verifier.join(token)
    assert refused.value.code == "not_yet"
    signer.clock.advance(300)
    signer.verifier.join(token)


def test_a_clock_that_is_a_little_behind_is_forgiven(signer: Signer) -> None:
    token = signer.sign(join())
    signer.clock.advance(-4)
    signer.verifier.join(token)
    signer.clock.advance(-4)
    with pytest.raises(TicketError) as refused:
        signer.verifier.join(token)
    assert refused.value.code == "not_yet"


def test_one_kind_is_never_taken_for_another(signer: Signer) -> None:
    call_id = ordinary()
    tokens = {
        "charter": signer.sign(charter(call_id=call_id)),
        "join": signer.sign(join(call_id)),
        "monitor": signer.sign(MonitorWarrant((call_id,), "stf_1", "sample")),
        "recording": signer.sign(RecordingWarrant(call_id, "rec_1", (Kind.AUDIO,), "1")),
    }
    for shown, token in tokens.items():
        for asked in set(tokens) - {shown}:
            with pytest.raises(TicketError) as refused:
                getattr(signer.verifier, asked)(token)
            assert refused.value.code == "wrong_type", (shown, asked)


def test_a_ticket_is_for_its_call_only(signer: Signer) -> None:
    for token, check in (
        (signer.sign(join()), signer.verifier.join),
        (signer.sign(MonitorWarrant((ordinary(),), "stf_1", "sample")), signer.verifier.monitor),
        (signer.sign(RecordingWarrant(ordinary(), "rec_1", (Kind.AUDIO,), "1")), signer.verifier.recording),
    ):
        with pytest.raises(TicketError) as refused:
            check(token, ordinary())
        assert refused.value.code == "wrong_call"


def test_every_flipped_bit_is_found(signer: Signer) -> None:
    token = signer.sign(join())
    for position in range(len(token)):
        if token[position] == ".":
            continue
        replaced = "A" if token[position] != "A" else "Z"
        altered = token[:position] + replaced + token[position + 1 :]
        if _decoded(altered) == _decoded(token):
            continue  # the last base64url character of a part has bits that mean nothing
        with pytest.raises(TicketError) as refused:
            signer.verifier.join(altered)
        assert refused.value.code in {"bad_signature", "malformed"}


def _decoded(token: str) -> list[bytes]:
    return [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")]


def test_a_stranger_s_signature_is_refused(signer: Signer) -> None:
    stranger = TicketIssuer(Ed25519PrivateKey.generate(), signer.clock)
    with pytest.raises(TicketError) as refused:
        signer.verifier.join(stranger.issue(join(), expires_at=signer.clock() + HOUR))
    assert refused.value.code == "bad_signature"


def test_a_stranger_s_signature_under_our_key_id_is_refused(signer: Signer) -> None:
    stranger = OKPKey.import_key(Ed25519PrivateKey.generate())
    ours = OKPKey.import_key(signer.key).thumbprint()
    header = {"alg": "Ed25519", "typ": "visit-join+jws", "kid": ours}
    token = jws.serialize_compact(header, b"{}", stranger, algorithms=["Ed25519"])
    with pytest.raises(TicketError) as refused:
        signer.verifier.join(token)
    assert refused.value.code == "bad_signature"


def test_no_other_algorithm_is_accepted(signer: Signer) -> None:
    public = OKPKey.import_key(signer.key.public_key())
    kid = public.thumbprint()
    # The classic confusion: an HMAC keyed with the public key; and the algorithm `none`.
    secret = OctKey.import_key(public.as_dict()["x"] * 2)
    hmac = jws.serialize_compact({"alg": "HS256", "typ": "visit-join+jws", "kid": kid}, b"{}", secret)
    none = ".".join(
        base64.urlsafe_b64encode(part).rstrip(b"=").decode()
        for part in (json.dumps({"alg": "none", "typ": "visit-join+jws", "kid": kid}).encode(), b"{}", b"")
    )
    for token in (hmac, none):
        with pytest.raises(TicketError):
            signer.verifier.join(token)


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "ä", "x" * 9000, "e30.e30.e30", "bm90anNvbg.e30."])
def test_what_is_no_token_is_refused(signer: Signer, token: str) -> None:
    with pytest.raises(TicketError):
        signer.verifier.join(token)
    with pytest.raises(TicketError):
        peek_call_id(token)


def test_keys_can_be_rolled_over(signer: Signer) -> None:
    newer = Ed25519PrivateKey.generate()
    verifier = TicketVerifier([signer.key.public_key(), newer.public_key()], signer.clock)
    verifier.join(signer.sign(join()))
    verifier.join(TicketIssuer(newer, signer.clock).issue(join(), expires_at=signer.clock() + HOUR))


def test_nobody_can_make_a_warrant_for_a_privileged_call() -> None:
    privileged = new_call_id(privileged=True)
    disguised = OrdinaryCallId(privileged)  # the type says ordinary, the identifier does not
    renamed = PrivilegedCallId("call_" + privileged[5:])
    for call_id in (privileged, disguised, renamed):
        with pytest.raises(PrivilegedCallError):
            MonitorWarrant((ordinary(), call_id), "stf_1", "sample")  # type: ignore[arg-type]
        with pytest.raises(PrivilegedCallError):
            RecordingWarrant(call_id, "rec_1", (Kind.AUDIO,), "1")  # type: ignore[arg-type]


def test_a_forged_warrant_for_a_privileged_call_is_refused_although_its_signature_is_good(signer: Signer) -> None:
    privileged = new_call_id(privileged=True)
    watch = signer.forge("visit-monitor+jws", calls=[ordinary(), privileged], sub="stf_1", ground="x", may_talk=False)
    record = signer.forge("visit-recording+jws", call=privileged, recording="rec_1", tracks=["audio"], policy="1")
    for check in (
        lambda: signer.verifier.monitor(watch),
        lambda: signer.verifier.monitor(watch, privileged),
        lambda: signer.verifier.recording(record),
        lambda: signer.verifier.recording(record, privileged),
    ):
        with pytest.raises(PrivilegedCallError) as refused:
            check()
        assert (refused.value.code, refused.value.status) == ("privileged_call", 403)


def test_a_privileged_charter_cannot_ask_for_recording_or_watching(signer: Signer) -> None:
    with pytest.raises(PrivilegedCallError):
        charter(privileged=True, recording=RecordingPolicy.REQUIRED)
    with pytest.raises(PrivilegedCallError):
        charter(privileged=True, supervision=Supervision.SAMPLE)
    times = {"starts_at": START.isoformat(), "ends_at": (START + HOUR).isoformat(), "lobby_opens_at": LOBBY.isoformat()}
    forged = signer.forge(
        "visit-charter+jws",
        call=new_call_id(privileged=True),
        sides=["family"],
        recording="required",
        supervision="none",
        watch_banner=False,
        **times,
    )
    with pytest.raises(PrivilegedCallError):
        signer.verifier.charter(forged)


def test_a_ticket_that_lives_too_long_is_refused_by_both_ends(signer: Signer) -> None:
    with pytest.raises(ValueError, match="longest life"):
        signer.sign(join(), timedelta(days=2))
    now = int(signer.clock().timestamp())
    content = {"call": ordinary(), "sub": "p", "side": "family", "name": "A", "identity_check": "idc_1"}
    with pytest.raises(TicketError) as refused:
        signer.verifier.join(signer.forge("visit-join+jws", **content, exp=now + 40 * 86400))
    assert refused.value.code == "malformed"


@pytest.mark.parametrize(
    "change",
    [
        {"call": "call_x"},
        {"call": 7},
        {"side": "officer"},
        {"name": ""},
        {"name": "x" * 201},
        {"sub": "a b"},
        {"identity_check": ""},
        {"identity_check": None},
        {"exp": "soon"},
        {"exp": True},
        {"iat": -1},
        {"nbf": 1 << 60},
    ],
)
def test_signed_nonsense_is_malformed(signer: Signer, change: dict[str, object]) -> None:
    good = {"call": ordinary(), "sub": "p", "side": "family", "name": "A", "identity_check": "idc_1"}
    signer.verifier.join(signer.forge("visit-join+jws", **good))
    with pytest.raises(TicketError) as refused:
        signer.verifier.join(signer.forge("visit-join+jws", **{**good, **change}))
    assert refused.value.code == "malformed"


def test_a_charter_s_times_are_in_order_and_zoned() -> None:
    good = charter()
    fields = {name: getattr(good, name) for name in CallCharter.__dataclass_fields__}
    for change in (
        {"ends_at": START},
        {"lobby_opens_at": START + HOUR},
        {"starts_at": START.replace(tzinfo=None)},
        {"ends_at": START + timedelta(hours=13)},
        {"sides": ()},
        {"sides": (Side.FAMILY, Side.FAMILY)},
    ):
        with pytest.raises((ValueError, TypeError)):
            CallCharter(**{**fields, **change})


def test_the_call_can_be_read_off_a_token_for_routing(signer: Signer) -> None:
    call_id = ordinary()
    assert peek_call_id(signer.sign(charter(call_id=call_id))) == call_id
