"""From the commit to another program: a real HTTP receiver, both databases."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from typing import Any

import pytest
from aiohttp import web

from signaling.ids import new_id
from tests.fixtures.rights import MOTHER, PRISON, STAFF, World, family, relationship_id, slot_key
from tests.fixtures.waiting import eventually
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.errors import Conflict, Invalid, NotFound
from visitserver.domain.outbox import OutboxMessage, OutboxState
from visitserver.domain.paging import PageRequest
from visitserver.notify.delivering import MAX_ATTEMPTS
from visitserver.notify.letters import Letters, Sender
from visitserver.notify.webhooks import WebhookWorker
from visitserver.notify.worker import OutboxWorker
from visitserver.services.sealing import AesGcmSealer
from visitserver.services.webhooks import MOST, NewEndpoint, WebhookService

KEY = slot_key(date(2026, 3, 6), time(9))
SEALER = AesGcmSealer(bytes(range(32)))
ELSEWHERE = Actor(ActorKind.STAFF, "stf_there", "prn_elsewhere")


@dataclass
class Receiver:
    """What the other program took, and what it answers."""

    url: str = ""
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    hold: asyncio.Event | None = None

    async def take(self, request: web.Request) -> web.Response:
        self.taken.append(({key.lower(): value for key, value in request.headers.items()}, await request.read()))
        if self.hold is not None:
            await self.hold.wait()
        return web.Response(status=self.status, headers=self.headers)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.taken]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    found = Receiver()
    app = web.Application()
    app.router.add_post("/hook", found.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    found.url = f"http://127.0.0.1:{port}/hook"
    yield found
    if found.hold is not None:
        found.hold.set()
    await runner.cleanup()


def service(world: World) -> WebhookService:
    return WebhookService(world.uow, world.clock, SEALER, new_id, insecure_allowed=True)


async def deliver(world: World) -> int:
    """The letters' worker hands on, the webhooks' worker posts; how many posts were dealt with."""
    await OutboxWorker(world.uow, world.clock, Letters(Sender("a@b.example"), world.clock), None).drain()
    return await WebhookWorker(world.uow, world.clock, SEALER).drain()


async def book(world: World) -> str:
    await world.grant(1)
    hold = await world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY)
    return (await world.booking.confirm(family(MOTHER), hold.id)).id


async def wanting(world: World, receiver: Receiver, *events: str) -> NewEndpoint:
    return await service(world).add(STAFF, receiver.url, frozenset(events))


async def events_in_outbox(world: World) -> list[OutboxMessage]:
    async with world.uow(read_only=True) as u:
        found = (await u.outbox.messages(None, PageRequest())).items
    return [each for each in found if each.topic == "webhook"]


async def test_a_booking_is_told_signed_and_without_names(world: World, receiver: Receiver) -> None:
    made = await wanting(world, receiver, "booking.confirmed")
    booking_id = await book(world)
    assert await deliver(world) == 1
    assert await deliver(world) == 0
    ((headers, body),) = receiver.taken
    key = base64.b64decode(made.secret.removeprefix("whsec_"))
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert int(headers["webhook-timestamp"]) == int(world.clock().timestamp())
    told = json.loads(body)
    assert (told["type"], told["prison_id"], told["data"]["booking_id"]) == ("booking.confirmed", PRISON, booking_id)
    assert told["data"]["state"] == "booked"
    assert b"Aalto" not in body
    assert b"@" not in body
    (message,) = await events_in_outbox(world)
    assert message.state is OutboxState.DELIVERED
    assert "body" not in message.payload


async def test_only_what_was_asked_for_and_only_ones_own_prison(world: World, receiver: Receiver) -> None:
    await wanting(world, receiver, "booking.cancelled")
    await service(world).add(ELSEWHERE, receiver.url, frozenset({"booking.confirmed", "booking.cancelled"}))
    booking_id = await book(world)
    assert await deliver(world) == 0
    await world.booking.cancel(family(MOTHER), booking_id)
    assert await deliver(world) == 1
    assert [each["prison_id"] for each in receiver.bodies] == [PRISON]


async def test_a_receiver_that_fails_is_asked_again_and_at_last_no_more(world: World, receiver: Receiver) -> None:
    await wanting(world, receiver, "booking.confirmed")
    await book(world)
    receiver.status = 500
    await deliver(world)
    ids = set()
    for _ in range(MAX_ATTEMPTS + 2):
        world.clock.now += timedelta(hours=3)
        await deliver(world)
        ids |= {headers["webhook-id"] for headers, _ in receiver.taken}
    assert len(receiver.taken) == MAX_ATTEMPTS
    assert len(ids) == 1
    assert len({headers["webhook-timestamp"] for headers, _ in receiver.taken}) == MAX_ATTEMPTS
    (message,) = await events_in_outbox(world)
    assert (message.state, message.last_error) == (OutboxState.FAILED, "answered 500")
    assert "body" in message.payload  # it can be tried again by hand


async def test_a_redirect_is_not_followed(world: World, receiver: Receiver) -> None:
    await wanting(world, receiver, "booking.confirmed")
    await book(world)
    receiver.status, receiver.headers = 307, {"Location": receiver.url}
    await deliver(world)
    assert len(receiver.taken) == 1
    (message,) = await events_in_outbox(world)
    assert (message.state, message.last_error) == (OutboxState.PENDING, "answered 307")


async def test_gone_pauses_the_endpoint_until_somebody_resumes_it(world: World, receiver: Receiver) -> None:
    made = await wanting(world, receiver, "booking.confirmed", "booking.cancelled")
    booking_id = await book(world)
    receiver.status = 410
    await deliver(world)
    (endpoint,) = await service(world).list(STAFF)
    assert endpoint.paused_why == "gone"
    await world.booking.cancel(family(MOTHER), booking_id)
    assert await deliver(world) == 0
    receiver.status = 200
    await service(world).resume(STAFF, made.endpoint.id)
    await service(world).test(STAFF, made.endpoint.id)
    assert await deliver(world) == 1
    assert receiver.bodies[-1]["type"] == "webhook.test"


async def test_what_waits_while_an_endpoint_is_paused_or_removed_is_kept_and_says_so(
    world: World, receiver: Receiver
) -> None:
    made = await wanting(world, receiver, "booking.confirmed", "booking.cancelled")
    booking_id = await book(world)
    hands_on = OutboxWorker(world.uow, world.clock, Letters(Sender("a@b.example"), world.clock), None)
    await hands_on.drain()
    await service(world).pause(STAFF, made.endpoint.id)
    await deliver(world)
    (message,) = await events_in_outbox(world)
    assert (message.state, message.last_error) == (OutboxState.NOT_SENT, "not sent: the endpoint is paused")
    await service(world).resume(STAFF, made.endpoint.id)
    await world.booking.cancel(family(MOTHER), booking_id)
    await hands_on.drain()
    await service(world).remove(STAFF, made.endpoint.id)
    await deliver(world)
    assert receiver.taken == []
    assert {each.state for each in await events_in_outbox(world)} == {OutboxState.NOT_SENT, OutboxState.FAILED}
    async with world.uow(read_only=True) as u:
        assert (await u.webhooks.get(made.endpoint.id)).secret_sealed == b""


async def test_a_slow_receiver_does_not_hold_up_letters(world: World, receiver: Receiver) -> None:
    receiver.hold = asyncio.Event()
    await wanting(world, receiver, "booking.confirmed")
    booking_id = await book(world)
    letters = OutboxWorker(world.uow, world.clock, Letters(Sender("a@b.example"), world.clock), None)
    await letters.drain()
    posting = asyncio.create_task(WebhookWorker(world.uow, world.clock, SEALER).run_once())
    await eventually(lambda: bool(receiver.taken), "the receiver has been asked")
    await world.booking.cancel(family(MOTHER), booking_id)
    assert await letters.drain() >= 1
    receiver.hold.set()
    async with asyncio.timeout(60):
        assert await posting == 1


async def test_handing_on_twice_tells_once(world: World, receiver: Receiver) -> None:
    """The worker died after it had claimed: the next one claims the same message again."""
    await wanting(world, receiver, "booking.confirmed")
    await book(world)

    class Dies(OutboxWorker):
        async def _deliver(self, message: OutboxMessage) -> None:
            return None

    await Dies(world.uow, world.clock, Letters(Sender("a@b.example"), world.clock), None).run_once()
    world.clock.now += timedelta(minutes=6)
    assert await deliver(world) == 1
    assert len(receiver.taken) == 1


async def test_another_prisons_endpoint_is_not_there(world: World, receiver: Receiver) -> None:
    made = await wanting(world, receiver, "booking.confirmed")
    hooks = service(world)
    assert await hooks.list(ELSEWHERE) == []
    for attempt in (hooks.pause, hooks.resume, hooks.remove, hooks.test):
        with pytest.raises(NotFound):
            await attempt(ELSEWHERE, made.endpoint.id)  # type: ignore[operator]


async def test_there_is_an_end_to_endpoints_and_plain_http_is_refused_by_default(
    world: World, receiver: Receiver
) -> None:
    for _ in range(MOST):
        await wanting(world, receiver, "booking.confirmed")
    with pytest.raises(Conflict):
        await wanting(world, receiver, "booking.confirmed")
    with pytest.raises(Invalid):
        await WebhookService(world.uow, world.clock, SEALER, new_id).add(
            STAFF, "http://127.0.0.1/hook", frozenset({"booking.confirmed"})
        )
