"""WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep) as a client meets them: statuses and headers of a real node.

Section numbers are RFC 9725's unless another document is named. Media really flows where a test says so.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urljoin

import pytest

from signaling.ids import CallId, new_call_id
from signaling.media.leg import Side
from signaling.tickets import JoinTicket, MonitorWarrant
from tests.fakes.media_client import OFFICER, PARTY, MediaClient, vp8
from tests.fixtures.waiting import eventually
from tests.integration.interop.house import FRAGMENT, PATIENCE, SDP, MediaHouse, Reply, media_house


def client_of(house: MediaHouse, lines: tuple[tuple[str, str], ...] = PARTY) -> MediaClient:
    """A client that leaves when the test ends."""
    client = MediaClient(lines)
    house.clients.append(client)
    return client


def is_strong_tag(text: str) -> bool:
    """A strong entity tag (RFC 9110 section 8.8.3)."""
    return len(text) > 2 and text[0] == text[-1] == '"' and '"' not in text[1:-1]


def code_of(reply: Reply) -> str:
    """The problem's code (RFC 9457)."""
    assert reply.content_type == "application/problem+json"
    assert json.loads(reply.text)["status"] == reply.status
    return str(json.loads(reply.text)["code"])


def fragment(client: MediaClient, *, ufrag: str = "", pwd: str = "", candidates: bool = True) -> str:
    """A trickled candidate, or an ICE restart when `ufrag` and `pwd` are new (RFC 8840 section 9)."""
    lines = [
        f"a=ice-ufrag:{ufrag or client.ufrag}",
        f"a=ice-pwd:{pwd or client.pwd}",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=mid:0",
    ]
    if candidates:
        lines += ["a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host", "a=end-of-candidates"]
    return "\r\n".join(lines) + "\r\n"


async def test_a_session_from_offer_to_end(house: MediaHouse) -> None:
    """Sections 4.2 and 4.3: 201, PATCH 204, PATCH 200 with another tag, DELETE 200, and then it is gone."""
    call_id = await house.open()
    token = house.join_ticket(call_id)
    client = client_of(house)
    created = await house.post(f"/media/whip/{call_id}", token, client.offer())
    assert (created.status, created.content_type) == (201, SDP)
    assert is_strong_tag(created.headers["ETag"])
    assert created.headers["Accept-Patch"] == FRAGMENT
    assert created.headers["Cache-Control"] == "no-store"
    session = urljoin(f"/media/whip/{call_id}", created.headers["Location"])
    assert len(session.rpartition("_")[2]) == 26, "130 bits of text, 80 of them random: nobody guesses a session"
    for line in ("a=ice-lite", "a=setup:passive", "a=group:BUNDLE 0 1", "a=rtcp-mux", "a=end-of-candidates"):
        assert line in created.text.splitlines()
    await client.connect(created.text)

    async def patch(body: str, match: str | None) -> Reply:
        headers = {"Content-Type": FRAGMENT} | ({"If-Match": match} if match is not None else {})
        return await house.request("PATCH", session, token, body, headers)

    trickled = await patch(fragment(client), created.headers["ETag"])
    assert (trickled.status, trickled.text) == (204, "")
    assert "ETag" not in trickled.headers, "section 4.3.2: a trickle's answer carries no tag"
    assert code_of(await patch(fragment(client), None)) == "precondition_required"
    assert (await patch(fragment(client), None)).status == 428
    assert (await patch(fragment(client), '"of-another-time"')).status == 412
    assert (await patch(fragment(client), f"W/{created.headers['ETag']}")).status == 412  # RFC 9110 section 13.1.1

    renewed = fragment(client, ufrag="another1", pwd="another-password-012345".replace("-", "x"), candidates=False)
    restarted = await patch(renewed, "*")
    assert (restarted.status, restarted.content_type) == (200, FRAGMENT)
    assert is_strong_tag(restarted.headers["ETag"])
    assert restarted.headers["ETag"] != created.headers["ETag"]
    given = dict(
        line[2:].split(":", 1) for line in restarted.text.split("\r\n") if line.startswith("a=ice-") and ":" in line
    )
    assert given["ice-ufrag"] != client.local_ufrag
    assert given["ice-pwd"] != client.local_pwd
    assert (await patch(fragment(client), created.headers["ETag"])).status == 412, "the old ICE session's tag"

    client.ufrag, client.local_ufrag, client.local_pwd = "another1", given["ice-ufrag"], given["ice-pwd"]
    await client.check(nominate=True)
    received = house.counters(call_id).received
    client.send_rtp("audio", b"after the restart", 0)
    await eventually(lambda: house.counters(call_id).received == received + 1, "media on the new path", PATIENCE)

    # Section 4.3.1: a tag has no meaning in a DELETE and is ignored there.
    ended = await house.request("DELETE", session, token, headers={"If-Match": '"of-another-time"'})
    assert ended.status == 200
    for method in ("DELETE", "PATCH"):
        again = await house.request(
            method, session, token, fragment(client), {"Content-Type": FRAGMENT, "If-Match": "*"}
        )
        assert (again.status, code_of(again)) == (404, "unknown_session")
    assert house.room(call_id).session_ids == ()


