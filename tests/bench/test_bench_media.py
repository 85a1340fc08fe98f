"""The media benchmarks run, and what they count adds up. Nothing here depends on how quick the machine is."""

from __future__ import annotations

import pytest

from tests.bench import bench_join, bench_loss
from tests.bench.bench_relay import bench, ratios
from tests.bench.loss_plot import plot
from tests.support.load.network import LOOPBACK
from tests.support.load.run import COPIES

pytestmark = pytest.mark.bench


async def test_the_relay_forwards_every_packet_that_it_gets() -> None:
    result = await bench(LOOPBACK, (2,), 0.5, ("relay", "floor", "janus"))
    relay, floor = result["results"]
    for measured in (relay, floor):
        assert measured["received"] == measured["expected"] == measured["sent"] * COPIES > 0
        assert measured["lost"] == measured["generator"]["undecryptable"] == 0
        assert measured["us_per_forwarded"] > 0
    assert relay["counters"]["dropped"] == 0
    assert relay["counters"]["recorded"] >= relay["sent"]
    assert result["not_measured"].keys() == {"janus"}
    assert result["ratio_to_janus"] is None


def test_the_ratio_is_the_worst_and_by_the_cheaper_janus() -> None:
    costs = [("relay", 1, 90), ("relay", 10, 20), ("relay", 40, 12), ("janus", 1, 30), ("janus", 10, 50)]
    costs += [("janus, 1 loop", 10, 40), ("janus", 40, 20), ("relay, unrecorded", 40, 1), ("aiortc", 1, 2000)]
    results = [{"server": server, "calls": calls, "us_per_forwarded": cost} for server, calls, cost in costs]
    results[-1]["brought"] = {"voices": 1.0, "pictures": 0.96}
    cut = {"server": "aiortc", "calls": 2, "us_per_forwarded": 700, "brought": {"voices": 1.0, "pictures": 0.7}}
    found = ratios([*results, cut])
    assert found["ratio_to_janus_by_calls"] == {"10": 0.5, "40": 0.6}
    assert found["ratio_to_janus"] == 0.6
    assert found["aiortc_to_relay"] == 100
    assert found["aiortc_by_relay_by_calls"] == {"10": 100.0, "40": 166.7}
    assert found["ratio_to_aiortc"] == 0.01


async def test_joins_tiles_and_restarts_are_measured() -> None:
    result = await bench_join.bench(1)
    for name in ("party", "officer", "tile", "restart"):
        assert 0 < result[f"{name}_ms"]["p50"] <= result[f"{name}_ms"]["max"]
    assert result["ice_restarts"] == 1
    assert result["dropped_srtp"] == 0


async def test_a_bad_network_is_measured_and_drawn() -> None:
    report = await bench_loss.bench(["10 %"], 1.0, 1.0)
    (result,) = report["results"]
    assert result["link"]["up"]["lost"] > 0
    assert result["link"]["down"]["lost"] > 0
    for side in ("family_sees", "prisoner_sees"):
        assert result[side]["audio_packets"] > 0
        assert result[side]["height"] > 0
    assert 0 < result["recorded"]["audio"]["part"] <= 1
    assert result["recorded"]["video"]["packets"] > 0
    picture = plot(report)
    assert picture.startswith("<svg")
    assert "10 %" in picture
