"""CPU of the relay per forwarded packet.

A process of its own runs the relay; this one makes the load: calls of two parties (Opus at 50 packets/s, VP8 at
600 kbit/s in 75 packets/s of about 1,000 bytes) and two officers, over real ICE, DTLS and SRTP on the loopback. Three
things are measured in turn, in one run on the same load:

  relay     what the product does
  recorder  the same, with a leg per call that takes every packet, as the recorder does
  floor     the same socket, keys and load, but only recvfrom, unprotect, write an SSRC, protect, sendto: what these
            libraries cost in Python when the relay itself does nothing

    python -m tests.bench.bench_relay [--calls N] [--seconds S] [--short]

The last line is one JSON object. `us_per_forwarded` is CPU time of the relay's process, all of it, per packet sent.
`lost_before_relay` counts what the kernel's buffer could not hold: more than none means that something else took the
machine, and that the figures are too high. `load_average` says how much else there was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import structlog
import uvloop

from signaling.ids import OrdinaryCallId, new_id
from signaling.media.leg import Side, TrackInfo
from signaling.media.node import MediaNode
from signaling.media.rooms import OrdinaryMediaRoom
from tests.fakes.media_client import OFFICER, PARTY, MediaClient, vp8

AUDIO_RATE = 50
VIDEO_RATE = 75
AUDIO_SIZE = 80
VIDEO_SIZE = 1000
OFFICERS = 2
TICK = 0.005


# The relay's process: commands as JSON lines on stdin, answers on stdout.


class CountingLeg:
    """A leg that costs what handing a packet over costs, and nothing more."""

    leg_id = "recorder"

    def __init__(self) -> None:
        self.packets = 0

    def track_added(self, track: TrackInfo) -> None: ...

    def track_removed(self, track_id: str) -> None: ...

    def on_rtp(self, track: TrackInfo, packet: bytes, arrival: float) -> None:
        self.packets += 1

    def on_rtcp(self, track: TrackInfo, packet: bytes, arrival: float) -> None: ...

    def on_event(self, event: object) -> None: ...

    def close(self, reason: str) -> None: ...


class RelayProcess:
    """Does what the load process says."""

    def __init__(self) -> None:
        self.node = MediaNode("127.0.0.1", 0)
        self.rooms: dict[int, OrdinaryMediaRoom] = {}
        self.floor_sent = 0

    async def serve(self) -> None:
        await self.node.start()
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            answer = await self.do(json.loads(line))
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        await self.node.stop()

    async def do(self, command: dict[str, Any]) -> dict[str, Any]:
        if command["do"] == "publish":
            room = self.room(command["call"])
            return {"sdp": (await room.publish(command["who"], Side.FAMILY, command["offer"])).sdp}
        if command["do"] == "watch":
            return {"sdp": (await self.room(command["call"]).subscribe(command["who"], command["offer"])).sdp}
        if command["do"] == "record":
            for room in self.rooms.values():
                room.add_leg(CountingLeg())
        elif command["do"] == "floor":
            self.strip_to_floor()
        return self.sample()

    def room(self, number: int) -> OrdinaryMediaRoom:
        if number not in self.rooms:
            self.rooms[number] = self.node.open_room(OrdinaryCallId(new_id("call")))
            self.rooms[number].set_gate(True)
        return self.rooms[number]

    def sample(self) -> dict[str, Any]:
        total = self.node.stats().total
        sent = total.forwarded_participants + total.forwarded_officers + self.floor_sent
        endpoint = self.node.stats().endpoint
        dropped = total.dropped_srtp + total.dropped_send + total.dropped_oversize + total.dropped_malformed
        return {
            "cpu": time.process_time(),
            "at": time.monotonic(),
            "sent": sent,
            "received": total.received,
            "dropped": dropped,
            "unknown": endpoint.unknown_source,
            "sessions": self.node.stats().sessions,
            "pli": total.pli_sent,
            "nack": total.nack_sent,
        }

    def strip_to_floor(self) -> None:
        """Replace the packet path by the least that could be called forwarding."""
        targets: dict[Any, tuple[Any, list[tuple[Any, Any]]]] = {}
        for room in self.rooms.values():
            for peer in room._peers.values():
                others = [other for other in room._peers.values() if other is not peer]
                assert peer._srtp is not None
                targets[peer._address] = (
                    peer._srtp.unprotect,
                    [(other._srtp.protect, other._address) for other in others if other._srtp],
                )
        endpoint = self.node._endpoint
        bound = endpoint._socket
        assert bound is not None

        def readable() -> None:
            for _ in range(256):
                try:
                    data, address = bound.recvfrom(2048)
                except BlockingIOError:
                    return
                if data[0] < 128 or 192 <= data[1] <= 223:
                    continue
                unprotect, others = targets[address]
                packet = unprotect(data)
                ssrc = bytes([packet[8] ^ 0x80])
                for protect, other in others:
                    bound.sendto(protect(packet[:8] + ssrc + packet[9:]), other)
                    self.floor_sent += 1

        assert self.node._timer is not None
        self.node._timer.cancel()
        loop = asyncio.get_running_loop()
        loop.remove_reader(bound)
        loop.add_reader(bound, readable)


# The load's process.


@dataclass
class Party:
    """A publisher, with its packets made beforehand but for what changes."""

    client: MediaClient
    audio_due: float = 0.0
    video_due: float = 0.0
    audio: int = 0
    video: int = 0

    def send_due(self, elapsed: float) -> int:
        """Send what is due at `elapsed` seconds; the number of packets."""
        sent = 0
        while self.audio_due <= elapsed:
            self.client.send_rtp("audio", bytes(AUDIO_SIZE), self.audio * 960, level=30)
            self.audio += 1
            self.audio_due += 1 / AUDIO_RATE
            sent += 1
        while self.video_due <= elapsed:
            # A keyframe every ten seconds, as the relay's rhythm asks for; five packets make two frames.
            key = self.video % (VIDEO_RATE * 10) == 0
            payload = vp8(self.video, key=key, start=self.video % 5 in (0, 3), size=VIDEO_SIZE)
            stamp = self.video * 2 // 5 * 3000
            self.client.send_rtp("video", payload, stamp, send_time=int(elapsed * 262144) & 0xFFFFFF)
            self.video += 1
            self.video_due += 1 / VIDEO_RATE
            sent += 1
        return sent


@dataclass
class Load:
    """All clients of one run."""

    process: asyncio.subprocess.Process
    parties: list[Party] = field(default_factory=list)
    clients: list[MediaClient] = field(default_factory=list)
    sent: int = 0

    async def ask(self, **command: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")
        line = await asyncio.wait_for(self.process.stdout.readline(), 60)
        if not line:
            raise RuntimeError("the relay's process has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def join(self, calls: int) -> None:
        for call in range(calls):
            for who in ("family", "prisoner"):
                client = MediaClient(PARTY, parse=False)
                answer = await self.ask(do="publish", call=call, who=who, offer=client.offer())
                await client.connect(answer["sdp"])
                offset = len(self.parties) * 0.0037 % 0.02
                self.parties.append(Party(client, offset, offset))
                self.clients.append(client)
            for number in range(OFFICERS):
                client = MediaClient(OFFICER, parse=False)
                answer = await self.ask(do="watch", call=call, who=f"officer-{number}", offer=client.offer())
                await client.connect(answer["sdp"])
                self.clients.append(client)

    def received(self) -> int:
        return sum(client.received.datagrams for client in self.clients)

    async def run(self, began: float, seconds: float) -> None:
        """Send at the right pace until `seconds` have passed since `began`."""
        while (elapsed := time.monotonic() - began) < seconds:
            for party in self.parties:
                self.sent += party.send_due(elapsed)
            await asyncio.sleep(TICK)

    async def measure(self, name: str, began: float, until: float) -> dict[str, Any]:
        before = await self.ask(do="sample")
        offered, arrived = self.sent, self.received()
        own = time.process_time()
        await self.run(began, until)
        await asyncio.sleep(0.2)
        after = await self.ask(do="sample")
        sent = after["sent"] - before["sent"]
        elapsed = after["at"] - before["at"]
        cpu = after["cpu"] - before["cpu"]
        result = {
            "name": name,
            "us_per_forwarded": round(cpu / sent * 1e6, 2),
            "forwarded_per_second": round(sent / elapsed),
            "received_per_second": round((self.sent - offered) / elapsed),
            "cpu_share": round(cpu / elapsed, 3),
            "offered": self.sent - offered,
            "forwarded": sent,
            "expected": (self.sent - offered) * (1 + OFFICERS),
            "arrived_at_clients": self.received() - arrived,
            "dropped": after["dropped"] - before["dropped"],
            "received_by_relay": after["received"] - before["received"],
            "sessions": after["sessions"],
            "pli": after["pli"] - before["pli"],
            "nack": after["nack"] - before["nack"],
            "load_cpu_share": round((time.process_time() - own) / elapsed, 3),
        }
        print(
            f"{name:<9} {result['us_per_forwarded']:>7.2f} µs/packet  {result['forwarded_per_second']:>7,}/s out"
            f"  {result['received_per_second']:>6,}/s in  {result['cpu_share']:.0%} of a core"
            f"  dropped {result['dropped']}",
            flush=True,
        )
        return result


async def bench(calls: int, seconds: float) -> dict[str, Any]:
    """One run; see the module's text."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.bench_relay",
        "--relay",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    load = Load(process)
    try:
        await load.join(calls)
        print(f"{calls} calls of 2 parties and {OFFICERS} officers, {seconds:g} s each", flush=True)
        began = time.monotonic()
        await load.run(began, 2)
        results = [await load.measure("relay", began, 2 + seconds)]
        await load.ask(do="record")
        results.append(await load.measure("recorder", began, 2.5 + 2 * seconds))
        await load.ask(do="floor")
        results.append(await load.measure("floor", began, 3 + 3 * seconds))
    finally:
        for client in load.clients:
            client.stop_checks()
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 60)
        except TimeoutError:
            process.kill()
            await process.wait()
        for client in load.clients:
            await client.close()
    by_name = {result["name"]: result for result in results}
    relay = by_name["relay"]
    per_call = 2 * (AUDIO_RATE + VIDEO_RATE) * (1 + OFFICERS)
    return {
        "bench": "relay",
        "calls": calls,
        "seconds": seconds,
        "us_per_forwarded": relay["us_per_forwarded"],
        "ratio_to_floor": round(relay["us_per_forwarded"] / by_name["floor"]["us_per_forwarded"], 2),
        "calls_per_core": round(1e6 / relay["us_per_forwarded"] / per_call),
        "lost_by_relay": relay["received_by_relay"] * (1 + OFFICERS) - relay["forwarded"],
        "lost_before_relay": relay["offered"] - relay["received_by_relay"],
        "load_average": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "results": results,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--short", action="store_true", help="a smoke run: 2 calls, 1 s")
    parser.add_argument("--relay", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.relay:
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40), logger_factory=_to_stderr)
        uvloop.run(RelayProcess().serve())
        return
    calls, seconds = (2, 1.0) if options.short else (options.calls, options.seconds)
    print(json.dumps(uvloop.run(bench(calls, seconds))))


def _to_stderr(*_: object) -> Any:
    return structlog.PrintLogger(sys.stderr)


if __name__ == "__main__":
    main()