async def test_ice_servers_are_told_to_who_has_a_session(turn_house: MediaHouse) -> None:
    """Section 4.6: one Link field for each address, with the credentials for this session; none without a session."""
    house = turn_house
    call_id = await house.open()
    client = client_of(house)
    async with house.http.post(
        f"{house.url}/media/whip/{call_id}",
        data=client.offer(),
        headers={"Content-Type": SDP, "Authorization": f"Bearer {house.join_ticket(call_id)}"},
    ) as response:
        links = response.headers.getall("Link")
    assert links == [
        '<stun:turn.example:3478>; rel="ice-server"',
        '<turn:turn.example:3478?transport=udp>; rel="ice-server"; username="1767225600:a"; credential="c3=";'
        ' credential-type="password"',
        '<turns:turn.example:443?transport=tcp>; rel="ice-server"; username="1767225600:a"; credential="c3=";'
        ' credential-type="password"',
    ]
    for method, token in (("POST", None), ("OPTIONS", None)):
        refused = await house.request(method, f"/media/whip/{call_id}", token, "", {"Content-Type": SDP})
        assert "Link" not in refused.headers


@dataclass(frozen=True)
class Server:
    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


@pytest.fixture
async def turn_house() -> AsyncIterator[MediaHouse]:
    """A house with a STUN and a TURN server."""
    urls = ("turn:turn.example:3478?transport=udp", "turns:turn.example:443?transport=tcp")
    servers = (Server(("stun:turn.example:3478",)), Server(urls, "1767225600:a", "c3="))
    async with media_house(ice_servers=lambda: servers) as made:
        yield made


async def test_a_malformed_restart_leaves_the_session_as_it_was(house: MediaHouse) -> None:
    """Section 4.3.3: a restart that cannot be done is an error, and the session goes on."""
    call_id = await house.open()
    client, created = await house.join(call_id, Side.FAMILY)
    token, session = house.join_ticket(call_id), created.headers["Location"]
    for body, status in (
        ("", 400),
        ("a=ice-ufrag:x\r\n", 400),
        (fragment(client, ufrag="ufrag with spaces"), 400),
        (fragment(client, ufrag="new1", pwd="short"), 400),
        (fragment(client, pwd="another0password0of0some0length"), 400),  # a password alone is no restart
        ("x" * 70_000, 413),
    ):
        reply = await house.request("PATCH", session, token, body, {"Content-Type": FRAGMENT, "If-Match": "*"})
        assert reply.status == status, body[:60]
    wrong = await house.request("PATCH", session, token, fragment(client), {"Content-Type": SDP, "If-Match": "*"})
    assert (wrong.status, code_of(wrong)) == (415, "unsupported_media_type")
    await client.check(nominate=True)  # with the credentials of before
    client.send_rtp("audio", b"still here", 0)
    await eventually(lambda: house.counters(call_id).received == 1, "media", PATIENCE)
    assert house.counters(call_id).ice_restarts == 0


