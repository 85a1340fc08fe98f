"""A right is taken back while people talk: api process, Redis, media node, real media. And while the node is away."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from signaling.calls import ActorKind, CallEvent, EventType, Phase
from signaling.ids import CallId
from tests.support.cluster import Cluster, Party, Process, Visit
from visitserver.domain.calls import OutcomeCode
from visitserver.domain.paging import PageRequest
from visitserver.services.call_history import event_of
from visitserver.services.ports.audit import AuditFilter


@pytest.fixture
async def cluster(tmp_path: Path, fresh_postgres_url: str, redis_url: str) -> AsyncIterator[Cluster]:
    made = Cluster(tmp_path, fresh_postgres_url, redis_url, lease=10)
    async with aiohttp.ClientSession() as http:
        await made.set_up(http)
        try:
            yield made
        finally:
            await made.tear_down()


async def started(cluster: Cluster) -> Process:
    """One process of each role; the media node's."""
    # The api first: the media node is told which pages may ask it.
    processes = {role: cluster.process(role) for role in ("api", "media", "worker")}
    for process in processes.values():
        await process.ready(cluster.http)
    return processes["media"]


async def live(cluster: Cluster, call_id: CallId) -> bool:
    try:
        return (await cluster.house.control.snapshot(call_id)).phase is Phase.LIVE
    except Exception as error:
        if getattr(error, "code", "") in ("unknown_call", "unavailable", "timeout"):
            return False
        raise


async def talking(cluster: Cluster, name: str) -> tuple[Visit, CallId, list[Party]]:
    """A visit whose people hear each other."""
    visit = await cluster.book(name)
    call_id = await visit.call_id()
    parties = [visit.party(visit.family), visit.party(visit.prisoner)]
    for party in parties:
        await party.join()
    await cluster.until(lambda: live(cluster, call_id), "live")
    await asyncio.gather(*(party.hears() for party in parties))
    return visit, call_id, parties


async def stored(cluster: Cluster, call_id: CallId) -> list[CallEvent]:
    async with cluster.house.uow(read_only=True) as u:
        return [event_of(row) for row in await u.calls.events(call_id)]


async def over(cluster: Cluster, visit: Visit) -> bool:
    call = await visit.call()
    return call is not None and call.over


async def ended_by(cluster: Cluster, visit: Visit, call_id: CallId) -> CallEvent:
    """The one event with which the call ended, once its outcome is stored; it and the audit row name one person."""
    await cluster.until(lambda: over(cluster, visit), "the outcome is stored by the worker")
    events = await stored(cluster, call_id)
    types = [event.type for event in events]
    assert types.index(EventType.LIVE) < types.index(EventType.ENDING) < types.index(EventType.ENDED)
    (ending,) = [event for event in events if event.type is EventType.ENDING]
    assert (ending.actor.kind, ending.cause) == (ActorKind.PARTICIPANT, "right_withdrawn")
    async with cluster.house.uow(read_only=True) as u:
        rows = (await u.audit.rows(AuditFilter(action="call.right_withdrawn", object_id=call_id), PageRequest())).items
    assert [row.actor_id for row in rows] == [ending.actor.actor_id]
    return ending


async def link_of(cluster: Cluster, visit: Visit) -> str:
    async with cluster.house.uow(read_only=True) as u:
        return (await u.scheduling.get_booking(visit.booking_id)).lead.relationship_id


async def test_a_right_taken_back_ends_the_call_through_the_bus_also_when_the_node_was_away(cluster: Cluster) -> None:
    media = await started(cluster)
    relationships = cluster.house.services.relationships

    visit, call_id, parties = await talking(cluster, "anna")
    asked_at = cluster.house.clock()
    await relationships.withdraw(visit.family, await link_of(cluster, visit))
    ending = await ended_by(cluster, visit, call_id)
    assert ending.actor.actor_id == visit.family.id
    call = await visit.call()
    assert call is not None
    assert call.outcome is OutcomeCode.ADMINISTRATIVE_CANCELLATION
    print(json.dumps({"withdrawn_to_gate_shut_seconds": round((ending.at - asked_at).total_seconds(), 3)}))
    for party in parties:
        await party.leave()

    visit, call_id, parties = await talking(cluster, "rolf")
    for party in parties:
        await party.leave()
    media.send(signal.SIGSTOP)
    try:
        await relationships.answer(visit.prisoner, await link_of(cluster, visit), accept=False)
    finally:
        media.send(signal.SIGCONT)
    # The worker's job says it again.
    assert (await ended_by(cluster, visit, call_id)).actor.actor_id == visit.prisoner.id
