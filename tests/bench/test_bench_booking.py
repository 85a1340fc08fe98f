"""The booking benchmark runs, and what it counts adds up. Nothing here depends on how quick the machine is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.bench.bench_booking import Amounts, bench

pytestmark = pytest.mark.bench


async def test_booking_is_measured_and_its_races_are_checked() -> None:
    amounts = replace(Amounts.short(), bookings=400, people=60, crowd=20, spread=10)
    report = await bench(amounts, ("sqlite",))
    figures = report["databases"]["sqlite"]
    assert figures["availability"]["times"] > 100
    assert figures["spread"]["booked"] > 0
    assert figures["spread"]["bookings_per_second"] > 0
    crowd = figures["crowd"]
    assert crowd["succeeded"] == crowd["places"] > 0
    assert crowd["standing"] == crowd["capacity"]
    assert report["violations"] == 0
    assert report["control_violations"] > 0
