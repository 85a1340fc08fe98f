"""The process of server.Aiortc: aiortc's RTCPeerConnection and MediaRelay, used the way its own examples do.

Every track is decoded once and encoded again for each receiver. It listens on the address that it is given.

    python -m tests.support.load.aiortc_process ADDRESS
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import aioice.ice
import uvloop
from aiortc import MediaStreamTrack, RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay

from tests.support.load.lines import answer_lines


class AiortcProcess:
    """Peer connections of some calls."""

    def __init__(self) -> None:
        self.relay = MediaRelay()
        self.connections: dict[int, list[tuple[str, RTCPeerConnection]]] = {}
        self.tracks: dict[int, dict[str, list[MediaStreamTrack]]] = {}

    async def do(self, command: dict[str, Any]) -> dict[str, Any]:
        """One command. The first party is given the second's tracks when that one has come."""
        if command["do"] not in ("publish", "watch"):
            return {}
        # By its other policies, aiortc 1.16 leaves the second audio of four lines on a transport that is never started.
        connection = RTCPeerConnection(RTCConfiguration(bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        call, who = command["call"], command["who"]
        tracks = self.tracks.setdefault(call, {})
        connections = self.connections.setdefault(call, [])
        if command["do"] == "publish":
            connection.on("track", self._taker(tracks.setdefault(who, [])))
        await connection.setRemoteDescription(RTCSessionDescription(command["offer"], "offer"))
        shown = [track for other, some in tracks.items() if other != who for track in some]
        free = {
            kind: [line for line in connection.getTransceivers() if line.kind == kind] for kind in ("audio", "video")
        }
        for track in shown:
            line = free[track.kind].pop(0)
            line.sender.replaceTrack(self.relay.subscribe(track))
            line.direction = "sendrecv" if command["do"] == "publish" else "sendonly"
        if not shown:
            for line in connection.getTransceivers():
                line.direction = "sendrecv"
        await connection.setLocalDescription(await connection.createAnswer())
        if command["do"] == "publish" and connections:
            self._show(connections[0][1], tracks[who])
        connections.append((who, connection))
        return {"sdp": connection.localDescription.sdp}

    def _taker(self, tracks: list[MediaStreamTrack]) -> Callable[[MediaStreamTrack], None]:
        def take(track: MediaStreamTrack) -> None:
            tracks.append(track)

        return take

    def _show(self, connection: RTCPeerConnection, tracks: list[MediaStreamTrack]) -> None:
        """Fill the senders of the party that came first."""
        for track in tracks:
            line = next(line for line in connection.getTransceivers() if line.kind == track.kind)
            line.sender.replaceTrack(self.relay.subscribe(track))

    async def close(self) -> None:
        """End every connection."""
        for connections in self.connections.values():
            for _, connection in connections:
                await connection.close()


async def serve(host: str) -> None:
    """Run until stdin ends."""
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [host]  # it leaves the loopback out by itself
    process = AiortcProcess()
    await answer_lines(process.do)
    await process.close()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
