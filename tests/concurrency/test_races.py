"""Clients in processes of their own book, move and cancel at once; some are killed, some paused, some cut off.

Nobody is ever in two places, nobody is told anything that is lost, and every credit is where it should be. The control,
with the constraint off, shows that the race is one. `make bench-booking` runs the long form and prints its figures.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.races.checker import check_record, check_told
from tests.support.races.race import Race, Verdict, control, run_race
from tests.support.races.record import Done
from tests.support.races.scene import RaceClock, Size

pytestmark = pytest.mark.concurrency

SHORT = Race(seed=1, clients=12, processes=2, operations=140, fault_every=20, kills=1)
CROWDED = Race(
    seed=1,
    clients=10,
    processes=1,
    operations=40,
    fault_every=1000,
    kills=0,
    speed=1.0,
    mix="hold",
    slots=2,
    cancelled=0,
    size=Size(prisoners=30, contacts=45, days=1),
)
NIGHTLY_SEEDS = range(int(os.environ.get("RACE_SEEDS", "100")))


def told(verdict: Verdict) -> str:
    return "\n".join([str(verdict.summary()), *verdict.violations[:20]])


async def test_nobody_is_ever_in_two_places(store_url: str, tmp_path: Path) -> None:
    verdict = await run_race(SHORT, store_url, tmp_path / "records")
    print(verdict.summary())
    assert not verdict.violations, told(verdict)
    assert verdict.results["ok"] >= 10, told(verdict)
    assert verdict.operations >= SHORT.operations


async def test_control_without_the_constraint_the_same_check_finds_double_bookings(
    store_url: str, tmp_path: Path
) -> None:
    verdict = await run_race(control(CROWDED, store_url.split("+")[0]), store_url, tmp_path / "records")
    print(verdict.summary())
    assert any(each.startswith("stored: ") for each in verdict.violations), told(verdict)
    assert any(each.startswith("told: ") for each in verdict.violations), told(verdict)


@pytest.mark.nightly
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", NIGHTLY_SEEDS)
async def test_fifty_clients_and_ten_thousand_operations(store_url: str, tmp_path: Path, seed: int) -> None:
    verdict = await run_race(Race(seed=seed), store_url, tmp_path / "records")
    print(verdict.summary())
    assert not verdict.violations, told(verdict)


# --- the checker itself: what it is told to find it finds ------------------------------------------------------------

CLOCK = RaceClock(0.0, 60.0)
FACTS = {
    "id": "bkg_1",
    "state": "booked",
    "prisoner": "prs_1",
    "contacts": ["con_1"],
    "station": "stn_1",
    "slot": "tpl_open@20260305T0700Z",
    "starts_at": "2026-03-05T07:00:00+00:00",
    "ends_at": "2026-03-05T07:30:00+00:00",
    "live": False,
    "overbooked": False,
    "hold_until": None,
    "revision": 0,
}


def confirmed(began: float, ended: float, **facts: object) -> Done:
    booking = {**FACTS, **facts}
    return Done("c", 1, "confirm", {}, began, ended, "ok", booking, [str(booking["id"])])


def test_two_bookings_told_at_one_time_are_found() -> None:
    other = {"id": "bkg_2", "prisoner": "prs_2", "contacts": ["con_2"], "starts_at": "2026-03-05T07:30:00+00:00"}
    late = {**other, "ends_at": "2026-03-05T08:00:00+00:00"}
    assert check_record([confirmed(0, 1), confirmed(2, 3, **late)], CLOCK) == ["told: station stn_1 in bkg_2 and bkg_1"]
    clear = {**late, "starts_at": "2026-03-05T07:35:00+00:00"}
    assert check_record([confirmed(0, 1), confirmed(2, 3, **clear)], CLOCK) == []


def test_what_was_given_up_before_is_no_double_booking() -> None:
    cancel = Done("c", 2, "cancel", {"booking": "bkg_1"}, 1.5, 1.8, "ok", None, ["bkg_1"])
    other = confirmed(2, 3, id="bkg_2")
    assert check_record([confirmed(0, 1), cancel, other], CLOCK) == []
    assert len(check_record([confirmed(0, 1), replace(cancel, bookings=[]), other], CLOCK)) == 3


def test_what_was_told_and_is_not_stored_is_found() -> None:
    assert check_told([confirmed(0, 1)], []) == ["lost: bkg_1 was told to a client and is not stored"]
