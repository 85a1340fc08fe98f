"""50,000 junk datagrams a second, from strangers and from the callers' own addresses, while a call is live.

Longer or harder by hand: ATTACK_SECONDS=30 ATTACK_RATE=100000 pytest -s tests/integration/attack
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from tests.fixtures.waiting import eventually
from tests.integration.attack import flood
from tests.integration.attack.conftest import LiveCall
from tests.integration.attack.junk import everything
from tests.integration.interop.house import PATIENCE

RATE = float(os.environ.get("ATTACK_RATE", "50000"))
SECONDS = float(os.environ.get("ATTACK_SECONDS", "2"))


@pytest.mark.parametrize("source", ["strangers", "the callers' own addresses"])
async def test_a_live_call_stands_a_flood(call: LiveCall, tmp_path: Path, source: str) -> None:
    spoofed = source != "strangers"
    people = (call.family, call.prisoner)
    taken = [client.transmit for client in people]
    recorded: list[bytes] = []
    for client, transmit in zip(people, taken, strict=True):
        client.transmit = lambda datagram, transmit=transmit: (recorded.append(datagram), transmit(datagram))  # type: ignore[method-assign,misc]
    await call.goes_on()
    for client, transmit in zip(people, taken, strict=True):
        client.transmit = transmit  # type: ignore[method-assign]
    media = [datagram for datagram in recorded if datagram[0] >= 128]
    usernames = [f"{client.local_ufrag}:{client.ufrag}" for client in people]
    sources = [ssrc for client in people for ssrc in client.ssrc.values()]
    datagrams = everything(8189, usernames=usernames, sources=sources, recorded=media)

    flood.write_datagrams(tmp_path / "datagrams", datagrams)
    spec = {
        "host": call.house.media.address[0],
        "port": call.house.media.address[1],
        "rate": RATE,
        "seconds": SECONDS,
        "datagrams": str(tmp_path / "datagrams"),
        "strangers": 0 if spoofed else 32,
        "sockets": [client.socket.fileno() for client in people] if spoofed else [],
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    before, counters = call.house.endpoint(), call.counters
    said, heard = call.number, len(call.heard(call.prisoner)) + len(call.heard(call.family))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(flood.__file__)),
        str(tmp_path / "spec.json"),
        stdout=asyncio.subprocess.PIPE,
        pass_fds=[int(number) for number in spec["sockets"]],  # type: ignore[attr-defined]
    )
    output = asyncio.create_task(process.communicate())
    while not output.done():
        call.talk()
        await asyncio.sleep(0.02)
    report = json.loads((await output)[0])

    reached = call.house.endpoint().datagrams - before.datagrams
    frames = call.number - said
    arrived = len(call.heard(call.prisoner)) + len(call.heard(call.family)) - heard
    print(
        f"\nflood from {source}: {report['sent']} datagrams at {report['rate']:.0f}/s, {reached} read by the relay; "
        f"{arrived} of {2 * frames} audio packets arrived meanwhile"
    )
    assert report["sent"] > 0
    await eventually(lambda: call.house.endpoint().datagrams > before.datagrams, "junk at the relay", PATIENCE)
    await _quiet(call)
    await call.goes_on()
    call.nothing_strange_came_through()
    after, now = call.house.endpoint(), call.counters
    assert arrived > 0, "the call was heard during the flood"
    assert now.received - counters.received <= 4 * (call.number - said), "only what the two sides have sent was taken"
    assert now.leg_errors == now.listener_errors == now.ice_restarts == 0
    assert after.stun_errors_sent - before.stun_errors_sent <= 20 * (SECONDS + 60)
    if spoofed:
        assert now.dropped_srtp > counters.dropped_srtp
    else:
        assert after.unknown_source > before.unknown_source
        assert now.dropped_srtp == counters.dropped_srtp, "what strangers send is never even decrypted"


async def _quiet(call: LiveCall) -> None:
    """Wait until the relay has read what lay in its socket."""
    seen = -1
    while seen != call.house.endpoint().datagrams:
        seen = call.house.endpoint().datagrams
        await asyncio.sleep(0.3)