async def test_only_the_methods_of_the_rfc_are_there(house: MediaHouse) -> None:
    """Sections 4.2 and 4.3: any other method is 405 and reserved; Allow says which there are (RFC 9110 10.2.1)."""
    call_id = await house.open()
    _, created = await house.join(call_id, Side.FAMILY)
    token = house.join_ticket(call_id)
    for path, methods, reserved in (
        (f"/media/whip/{call_id}", {"POST", "OPTIONS"}, ("GET", "HEAD", "PUT", "PATCH", "DELETE")),
        (f"/media/whep/{call_id}", {"POST", "OPTIONS"}, ("GET", "HEAD", "PUT", "PATCH", "DELETE")),
        ("/media/whep", {"POST", "OPTIONS"}, ("GET", "HEAD", "PUT", "PATCH", "DELETE")),  # the wall
        (created.headers["Location"], {"PATCH", "DELETE", "OPTIONS"}, ("GET", "HEAD", "PUT", "POST")),
    ):
        for method in reserved:
            reply = await house.request(method, path, token)
            assert reply.status == 405, f"{method} {path}"
            assert {name.strip() for name in reply.headers["Allow"].split(",")} == methods
    assert house.room(call_id).session_ids != ()


async def test_pages_of_other_origins_may_ask_with_a_ticket(house: MediaHouse) -> None:
    """Section 4.2: OPTIONS and CORS. A ticket is all that authorises, so no origin has more right than another."""
    call_id = await house.open()
    client = client_of(house)
    origin = {"Origin": "https://visits.example"}
    for path, methods in (
        (f"/media/whip/{call_id}", {"POST"}),
        (f"/media/whep/{call_id}", {"POST"}),
        ("/media/whep", {"POST"}),
        ("/media/sessions/ses_whatever", {"PATCH", "DELETE"}),
    ):
        for method in methods:
            asked = {
                **origin,
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": "authorization,content-type,if-match",
            }
            reply = await house.request("OPTIONS", path, headers=asked)
            assert reply.status in (200, 204)
            assert reply.headers["Access-Control-Allow-Origin"] == "*"
            assert "Access-Control-Allow-Credentials" not in reply.headers, "cookies have no business here"
            assert method in reply.headers["Access-Control-Allow-Methods"]
            allowed = {name.strip().lower() for name in reply.headers["Access-Control-Allow-Headers"].split(",")}
            assert {"authorization", "content-type", "if-match"} <= allowed
            assert "Link" not in reply.headers, "section 4.6: no TURN credentials for a preflight"
        if methods == {"POST"}:
            assert reply.headers["Accept-Post"] == SDP
    created = await house.request(
        "POST",
        f"/media/whip/{call_id}",
        house.join_ticket(call_id),
        client.offer(),
        {"Content-Type": SDP, **origin},
    )
    assert created.status == 201
    assert created.headers["Access-Control-Allow-Origin"] == "*"
    exposed = {name.strip().lower() for name in created.headers["Access-Control-Expose-Headers"].split(",")}
    assert {"location", "etag", "link"} <= exposed
    refused = await house.request("POST", f"/media/whip/{call_id}", None, "", {"Content-Type": SDP, **origin})
    assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (401, "*"), "the page may read why"


