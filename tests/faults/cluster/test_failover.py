"""Several processes: a media node is killed, another stopped for a while, Redis is away; calls and recordings go on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from recorder.access import plain_chunks, read_data_key, read_manifest
from recorder.index import RecordingIndex
from recorder.playback import timeline
from recorder.standalone_verify import verify_files
from signaling.calls import Actor, ActorKind, EventType, Phase, replay
from signaling.errors import Unavailable
from signaling.ids import CallId
from tests.fixtures.redis import RedisServer
from tests.support.cluster import PATIENCE, Cluster, Party, Process, Visit, http_ticket
from visitserver.domain.recordings import RecordingState
from visitserver.keyring import KeyPaths, load_keys
from visitserver.services.call_history import event_of

LEASE = float(os.environ.get("VISIT_LEASE", "10"))
OUTAGE = float(os.environ.get("VISIT_OUTAGE", "20"))
"""Two leases. A lease of ten seconds bears a busy machine; measure with VISIT_LEASE=4 VISIT_OUTAGE=60."""
OFFICER = Actor(ActorKind.STAFF, "stf_1")


@pytest.fixture
async def cluster(
    tmp_path: Path, fresh_postgres_url: str, redis_url: str, redis_server: RedisServer
) -> AsyncIterator[Cluster]:
    made = Cluster(tmp_path, fresh_postgres_url, redis_url, lease=LEASE)
    async with aiohttp.ClientSession() as http:
        await made.set_up(http)
        try:
            yield made
        finally:
            await made.tear_down()
            if not redis_server.running:
                redis_server.start()


async def live(cluster: Cluster, call_id: CallId) -> bool:
    try:
        return (await cluster.house.control.snapshot(call_id)).phase is Phase.LIVE
    except Exception as error:
        if getattr(error, "code", "") in ("unknown_call", "unavailable", "timeout"):
            return False
        raise


async def talk(cluster: Cluster, call_id: CallId, *parties: Party) -> None:
    """Wait until the call is live and both hear each other."""
    await cluster.until(lambda: live(cluster, call_id), "live")
    await asyncio.gather(*(party.hears() for party in parties))


async def recording_id(visit: Visit) -> str:
    call = await visit.call()
    assert call is not None and call.recording_id is not None
    return call.recording_id


def at(cluster: Cluster, url: str) -> Process:
    return next(process for process in cluster.processes if process.url == url)


async def check_history(cluster: Cluster, call_id: CallId) -> list[EventType]:
    """The stored events are one history, without holes or doubles; their types."""
    async with cluster.house.uow(read_only=True) as u:
        events = [event_of(row) for row in await u.calls.events(call_id)]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    replay(events)
    return [event.type for event in events]


async def sealed(cluster: Cluster, name: str) -> bool:
    async with cluster.house.uow(read_only=True) as u:
        return (await u.recordings.get(name)).state is RecordingState.SEALED


def check_recording(cluster: Cluster, name: str, writers: int, heads: str) -> list[bytes]:
    """One recording of so many later writers, valid; its voice's payloads."""
    keys = load_keys(KeyPaths.of(cluster.house.settings))
    store, public = cluster.house.recorder.store, keys.recorder_signing.public_key()
    files = {one.rpartition("/")[2]: store.get(one) for one in store.names(name)}
    data_key = read_data_key(store, name, keys.recorder_ring, public)
    report = verify_files(
        list(files), files.__getitem__, public, recording_id=name, expected_head=heads, data_key=data_key
    )
    assert report.valid, report
    manifest = read_manifest(store, name, public)
    assert len(manifest.get("takeovers", [])) >= writers
    start_ns = int(manifest["opening"]["started_mono_ns"])
    line = timeline(RecordingIndex.build(plain_chunks(store, name, data_key), start_ns), manifest["opening"], manifest)
    assert len([note for note in line["notes"] if note["note"] == "cut"]) == len(manifest["takeovers"])
    assert {track["side"] for track in line["tracks"]} == {"family", "prisoner"}
    from recorder.log import RecordKind, scan

    payloads: list[bytes] = []
    for chunk in plain_chunks(store, name, data_key):
        for kind, _, _, _, start, end in scan(chunk):
            if kind == RecordKind.RTP:
                payloads.append(chunk[start:end])
    return payloads


