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
from tests.support.cluster import PATIENCE, Cluster, Party, Process, Visit
from visitserver.domain.calls import OutcomeCode
from visitserver.domain.flags import FlagType
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


async def test_who_steps_back_ends_the_call_through_the_bus_to_the_media_node(cluster: Cluster) -> None:
    await started(cluster)
    services = cluster.house.services
    visit, call_id, parties = await talking(cluster, "anna")
    async with cluster.house.uow(read_only=True) as u:
        link = (await u.scheduling.get_booking(visit.booking_id)).lead.relationship_id
    asked_at = cluster.house.clock()
    await services.relationships.withdraw(visit.family, link)

    ending = next(e for e in await cluster.house.control.events(call_id) if e.type is EventType.ENDING)
    assert (ending.actor.kind, ending.actor.actor_id) == (ActorKind.PARTICIPANT, visit.family.id)
    await cluster.until(lambda: over(cluster, visit), "the outcome is stored by the worker")
    types = [event.type for event in await stored(cluster, call_id)]
    assert types.index(EventType.LIVE) < types.index(EventType.ENDING) < types.index(EventType.ENDED)
    call = await visit.call()
    assert call is not None
    assert (call.cause, call.outcome) == ("right_withdrawn", OutcomeCode.ADMINISTRATIVE_CANCELLATION)
    async with cluster.house.uow(read_only=True) as u:
        rows = (await u.audit.rows(AuditFilter(action="call.right_withdrawn", object_id=call_id), PageRequest())).items
        flags = await u.flags.of_booking(visit.booking_id)
    assert [(row.actor_kind, row.actor_id) for row in rows] == [("family", visit.family.id)]
    assert [flag.type for flag in flags] in ([FlagType.CONTACT_UNAPPROVED], []), "raised at once, unless it was over"
    for party in parties:
        await party.leave()
    seconds = (ending.at - asked_at).total_seconds()
    print(json.dumps({"withdrawn_to_gate_shut_seconds": round(seconds, 3)}))


async def test_a_node_that_was_away_ends_the_call_once_it_is_back(cluster: Cluster) -> None:
    media = await started(cluster)
    visit, call_id, parties = await talking(cluster, "anna")
    async with cluster.house.uow(read_only=True) as u:
        link = (await u.scheduling.get_booking(visit.booking_id)).lead.relationship_id
    for party in parties:
        await party.leave()
    media.send(signal.SIGSTOP)
    try:
        await cluster.house.services.relationships.answer(visit.prisoner, link, accept=False)
    finally:
        media.send(signal.SIGCONT)
    # The worker's job says it again.
    async with asyncio.timeout(PATIENCE):
        await cluster.until(lambda: over(cluster, visit), "the call is over")
    endings = [event for event in await stored(cluster, call_id) if event.type is EventType.ENDING]
    assert [(event.cause, event.actor.actor_id) for event in endings] == [("right_withdrawn", visit.prisoner.id)]
    async with cluster.house.uow(read_only=True) as u:
        rows = (await u.audit.rows(AuditFilter(action="call.right_withdrawn", object_id=call_id), PageRequest())).items
    assert [(row.actor_kind, row.actor_id) for row in rows] == [("prisoner", visit.prisoner.id)]
