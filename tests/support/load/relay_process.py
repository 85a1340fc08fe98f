"""The process of server.Relay: a media node, its rooms, and a recording of each.

    python -m tests.support.load.relay_process ADDRESS [FOLDER]

Recordings go to a folder of their own in FOLDER (on a real disk, if the figure is to say anything) and stay there.
"""

from __future__ import annotations

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from recorder.blobs import FolderStore
from recorder.keys import LocalKeyRing, new_key_line
from recorder.service import RecordingService
from signaling.capabilities import RecordingWarrant
from signaling.ids import OrdinaryCallId, new_id
from signaling.media.leg import Kind, Side
from signaling.media.node import MediaNode
from signaling.media.rooms import OrdinaryMediaRoom
from tests.support.load.lines import answer_lines


class RelayProcess:
    """Does what the load process says."""

    def __init__(self, host: str, folder: Path | None) -> None:
        self.node = MediaNode(host, 0)
        self.rooms: dict[int, OrdinaryMediaRoom] = {}
        self.recordings: RecordingService | None = None
        if folder is not None:
            keys = LocalKeyRing.from_text(new_key_line("bench"))
            self.recordings = RecordingService(
                FolderStore(folder), keys, Ed25519PrivateKey.generate(), lambda: datetime.now(UTC)
            )

    async def do(self, command: dict[str, Any]) -> dict[str, Any]:
        """One command."""
        if command["do"] == "publish":
            room = await self.room(command["call"])
            side = Side(command["who"])
            return {"sdp": (await room.publish(command["who"], side, command["offer"])).sdp}
        if command["do"] == "watch":
            return {"sdp": (await (await self.room(command["call"])).subscribe(command["who"], command["offer"])).sdp}
        return self.sample()

    async def room(self, number: int) -> OrdinaryMediaRoom:
        """The room of a call, made and recorded from the first asking."""
        if number not in self.rooms:
            call_id = OrdinaryCallId(new_id("call"))
            room = self.rooms[number] = self.node.open_room(call_id)
            if self.recordings is not None:
                warrant = RecordingWarrant(call_id, new_id("rec"), (Kind.AUDIO, Kind.VIDEO), "1")
                room.add_leg(await self.recordings.start(warrant))
            room.set_gate(True)
        return self.rooms[number]

    def sample(self) -> dict[str, Any]:
        """The node's counters."""
        stats = self.node.stats()
        total = stats.total
        return {
            "sessions": stats.sessions,
            "received": total.received,
            "forwarded": total.forwarded_participants + total.forwarded_officers,
            "recorded": total.forwarded_legs,
            "dropped": total.dropped_srtp + total.dropped_send + total.dropped_oversize + total.dropped_malformed,
            "unknown_source": stats.endpoint.unknown_source,
            "pli": total.pli_sent,
            "nack": total.nack_sent,
        }


async def serve(host: str, folder: Path | None) -> None:
    """Run until stdin ends."""
    process = RelayProcess(host, folder)
    await process.node.start()
    await answer_lines(process.do)
    await process.node.stop()
    if process.recordings is not None:
        await process.recordings.close()


def main() -> None:
    """The command line."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40), logger_factory=_to_stderr)
    folder = Path(tempfile.mkdtemp(dir=sys.argv[2])) if len(sys.argv) > 2 else None
    uvloop.run(serve(sys.argv[1], folder))


def _to_stderr(*_: object) -> Any:
    return structlog.PrintLogger(sys.stderr)


if __name__ == "__main__":
    main()
