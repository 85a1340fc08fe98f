"""The media benchmarks run, and what they count adds up. Nothing here depends on how quick the machine is."""

from __future__ import annotations

from tests.bench.bench_relay import OFFICERS, bench


async def test_the_relay_forwards_every_packet_that_it_gets() -> None:
    result = await bench(calls=1, seconds=0.5)
    relay, recorder, floor = result["results"]
    for measured in (relay, recorder):
        assert measured["forwarded"] == measured["received_by_relay"] * (1 + OFFICERS) > 0
        assert measured["dropped"] == 0
        assert measured["sessions"] == 2 + OFFICERS
        assert measured["us_per_forwarded"] > 0
    assert result["lost_by_relay"] == 0
    assert floor["forwarded"] > 0