async def test_what_is_no_offer_is_refused_and_makes_no_session(house: MediaHouse) -> None:
    """Section 4.2: 415 for another media type, 400 for what cannot be read or answered, 413 beyond 64 KiB."""
    call_id = await house.open()
    token, good = house.join_ticket(call_id), client_of(house).offer()
    path = f"/media/whip/{call_id}"
    for media_type in ("text/plain", "application/json", FRAGMENT, "application/x-www-form-urlencoded"):
        reply = await house.request("POST", path, token, good, {"Content-Type": media_type})
        assert (reply.status, code_of(reply)) == (415, "unsupported_media_type")
    for body in (
        "",
        "v=0\r\n",
        "hello",
        good.replace("VP8/90000", "H264/90000").replace("opus/48000/2", "PCMU/8000"),
        good.replace("a=group:BUNDLE 0 1\r\n", ""),
        good.replace("a=rtcp-mux\r\n", ""),
        good.replace("a=ice-pwd:", "a=ice-nothing:"),
        good.replace("a=fingerprint:sha-256", "a=fingerprint:md5"),
        good.replace("a=setup:actpass", "a=setup:holdconn"),
        good.replace("a=mid:1", "a=mid:0"),
        good.replace("s=-\r\n", "s=-\r\na=ice-lite\r\n"),
        "v=0" + "\r\na=x" * 9000,
    ):
        reply = await house.post(path, token, body)
        assert (reply.status, code_of(reply)) == (400, "bad_sdp"), body[:200]
    large = await house.post(path, token, good + "a=x:" + "y" * 70_000)
    assert (large.status, code_of(large)) == (413, "too_large")
    chunked = await house.http.post(
        house.url + path, data=_chunks(), headers={"Content-Type": SDP, "Authorization": f"Bearer {token}"}
    )
    assert chunked.status == 413, "nobody hides a large body by not saying how large it is"
    binary = await house.request("POST", path, token, b"v=0\xff\xfe", {"Content-Type": SDP})
    assert binary.status == 400
    assert house.room(call_id).session_ids == ()
    with_parameter = await house.request("POST", path, token, good, {"Content-Type": "application/sdp; charset=utf-8"})
    assert with_parameter.status == 201


async def _chunks() -> AsyncIterator[bytes]:
    for _ in range(80):
        yield b"x" * 1024


@pytest.mark.parametrize("kind", ["whip", "whep"])
async def test_tickets(house: MediaHouse, kind: str) -> None:
    """RFC 6750: 401 with a challenge for a ticket that is none, 403 for a good one of something else."""
    call_id, other = await house.open(), await house.open()
    offer = client_of(house, PARTY if kind == "whip" else OFFICER).offer()
    join = JoinTicket(call_id, "family", Side.FAMILY, "A", "idc_1")
    watch = MonitorWarrant((call_id,), "stf_1", "sample")  # type: ignore[arg-type]
    body, wrong = (join, watch) if kind == "whip" else (watch, join)
    good = house.sign(body)
    head, claims, signature = good.split(".")
    stranger = MediaHouse().sign(body)
    foreign = house.join_ticket(other) if kind == "whip" else house.warrant(other)
    cases = {
        None: (401, "missing_ticket"),
        "": (401, "missing_ticket"),
        "nonsense": (401, "malformed"),
        f"{head}.{claims}.": (401, None),
        f"{head}.{claims}.{signature[::-1]}": (401, "bad_signature"),
        f"{head}.{stranger.split('.')[1]}.{signature}": (401, "bad_signature"),
        stranger: (401, "bad_signature"),
        house.sign(body, not_before=house.clock() + timedelta(minutes=30)): (401, "not_yet"),
        house.sign(wrong): (403, "wrong_type"),
        foreign: (403, "wrong_call"),
    }
    for token, (status, code) in cases.items():
        reply = await house.post(f"/media/{kind}/{call_id}", token, offer)
        assert reply.status == status, f"{code}: {reply.text}"
        if code is not None:
            assert code_of(reply) == code
        assert ("WWW-Authenticate" in reply.headers) == (status == 401)
    basic = await house.request(
        "POST", f"/media/{kind}/{call_id}", None, offer, {"Content-Type": SDP, "Authorization": "Basic YTpi"}
    )
    assert basic.status == 401
    assert house.room(call_id).session_ids == ()

    expiring = house.sign(body, minutes=0.02)
    await eventually(lambda: _expired(house, expiring), "the ticket's end", PATIENCE)
    late = await house.post(f"/media/{kind}/{call_id}", expiring, offer)
    assert (late.status, code_of(late)) == (401, "expired")
    assert house.room(call_id).session_ids == ()


