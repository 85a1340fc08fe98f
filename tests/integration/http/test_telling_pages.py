"""The pages about letters, webhooks and numbers: real requests, a real base."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from datetime import date, time, timedelta

import pytest

from signaling.ids import new_id
from tests.fixtures.http_app import PASSWORD, Browser, HttpHouse, account_services
from tests.fixtures.rights import MOTHER, PRISON, World, family, make_world, populate, relationship_id, slot_key
from tests.fixtures.store import SettableClock
from visitserver.domain.access import STAFF_ROLES
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.errors import DecisionRefused
from visitserver.domain.outbox import OutboxState
from visitserver.services.desk import DeskService
from visitserver.services.outbox import OutboxService
from visitserver.services.ports.uow import UnitOfWorkFactory
from visitserver.services.reports import ReportService
from visitserver.services.sealing import AesGcmSealer
from visitserver.services.webhooks import WebhookService

SEED = Actor(ActorKind.SYSTEM, "seed", PRISON)
KEY = slot_key(date(2026, 3, 6), time(9))


class Stage:
    """A populated prison with the services that the pages need."""

    def __init__(self, house: HttpHouse, world: World) -> None:
        self.house = house
        self.world = world

    async def staff(self, prison_id: str = PRISON) -> Browser:
        login = f"all-{prison_id}"
        actor = Actor(ActorKind.SYSTEM, "seed", prison_id)
        await self.house.services.accounts.create_staff(actor, "All", login, frozenset(STAFF_ROLES), PASSWORD)
        browser = await self.house.staff(login)
        await browser.get("/staff/security")
        return browser

    async def book(self) -> str:
        await self.world.grant(1)
        hold = await self.world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY)
        return (await self.world.booking.confirm(family(MOTHER), hold.id)).id


@pytest.fixture
async def stage(sqlite_uow: UnitOfWorkFactory, clock: SettableClock) -> AsyncIterator[Stage]:
    await populate(sqlite_uow)
    world = make_world(sqlite_uow, clock)
    house = HttpHouse(sqlite_uow, clock, account_services(sqlite_uow, clock))
    house.services.desk = DeskService(sqlite_uow, clock)
    house.services.outbox = OutboxService(sqlite_uow, clock)
    house.services.webhooks = WebhookService(sqlite_uow, clock, AesGcmSealer(bytes(32)), new_id)
    house.services.reports = ReportService(sqlite_uow, clock)
    yield Stage(house, world)
    await house.close()


async def test_a_message_that_failed_is_seen_and_sent_again(stage: Stage) -> None:
    await stage.book()
    async with stage.world.uow() as u:
        found = await u.outbox.claim(
            stage.world.clock(), lease=timedelta(minutes=1), limit=50, topics={"booking.confirmed"}
        )
        found[0].state, found[0].last_error = OutboxState.FAILED, "refused: 550"
        await u.commit()
    administrator = await stage.staff()
    text = await (await administrator.get("/staff/admin/outbox?state=failed")).text()
    assert "booking.confirmed" in text
    assert "refused: 550" in text
    assert "example.org" not in text
    assert (await administrator.post(f"/staff/admin/outbox/{found[0].id}/retry")).status == 303
    assert (await administrator.post(f"/staff/admin/outbox/{found[0].id}/retry")).status == 409
    assert "refused: 550" not in await (await administrator.get("/staff/admin/outbox?state=failed")).text()
    assert (await administrator.get("/staff/admin/outbox?state=lost")).status == 422


async def test_a_webhook_is_added_and_its_secret_shown_once(stage: Stage) -> None:
    administrator = await stage.staff()
    form = {"url": "https://other.example/hook", "events": "booking.confirmed"}
    created = await administrator.post("/staff/admin/webhooks", form)
    text = await created.text()
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", text)
    assert secret is not None
    listed = await (await administrator.get("/staff/admin/webhooks")).text()
    assert "https://other.example/hook" in listed
    assert secret[0] not in listed
    for fault in ({"url": "http://other.example", "events": "booking.confirmed"}, {"url": "https://o.example"}):
        response = await administrator.post("/staff/admin/webhooks", fault)
        assert response.status == 422
        assert 'role="alert"' in await response.text()
    stranger = await stage.staff("prn_elsewhere")
    assert "other.example" not in await (await stranger.get("/staff/admin/webhooks")).text()


async def test_numbers_are_shown_and_written_to_files(stage: Stage) -> None:
    booking_id = await stage.book()
    with pytest.raises(DecisionRefused):  # the place is taken: a refusal to be counted
        await stage.world.booking.hold(family(MOTHER), relationship_id(MOTHER), KEY)
    await stage.world.booking.cancel(family(MOTHER), booking_id, reason="ill")
    scheduler = await stage.staff()
    text = await (await scheduler.get("/staff/reports?first=2026-03-01&last=2026-03-31")).text()
    assert "visitor cancelled" in text
    assert "one_at_a_time" in text
    for table in ("weeks", "causes", "rules", "waiting", "overbooked", "visits"):
        response = await scheduler.get(f"/staff/reports/{table}.csv?first=2026-03-01&last=2026-03-31")
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/csv")
        body = await response.read()
        assert body.startswith(b"\xef\xbb\xbf")
        rows = list(csv.reader(io.StringIO(body.decode("utf-8-sig"))))
        assert len({len(row) for row in rows}) == 1
        assert "Aalto" not in body.decode()
    assert [row[0] for row in rows[1:]] == [booking_id]
    assert rows[1][2:4] == ["cancelled", "visitor_cancelled"]
    stranger = await stage.staff("prn_elsewhere")
    other = await (await stranger.get("/staff/reports/visits.csv?first=2026-03-01&last=2026-03-31")).text()
    assert booking_id not in other


@pytest.mark.parametrize("query", ["first=2026-03-02&last=2026-03-01", "first=2020-01-01&last=2026-01-01", "first=x"])
async def test_a_period_that_is_none_is_refused(stage: Stage, query: str) -> None:
    scheduler = await stage.staff()
    assert (await scheduler.get(f"/staff/reports?{query}")).status == 422
