"""WHIP and WHEP over real HTTP: statuses, headers, and who is let in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from signaling.ids import new_call_id
from signaling.media.leg import Side
from signaling.tickets import JoinTicket, MonitorWarrant, RecordingPolicy
from tests.unit.signaling.charters import charter
from tests.unit.signaling.stage import Reply, Stage, stage

FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


@pytest.fixture
async def on() -> AsyncIterator[Stage]:
    async with stage() as made:
        yield made


def problem(response: Reply) -> dict[str, object]:
    assert response.content_type == "application/problem+json"
    found: dict[str, object] = json.loads(response.text)
    assert found["status"] == response.status
    return found


async def test_an_offer_is_answered_as_whip_says(on: Stage) -> None:
    given = charter()
    media = await on.open(given)
    response = await on.post(f"/media/whip/{given.call_id}", on.ticket(given.call_id))
    assert response.status == 201
    assert response.content_type == "application/sdp"
    assert response.headers["ETag"] == '"ice-0"'
    assert response.headers["Accept-Patch"] == "application/trickle-ice-sdpfrag"
    (session_id,) = media.sessions
    assert response.headers["Location"] == f"/media/sessions/{session_id}"
    assert response.text.startswith("v=0")


async def test_trickle_restart_and_delete(on: Stage) -> None:
    given = charter()
    media = await on.open(given)
    token = on.ticket(given.call_id)
    path = (await on.post(f"/media/whip/{given.call_id}", token)).headers["Location"]

    async def patch(body: str, **headers: str) -> Reply:
        return await on.request("PATCH", path, token, body, **FRAGMENT, **headers)

    assert (await patch("a=candidate:1\r\n", **{"If-Match": '"ice-0"'})).status == 204
    assert (await patch("a=candidate:1\r\n")).status == 428
    assert (await patch("a=candidate:1\r\n", **{"If-Match": '"other"'})).status == 412
    restarted = await patch("a=ice-ufrag:x\r\n", **{"If-Match": "*"})
    assert restarted.status == 200
    assert restarted.content_type == "application/trickle-ice-sdpfrag"
    assert restarted.headers["ETag"] == '"ice-0\'"'
    assert (await on.request("DELETE", path, token)).status == 200
    assert media.sessions == {}
    assert (await on.request("DELETE", path, token)).status == 404


async def test_a_session_belongs_to_its_ticket(on: Stage) -> None:
    given, other = charter(), charter()
    media = await on.open(given)
    await on.open(other)
    path = (await on.post(f"/media/whip/{given.call_id}", on.ticket(given.call_id))).headers["Location"]
    for token, status in (
        (on.ticket(given.call_id, "prisoner"), 404),
        (on.ticket(other.call_id), 403),
        (on.warrant(given.call_id), 404),
        (on.warrant(other.call_id), 403),
        ("nonsense", 401),
        (None, 401),
    ):
        assert (await on.request("DELETE", path, token)).status == status
        assert (await on.request("PATCH", path, token, "x", **FRAGMENT, **{"If-Match": "*"})).status == status
    assert len(media.sessions) == 1
    unknown = await on.request("DELETE", "/media/sessions/med_none", on.ticket(given.call_id))
    assert (unknown.status, (problem(unknown))["code"]) == (404, "unknown_session")
    assert (await on.request("DELETE", "/media/sessions/med_none", None)).status == 401


async def test_an_officer_watches_an_ordinary_call(on: Stage) -> None:
    given = charter()
    media = await on.open(given)
    response = await on.post(f"/media/whep/{given.call_id}", on.warrant(given.call_id))
    assert response.status == 201
    media.connect(next(iter(media.sessions)))
    snapshot = await on.control.snapshot(given.call_id)
    assert snapshot.officers == ("stf_1",)
    assert (await on.request("DELETE", response.headers["Location"], on.warrant(given.call_id))).status == 200
    assert (await on.control.snapshot(given.call_id)).officers == ()


async def test_a_privileged_call_cannot_be_watched_with_any_token(on: Stage) -> None:
    given, ordinary = charter(privileged=True), charter()
    media = await on.open(given)
    await on.open(ordinary)
    for token in (on.warrant(ordinary.call_id), on.ticket(given.call_id), on.sign(given), "nonsense"):
        response = await on.post(f"/media/whep/{given.call_id}", token)
        assert response.status == 403
        assert (problem(response))["code"] == "privileged_call"
    assert media.sessions == {}
    # Nor can the warrant for another call be turned on it by renaming the call in the address.
    renamed = f"/media/whep/call_{given.call_id[5:]}"
    assert (await on.post(renamed, on.warrant(ordinary.call_id))).status == 403
    joined = await on.post(f"/media/whip/{given.call_id}", on.ticket(given.call_id))
    assert joined.status == 201


@pytest.mark.parametrize("path", ["whip", "whep"])
async def test_bad_tickets_are_refused_with_a_reason(on: Stage, path: str) -> None:
    given = charter()
    media = await on.open(given)
    address = f"/media/{path}/{given.call_id}"
    other = new_call_id(privileged=False)
    good = JoinTicket(given.call_id, "family", Side.FAMILY, "A", "idc_1")
    watch = MonitorWarrant((given.call_id,), "stf_1", "policy")  # type: ignore[arg-type]
    body = good if path == "whip" else watch
    cases = {
        None: (401, "missing_ticket"),
        "nonsense": (401, "malformed"),
        on.sign(body)[:-8] + "AAAAAAAA": (401, "bad_signature"),
        on.sign(watch if path == "whip" else good): (403, "wrong_type"),
        (on.ticket if path == "whip" else on.warrant)(other): (403, "wrong_call"),
        on.issuer.issue(
            body, expires_at=on.clock() + timedelta(hours=1), not_before=on.clock() + timedelta(minutes=1)
        ): (401, "not_yet"),
    }
    for token, (status, code) in cases.items():
        response = await on.post(address, token)
        assert (response.status, (problem(response))["code"]) == (status, code)
        if status == 401:
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
    expiring = on.sign(body, minutes=1)
    on.clock.advance(60)
    response = await on.post(address, expiring)
    assert (response.status, (problem(response))["code"]) == (401, "expired")
    assert media.sessions == {}


async def test_bodies_are_checked(on: Stage) -> None:
    given = charter()
    await on.open(given)
    address, token = f"/media/whip/{given.call_id}", on.ticket(given.call_id)
    wrong_type = await on.post(address, token, **{"Content-Type": "text/plain"})
    assert (wrong_type.status, (problem(wrong_type))["code"]) == (415, "unsupported_media_type")
    large = await on.post(address, token, "v=0" + "x" * 70_000)
    assert (large.status, (problem(large))["code"]) == (413, "too_large")
    bad = await on.post(address, token, "hello")
    assert (bad.status, (problem(bad))["code"]) == (400, "bad_sdp")
    binary = await on.post(address, token, b"v=0\xff")  # type: ignore[arg-type]
    assert (binary.status, (problem(binary))["code"]) == (400, "invalid")
    assert (await on.post(f"/media/whip/{given.call_id}x", token)).status == 400


async def test_a_call_that_is_not_open_is_unknown(on: Stage) -> None:
    call_id = new_call_id(privileged=False)
    response = await on.post(f"/media/whip/{call_id}", on.ticket(call_id))
    assert (response.status, (problem(response))["code"]) == (404, "unknown_call")


async def test_there_is_no_route_by_which_a_recorder_can_be_attached(on: Stage) -> None:
    given = charter(recording=RecordingPolicy.REQUIRED)
    await on.open(given)
    token = on.recording(given.call_id)
    for path in ("whip", "whep"):
        response = await on.post(f"/media/{path}/{given.call_id}", token)
        assert (response.status, (problem(response))["code"]) == (403, "wrong_type")
    assert on.legs == []
