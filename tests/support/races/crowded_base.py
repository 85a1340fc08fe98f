"""A base with a hundred thousand bookings in it: three years of a large prison, most of them over."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.fixtures.rights import (
    PRISON,
    World,
    make_contact,
    make_link,
    make_prisoner,
    make_template,
    make_world,
    no_regular_credits,
    populate,
    relationship_id,
)
from tests.fixtures.store import START, SettableClock
from visitserver.domain.allowance import CreditType, LedgerEvent, LedgerEventKind
from visitserver.domain.calls import CallKind
from visitserver.domain.occupancy import Resource, ResourceKind, Span
from visitserver.domain.policies import PolicyValue
from visitserver.domain.scheduling import BookingState, Station, SupervisionLevel
from visitserver.domain.slots import slots_of
from visitserver.store.tables.scheduling import booking_participants, bookings, occupancy, occupancy_spans
from visitserver.store.uow import SqlUnitOfWorkFactory

TEMPLATES = 5
STATIONS_EACH = 8
ZONE = ZoneInfo("Europe/Helsinki")
BUFFER = timedelta(minutes=5)
AHEAD_FULL = 0.6
"""The part of the coming month's places that is taken already."""


async def furnish_base(
    engine: AsyncEngine, uow: SqlUnitOfWorkFactory, clock: SettableClock, *, count: int, people: int, seed: int = 1
) -> World:
    """`count` bookings of `people` prisoners with a contact each: the coming month's open, all others completed."""
    rng = random.Random(seed)
    await populate(uow)
    await no_regular_credits(uow)
    world = make_world(uow, clock)
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    async with uow() as u:
        for key, value in {"limits.week_convicted": 100, "limits.reception_visits": 100}.items():
            u.policies.add(PolicyValue(f"pol_{key[-9:]}", PRISON, key, 1, value, long_ago, long_ago, "test", "bench"))
        for number in range(TEMPLATES):
            ids = tuple(f"stn_b{number}x{each}" for each in range(STATIONS_EACH))
            for each in ids:
                u.scheduling.add(Station(each, PRISON, each))
            u.scheduling.add(
                make_template(
                    f"tpl_b{number}",
                    capacity=STATIONS_EACH,
                    station_ids=ids,
                    starts_at=time(8, 5 * number),
                    ends_at=time(18),
                    valid_from=date(2021, 1, 1),
                )
            )
        for number in range(people):
            u.people.add(make_prisoner(f"prs_b{number}", f"B-{number}"))
            u.people.add(make_contact(f"con_b{number}"))
            u.rights.add(make_link(f"con_b{number}", f"prs_b{number}"))
            world.identity.approved.add(f"con_b{number}")
            u.allowance.append(
                [
                    LedgerEvent(
                        id=f"led_b{number}x{line}",
                        prisoner_id=f"prs_b{number}",
                        sequence=line,
                        at=START,
                        kind=LedgerEventKind.GRANTED,
                        credit_id=f"crd_b{number}x{line}",
                        credit_type=CreditType.STANDARD,
                        reason="bench",
                        actor="test",
                        event_key=f"bench:{number}:{line}",
                        balance_after=line,
                    )
                    for line in range(1, 5)
                ]
            )
        await u.commit()
    rows = islice(_rows(rng, clock(), people), count)
    async with engine.begin() as connection:
        while chunk := list(islice(rows, 2000)):
            await connection.execute(insert(bookings), [row["booking"] for row in chunk])
            await connection.execute(insert(booking_participants), [row["participant"] for row in chunk])
            spans = [each for row in chunk for each in row["spans"]]
            if spans:
                await connection.execute(insert(occupancy_spans), spans)
                cells = [each for row in chunk for each in row["cells"]]
                for start in range(0, len(cells), 20_000):
                    await connection.execute(insert(occupancy), cells[start : start + 20_000])
        if engine.dialect.name == "sqlite":
            await connection.exec_driver_sql("ANALYZE")
    if engine.dialect.name == "postgresql":
        async with engine.connect() as connection:
            await (await connection.execution_options(isolation_level="AUTOCOMMIT")).exec_driver_sql("VACUUM ANALYZE")
    return world


def _rows(rng: random.Random, now: datetime, people: int) -> Iterator[dict[str, Any]]:
    """Bookings, the coming month's first, then the past, day before day."""
    today = now.date()
    number = 0
    for day in [today + timedelta(days=ahead) for ahead in range(3, 29)] + [
        today - timedelta(days=ago) for ago in range(1, 1500)
    ]:
        taken: dict[int, set[int]] = {}
        for template in range(TEMPLATES):
            made = make_template(
                f"tpl_b{template}",
                starts_at=time(8, 5 * template),
                ends_at=time(18),
                valid_from=date(2021, 1, 1),
            )
            for slot in slots_of(made, ZONE, day, day, buffer=BUFFER):
                span = Span.of_call(slot.starts_at, slot.ends_at, buffer=BUFFER)
                for place in range(STATIONS_EACH):
                    if rng.random() > AHEAD_FULL:
                        continue
                    person = rng.randrange(people)
                    if any(person in taken.get(cell, ()) for cell in span.cells):
                        continue
                    for cell in span.cells:
                        taken.setdefault(cell, set()).add(person)
                    number += 1
                    yield _row(f"bkg_b{number}", slot, span, template, place, person, coming=day > today)


def _row(
    booking_id: str, slot: Any, span: Span, template: int, place: int, person: int, *, coming: bool
) -> dict[str, Any]:
    station = f"stn_b{template}x{place}"
    resources = [
        Resource(ResourceKind.PRISONER, f"prs_b{person}"),
        Resource(ResourceKind.CONTACT, f"con_b{person}"),
        Resource(ResourceKind.PLACE, f"{slot.key}#{place:03}"),
        Resource(ResourceKind.STATION, station),
    ]
    return {
        "booking": {
            "id": booking_id,
            "prison_id": PRISON,
            "prisoner_id": f"prs_b{person}",
            "kind": CallKind.SOCIAL,
            "state": BookingState.BOOKED if coming else BookingState.COMPLETED,
            "template_id": slot.template_id,
            "slot_key": slot.key,
            "starts_at": slot.starts_at,
            "ends_at": slot.ends_at,
            "supervision": SupervisionLevel.SAMPLE,
            "created_at": START,
            "created_by": "test",
            "station_id": station,
            "credit_type": CreditType.STANDARD,
            "hold_extended": False,
            "charged": False,
            "revision": 0,
        },
        "participant": {
            "booking_id": booking_id,
            "contact_id": f"con_b{person}",
            "relationship_id": relationship_id(f"con_b{person}", f"prs_b{person}"),
            "lead": True,
        },
        "spans": [
            {
                "booking_id": booking_id,
                "kind": each.kind.value,
                "resource": each.id,
                "starts_at": span.starts_at,
                "ends_at": span.ends_at,
            }
            for each in (resources if coming else [])
        ],
        "cells": [
            {"kind": each.kind.value, "resource": each.id, "cell": cell, "booking_id": booking_id}
            for each in (resources if coming else [])
            for cell in span.cells
        ],
    }