@pytest.mark.timeout(900)
async def test_calls_survive_their_nodes_and_redis(cluster: Cluster, redis_server: RedisServer) -> None:
    api = cluster.process("api")
    first, second = cluster.process("media"), cluster.process("media")
    worker = cluster.process("worker")
    anna, rolf = await cluster.book("anna"), await cluster.book("rolf")
    for process in (api, first, second, worker):
        await process.ready(cluster.http)

    # Two calls, one on each node: each placement went to the node that had less.
    calls = {await anna.call_id(): anna, await rolf.call_id(): rolf}
    call_id = await anna.call_id()
    parties = [anna.party(anna.family), anna.party(anna.prisoner)]
    others = [rolf.party(rolf.family), rolf.party(rolf.prisoner)]
    for party in (*parties, *others):
        await party.join()
    assert {parties[0].where, others[0].where} == {first.url, second.url}
    await talk(cluster, call_id, *parties)
    await talk(cluster, await rolf.call_id(), *others)
    name, other_name = await recording_id(anna), await recording_id(rolf)

    # What the api says to pages is the node's own address; the node answers this page's origin and no other.
    email = next(one for one in cluster.sign_ins.families if one.startswith("anna"))
    ticket = await http_ticket(cluster, api, email, anna.booking_id)
    assert str(ticket["whip"]).startswith(parties[0].where) and str(ticket["channel"]).startswith(parties[0].where)
    for origin, status in ((api.url, 200), ("https://elsewhere.example", 403)):
        async with cluster.http.options(str(ticket["whip"]), headers={"Origin": origin}) as answer:
            assert answer.status == status
            assert answer.headers.get("Access-Control-Allow-Origin") == (origin if status == 200 else None)
    async with cluster.http.get(f"{api.url}/signin") as page:
        policy = page.headers["Content-Security-Policy"]
        for node in (first, second):
            assert f" {node.url} {node.url.replace('http', 'ws')}" in policy
    async with cluster.http.get(f"{api.url}/readyz") as readiness:
        assert (await readiness.json())["checks"]["redis"] == "ok"

    # kill -9: the call is live again on the other node, with the same history and the same recording.
    dead, survivor = at(cluster, parties[0].where), at(cluster, others[0].where)
    undisturbed = others[0].heard()
    began = time.monotonic()
    dead.end(signal.SIGKILL)
    await asyncio.gather(*(party.join(not_at=dead.url) for party in parties))
    await talk(cluster, call_id, *parties)
    back = time.monotonic() - began
    assert {party.where for party in parties} == {survivor.url}
    assert others[0].heard() > undisturbed
    assert await recording_id(anna) == name
    assert EventType.REOPENED in await check_history(cluster, call_id)

    # A node that is stopped for longer than its lease has lost its calls when it goes on.
    third = cluster.process("media")
    await third.ready(cluster.http)
    stopped = survivor
    old = {party: party.client for party in (*parties, *others)}
    stopped.send(signal.SIGSTOP)
    await asyncio.gather(*(party.join(not_at=stopped.url) for party in (*parties, *others)))
    await talk(cluster, call_id, *parties)
    await talk(cluster, await rolf.call_id(), *others)
    assert {party.where for party in (*parties, *others)} == {third.url}
    heard_before = {party: party.heard(client) for party, client in old.items()}
    stopped.send(signal.SIGCONT)
    for one in calls:

        async def given_up(one: CallId = one) -> bool:
            headers = {"Authorization": f"Bearer {(await calls[one].ticket(calls[one].family)).ticket}"}
            async with cluster.http.post(
                f"{stopped.url}/media/whip/{one}", data="v=0", headers={**headers, "Content-Type": "application/sdp"}
            ) as answer:
                return answer.status == 404

        await cluster.until(given_up, "the stopped node knows that it has lost the call")
    await asyncio.gather(*(party.hears(50) for party in (*parties, *others)))
    assert {party: party.heard(client) for party, client in old.items()} == heard_before
    async with cluster.http.get(f"{stopped.url}/readyz") as readiness:
        assert readiness.status == 200  # it takes calls again

    # Redis is away: whoever talks does not notice, and afterwards everything is where it was.
    placed = {one: await cluster.house.links.directory.find(one) for one in calls}
    before = {party: party.heard() for party in (*parties, *others)}
    shown = (await anna.ticket(anna.family)).ticket
    assert EventType.LEFT not in await check_history(cluster, call_id)
    redis_server.send(signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable):
            await cluster.house.control.snapshot(call_id)
        # Somebody comes and goes on the control channel: it happens to the call, and nobody can be told of it yet.
        async with cluster.http.ws_connect(f"{parties[0].where}/media/channel", origin=cluster.page_origin) as channel:
            await channel.send_json({"type": "hello", "ticket": shown})
            assert (await channel.receive_json(timeout=PATIENCE))["type"] == "welcome"
        await asyncio.gather(asyncio.sleep(OUTAGE), *(party.hears(int(OUTAGE * 20)) for party in (*parties, *others)))
    finally:
        redis_server.send(signal.SIGCONT)
    assert all(party.heard() > before[party] for party in before)

    async def answers() -> bool:
        return await live(cluster, call_id) and len(await cluster.house.links.directory.nodes()) == 2

    await cluster.until(answers, "the nodes have told of themselves")
    assert {one: await cluster.house.links.directory.find(one) for one in calls} == placed

    async def told() -> bool:
        return EventType.LEFT in await check_history(cluster, call_id)

    await cluster.until(told, "what happened meanwhile is stored")
    # And once more, this time with the loss of all its data.
    redis_server.stop()
    redis_server.start()
    await cluster.until(answers, "the nodes have told of themselves to an empty Redis")
    assert {one: await cluster.house.links.directory.find(one) for one in calls} == placed
    await asyncio.gather(*(party.hears() for party in (*parties, *others)))
    later = await cluster.book("aron")
    await later.party(later.family).join()

    # The end: one recording, valid, with its gaps marked; what the old connections sent after the loss is not in it.
    for one in calls:
        await cluster.house.control.terminate(one, OFFICER, "the test is over", "")
    for one_name in (name, other_name):
        await cluster.until(lambda wanted=one_name: sealed(cluster, wanted), "sealed")
    for visit, one_name, writers in ((anna, name, 2), (rolf, other_name, 1)):
        types = await check_history(cluster, await visit.call_id())
        assert types[-1] is EventType.TERMINATED and types.count(EventType.REOPENED) >= writers
        async with cluster.house.uow(read_only=True) as u:
            row = await u.recordings.get(one_name)
        assert row.interrupted and row.head_sha256 is not None
        voices = check_recording(cluster, one_name, writers, row.head_sha256)
        assert len(voices) > 100
    for party in (*parties, *others):
        await party.leave()
    assert await asyncio.to_thread(cluster.end, api, stopped, third, worker) == [0, 0, 0, 0]
    for process in cluster.processes:
        # The api's identity engine may give up warming up on a machine as busy as this test makes it.
        lines = [line for line in process.log.read_text().splitlines() if '"not warmed up"' not in line]
        assert not [line for line in lines if "Traceback" in line]
    print(json.dumps({"live_again_seconds": round(back, 2), "lease": LEASE, "outage_seconds": OUTAGE}))
