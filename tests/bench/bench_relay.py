"""What forwarding costs: this relay, Janus, aiortc and the floor, under the same load in one run.

A call is two parties (Opus at 50 packets/s, VP8 640 x 480 at 30 frames/s and about 600 kbit/s) and two officers who
are sent both. The load generator's core is C (tests/support/load) and has a processor core of its own; the server has
another one, in a network namespace at the end of a veth pair. Measured one after the other, for each number of calls:

  relay             what the product does, each call recorded to disk
  relay, unrecorded the same without recorders
  janus             Debian's Janus, videoroom, ICE-lite, a thread for each connection (its default)
  janus, 1 loop     the same with event_loops = 1
  floor             receive, decrypt, encrypt and send in plain Python, nothing else
  aiortc            MediaRelay: decode and encode; for 1 and 2 calls. It sends other packets than it gets: its cost is
                    per packet by which a relay would have brought what it brought, its loss and delay unknown

    python -m tests.bench.bench_relay [--calls 1,10,20,40] [--seconds S] [--servers relay,janus] [--short]

The last line is one JSON object. `us_per_forwarded` is CPU time of the server's process, all threads, user and kernel,
per packet that arrived at a client. `ratio_to_janus` is the worst of relay/janus at 10 calls and more, each time
with the cheaper of the two Januses; `ratio_to_aiortc` is the relay's worst at 10 calls and more by aiortc's best where
it brought what it was sent (`brought`: the part of voices and of pictures): with its core full it gives up pictures
or voices, and what is left is another load.
`others_share` is what other processes took of the server's core meanwhile: CPU times are of use when it is small,
delays only then. Janus needs root (a namespace); without, everything else goes over loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.load.janus import Janus, JanusMissing
from tests.support.load.network import LOOPBACK, Network, cores, namespace, on_core
from tests.support.load.run import OFFICERS, measure
from tests.support.load.server import Aiortc, Floor, Relay, Server

CALLS = (1, 10, 20, 40)
MANY = 10  # calls from which on the ratio counts
WHOLE = 0.95  # of voices, and of pictures: more is lost by who has too much to do
SERVERS: dict[str, Callable[[Network, int | None, Path], Server]] = {
    "relay": lambda network, core, folder: Relay(network, core, recordings=folder),
    "janus": lambda network, core, _: Janus(network, core),
    "janus-loop": lambda network, core, _: Janus(network, core, loops=1),
    "floor": lambda network, core, _: Floor(network, core),
    "unrecorded": lambda network, core, _: Relay(network, core, recordings=None),
    "aiortc": lambda network, core, _: Aiortc(network, core),
}
_ONLY = {"unrecorded": (20, 40), "aiortc": ()}


async def bench(
    network: Network, calls: tuple[int, ...], seconds: float, servers: tuple[str, ...], profile: Path | None = None
) -> dict[str, Any]:
    """One run; see the module's text."""
    server_core, own_core = cores()
    results: list[dict[str, Any]] = []
    missing: dict[str, str] = {}
    print(f"{network.description}; {seconds:g} s each; 2 parties and {OFFICERS} officers a call", flush=True)
    # ext4 looks through the inodes that were deleted within the last minutes whenever a file is made: what one run
    # leaves behind is deleted after the last one.
    with on_core(own_core), tempfile.TemporaryDirectory(prefix="visit-bench-") as folder:
        for count, name in _cases(calls, servers):
            if name.startswith("janus") and (network is LOOPBACK or name in missing):
                missing.setdefault(name, "libnice leaves loopback out; there is no network namespace")
                continue
            try:
                result = await measure(SERVERS[name](network, server_core, Path(folder)), count, seconds, profile)
            except JanusMissing as error:
                missing[name] = str(error)
                continue
            results.append(result)
            print(_line(result), flush=True)
    return {
        "bench": "relay",
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": seconds,
        "network": network.description,
        "not_measured": missing,
        "load_average": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "janus": _version(),
        "results": results,
        **ratios(results),
    }


def _cases(calls: tuple[int, ...], servers: tuple[str, ...]) -> list[tuple[int, str]]:
    found = []
    for count in calls:
        found += [(count, name) for name in servers if name not in _ONLY or count in _ONLY[name]]
    if "aiortc" in servers:
        found += [(count, "aiortc") for count in (1, 2)]
    return found


