"""Many packets through the packet path in C: memory must not grow with them.

A socket, a session that sends to it, a track, a party's and an officer's slot with RTX or without, a leg. Some packets
are lost, doubled, forged or keyframes; some cannot be sent; slots come and go.

    python -m tests.support.native_soak [--packets N]

Prints the process's memory as it goes, and ends with 1 if the second half added more than a megabyte.
"""

from __future__ import annotations

import argparse
import gc
import random
import resource
import socket
import sys
from pathlib import Path
from typing import Any

from pylibsrtp import Policy, Session

from signaling.media import native, srtp
from signaling.media.forwarder import Forwarder
from signaling.media.leg import Kind
from signaling.media.rtp import HEADER
from tests.unit.media.test_native_reading import IDS, KEY, Scene

BATCH = 40  # datagrams; the socket's buffer holds them


def memory() -> int:
    """Resident bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def session(kind: int) -> Session:
    policy = Policy(key=KEY, ssrc_type=kind, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_128_GCM)
    policy.allow_repeat_tx = True
    return Session(policy)


class Soak:
    """Everything that a packet meets."""

    def __init__(self) -> None:
        module: Any = native.module
        self.now = 100.0
        self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.bind(("127.0.0.1", 0))
        self.receiver.setblocking(False)
        self.client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.client.bind(("127.0.0.1", 0))
        self.viewer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.viewer.bind(("127.0.0.1", 0))
        self.outbox = module.Outbox(self.receiver.fileno(), module.Tally())
        self.links = module.Links()
        self.scene = Scene(Kind.VIDEO, quick=True)
        self.scene.track.set_outputs(())
        self.ingress = module.Ingress(
            self.receiver.fileno(),
            outbox=self.outbox,
            links=self.links,
            tally=self.scene.counters.tally,
            clock=lambda: self.now,
            dispatch=lambda datagram, address: None,
        )
        self.link = module.Link(self, self.scene.counters.tally)
        self.link.open(native.cipher(session(Policy.SSRC_ANY_INBOUND)))
        self.link.add(100, self.scene.layer, audio_level=1, abs_send_time=2)
        self.links.bind(self.client.getsockname(), self.link)
        self.outlets = [module.Outlet() for _ in range(2)]
        for outlet in self.outlets:
            outlet.open(native.cipher(session(Policy.SSRC_ANY_OUTBOUND)))
        self.aim()
        for slot in self.scene.slots:
            slot.attach(None)
        self.scene.slots = [self.slot(number) for number in range(2)]
        self.protect = srtp.protector(session(Policy.SSRC_ANY_OUTBOUND))
        self.number = 0

    def slot(self, number: int) -> Forwarder:
        wire = self.scene.wires[number]
        wire.native = self.outlets[number]  # type: ignore[misc]
        slot = Forwarder(
            kind=Kind.VIDEO,
            mid="0",
            index=0,
            cname="name",
            ssrc=200 + number,
            payload_type=97,
            clock_rate=90_000,
            extensions=IDS,
            outlet=wire,
            hidden=number == 1,
            first_sequence=7,
            first_timestamp=9,
            resends=number == 0,
        )
        slot.open()
        slot.attach(self.scene.track)
        return slot

    def aim(self, *, nowhere: bool = False) -> None:
        for outlet in self.outlets:
            outlet.to(self.outbox, ("255.255.255.255", 9) if nowhere else self.viewer.getsockname())

    def on_packet(self, packet: bytes, now: float) -> None:
        self.scene.layer.receive(packet, now)

    def on_media(self, datagram: bytes, now: float) -> None: ...

    def on_rtcp(self, compound: bytes, now: float) -> None: ...

    def packet(self) -> bytes:
        self.number += random.choice((1,) * 60 + (2, 3))
        number = self.number
        key = number % 600 < 3
        header = HEADER.pack(0x90, 0x80 * (number % 2) | 96, number & 0xFFFF, number // 2 * 3000 & 0xFFFFFFFF, 100)
        block = b"\x22" + (int(self.now * 262144) & 0xFFFFFF).to_bytes(3, "big")
        payload = b"\x90\x80\x80\x00" + (b"\x10" if key else b"\x11") + bytes(random.randrange(900))
        return self.protect(header + b"\xbe\xde\x00\x01" + block + payload)

    def turn(self) -> None:
        """One batch."""
        self.now += 0.05
        chance = random.random()
        if chance < 0.01:
            self.aim(nowhere=True)
        elif chance < 0.02:
            self.scene.slots[0].attach(None)
            self.scene.slots[0].attach(self.scene.track)
        elif chance < 0.03:
            self.scene.gate.open = not self.scene.gate.open
            self.scene.track.gate_changed(self.now)
        elif chance < 0.06:
            self.scene.gate.open = True
            self.scene.track.gate_changed(self.now)
        for _ in range(BATCH):
            wire = self.packet()
            self.client.sendto(wire, self.receiver.getsockname())
            if random.random() < 0.01:
                self.client.sendto(wire, self.receiver.getsockname())
        self.ingress.drain(256)
        self.scene.layer.tick(self.now)
        for wire_outlet in self.scene.wires:
            wire_outlet.run_timers()
            wire_outlet.sent.clear()
        self.scene.publisher.nacks.clear()
        self.scene.publisher.plis.clear()
        if chance < 0.01:
            self.aim()


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--packets", type=int, default=10_000_000)
    options = parser.parse_args()
    if native.module is None:
        sys.exit(f"the packet path in C is not in use: {native.why_not}")
    random.seed(1)
    soak = Soak()
    counters: Any = soak.scene.counters
    half, told = 0, 0
    while counters.received < options.packets:
        soak.turn()
        done = counters.received
        if done >= told:
            told = done + options.packets // 10
            gc.collect()
            print(f"{done:>12,} in  {counters.forwarded:>12,} out  {memory() / 1e6:.1f} MB", flush=True)
        if not half and done >= options.packets // 2:
            gc.collect()
            half = memory()
    gc.collect()
    grown = memory() - half
    quick = soak.scene.layer.taken
    print(f"{counters.forwarded:,} forwarded, {counters.dropped_send:,} not sent, {quick:,} the quick way")
    print(f"the second half added {grown / 1e6:.2f} MB")
    sys.exit(grown > 1_000_000)


if __name__ == "__main__":
    main()