def _expired(house: MediaHouse, token: str) -> bool:
    claims = token.split(".")[1]
    until = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"]
    return house.clock().timestamp() > float(until)


async def test_unknown_calls_and_other_peoples_sessions(house: MediaHouse) -> None:
    call_id, other = await house.open(), await house.open()
    client, created = await house.join(call_id, Side.FAMILY)
    session = created.headers["Location"]
    for kind, make in (("whip", house.join_ticket), ("whep", house.warrant)):
        unknown: CallId = new_call_id(privileged=False)
        reply = await house.post(f"/media/{kind}/{unknown}", make(unknown), client.offer())
        assert (reply.status, code_of(reply)) == (404, "unknown_call")
        reply = await house.post(f"/media/{kind}/not-a-call", make(call_id), client.offer())
        assert reply.status == 400
    for token, status in (
        (None, 401),
        ("nonsense", 401),
        (house.join_ticket(call_id, Side.PRISONER), 404),  # in the same call, but somebody else
        (house.warrant(call_id), 404),
        (house.join_ticket(other), 403),
        (house.warrant(other), 403),
    ):
        headers = {"Content-Type": FRAGMENT, "If-Match": "*"}
        body = fragment(client, ufrag="stolen00", pwd="stolen0stolen0stolen0stolen")
        assert (await house.request("PATCH", session, token, body, headers)).status == status
        assert (await house.request("DELETE", session, token)).status == status
    assert len(house.room(call_id).session_ids) == 1
    assert house.counters(call_id).ice_restarts == 0


async def test_a_privileged_call_has_no_whep(house: MediaHouse) -> None:
    call_id, ordinary = await house.open(privileged=True), await house.open()
    offer = client_of(house, OFFICER).offer()
    for token in (house.warrant(ordinary), house.join_ticket(call_id), None):
        reply = await house.post(f"/media/whep/{call_id}", token, offer)
        assert reply.status in (401, 403)
    assert house.media.stats().sessions == 0


async def test_an_officers_session_receives_and_never_sends(house: MediaHouse) -> None:
    """WHEP: what an officer's client sends goes nowhere, and its session is ended like any other."""
    call_id = await house.open()
    family, _ = await house.join(call_id, Side.FAMILY)
    await house.join(call_id, Side.PRISONER)
    await house.until_live(call_id)
    officer = client_of(house, (("video", "sendrecv"), ("audio", "sendrecv"), ("video", "recvonly")))
    token = house.warrant(call_id)
    created = await house.post(f"/media/whep/{call_id}", token, officer.offer())
    assert created.status == 201
    assert {line for line in created.text.splitlines() if line in ("a=sendrecv", "a=recvonly")} == set()
    await officer.connect(created.text)
    await eventually(lambda: bool(house.node.rooms.get(call_id).machine.state.monitors), "the watch", PATIENCE)
    for number in range(10):
        family.send_rtp("audio", b"voice", number * 960)
        family.send_rtp("video", vp8(number, key=number == 0), number * 3000)
        officer.send_rtp("audio", b"intruder", number * 960)
    await eventually(lambda: len(officer.received.rtp) >= 20, "the call in the officer's slots", PATIENCE)
    await eventually(lambda: house.counters(call_id).dropped_unknown_track >= 10, "the intruder's packets", PATIENCE)
    assert house.counters(call_id).received == 20
    await asyncio.gather(*(house.request("DELETE", created.headers["Location"], token) for _ in range(2)))
    assert not house.node.rooms.get(call_id).machine.state.monitors