def ratios(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The relay's cost by the others' measure; None where one of them was not measured."""

    def cost(calls: int, *servers: str) -> float | None:
        found = [one for one in results if one["calls"] == calls and one["server"] in servers]
        return min((one["us_per_forwarded"] for one in found), default=None)

    many = sorted({one["calls"] for one in results if one["calls"] >= MANY})
    mine = {calls: value for calls in many if (value := cost(calls, "relay")) is not None}

    def by_calls(*servers: str) -> dict[str, float]:
        theirs = {calls: cost(calls, *servers) for calls in mine}
        return {str(calls): round(mine[calls] / value, 3) for calls, value in theirs.items() if value}

    janus = by_calls("janus", "janus, 1 loop")
    aiortc = min(
        (
            one["us_per_forwarded"]
            for one in results
            if one["server"] == "aiortc" and min(one["brought"].values()) >= WHOLE
        ),
        default=None,
    )
    return {
        "ratio_to_floor_by_calls": by_calls("floor"),
        "ratio_to_janus_by_calls": janus,
        "aiortc_by_relay_by_calls": {str(calls): round(aiortc / value, 1) for calls, value in mine.items()}
        if aiortc
        else {},
        "aiortc_to_relay": round(aiortc / max(mine.values()), 1) if aiortc and mine else None,
        "ratio_to_aiortc": round(max(mine.values()) / aiortc, 4) if aiortc and mine else None,
        "ratio_to_janus": max(janus.values(), default=None),
    }


def _line(result: dict[str, Any]) -> str:
    delay = result["delay_us"]
    lost = "-" if result["lost"] is None else result["lost"]
    brought = "".join(f"  {name} {part:.0%}" for name, part in result["brought"].items())
    spread = "/".join("-" if delay[name] is None else f"{delay[name] / 1000:.2f}" for name in ("p50", "p95", "p99"))
    return (
        f"{result['calls']:>3} calls  {result['server']:<18}{result['us_per_forwarded']:>8.2f} µs/packet"
        f" (kernel {result['of_it_kernel_us']:.1f})"
        f"{result['forwarded_per_second']:>8,}/s{lost:>6} lost{result['cpu_share']:>6.0%} of the core"
        f" (others {result['others_share']:.0%})  delay {spread} ms  {result['memory_per_call_kb']:,} kB/call{brought}"
    )


def table(report: dict[str, Any]) -> str:
    """The results as they stand in docs/limits.md."""
    lines = [
        "| calls | server | CPU per forwarded packet | of it kernel | forwarded/s | lost | delay p50, p95, p99"
        " | memory per call |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in sorted(report["results"], key=lambda one: (one["calls"], one["us_per_forwarded"])):
        delay = [one["delay_us"][name] for name in ("p50", "p95", "p99")]
        spread = ", ".join("–" if value is None else f"{value / 1000:.2f}" for value in delay)
        lost = "–" if one["lost"] is None else f"{one['lost']:,}"
        lines.append(
            f"| {one['calls']} | {one['server']} | {one['us_per_forwarded']:.1f} µs | {one['of_it_kernel_us']:.1f} µs"
            f" | {one['forwarded_per_second']:,} | {lost} | {spread} ms | {one['memory_per_call_kb'] / 1000:.1f} MB |"
        )
    return "\n".join(lines)


def _version() -> str | None:
    if shutil.which("dpkg-query") is None:
        return None
    query = ("dpkg-query", "--show", "--showformat=${Version}", "janus")
    return subprocess.run(query, capture_output=True, text=True, timeout=20).stdout or None


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--calls", default=",".join(map(str, CALLS)))
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--servers", default=",".join(SERVERS), help=f"some of {', '.join(SERVERS)}")
    parser.add_argument("--profile", type=Path, help="a folder for py-spy's samples of each server")
    parser.add_argument("--short", action="store_true", help="a smoke run: relay and floor, 2 calls, 1 s, loopback")
    options = parser.parse_args()
    if options.short:
        print(json.dumps(asyncio.run(bench(LOOPBACK, (2,), 1.0, ("relay", "floor")))))
        return
    calls = tuple(int(part) for part in options.calls.split(","))
    with contextlib.ExitStack() as stack:
        try:
            network = stack.enter_context(namespace())
        except OSError as error:
            print(f"{error}; going on over loopback, without Janus", file=sys.stderr)
            network = LOOPBACK
        report = asyncio.run(bench(network, calls, options.seconds, tuple(options.servers.split(",")), options.profile))
    print(table(report))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
