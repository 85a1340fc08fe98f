"""What a client wrote down of its operations: an intention before each, a result after it, a line each.

Lines are flushed one by one, so a client that is killed leaves everything but the result of what it was doing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from visitserver.domain.scheduling import Booking, SupervisionLevel

UNKNOWN = "unknown"
"""The operation was cancelled or its connection killed: nobody knows whether it took place."""


@dataclass
class Done:
    """One operation. Times are the machine's monotonic seconds; `ended` is None when no result was written."""

    client: str
    number: int
    name: str
    args: dict[str, Any]
    began: float
    ended: float | None = None
    result: str = UNKNOWN
    booking: dict[str, Any] | None = None
    bookings: list[str] = field(default_factory=list)
    """Every booking that the operation names, before and after."""


class Recorder:
    """Writes one client process's record."""

    def __init__(self, path: Path, client: str) -> None:
        self._file: TextIO = path.open("a", encoding="utf-8")
        self._client = client
        self._number = 0

    def begin(self, at: float, name: str, args: dict[str, Any]) -> int:
        """An operation is about to be tried; gives its number."""
        self._number += 1
        self._write({"client": self._client, "n": self._number, "at": at, "op": name, "args": args})
        return self._number

    def end(self, number: int, at: float, result: str, booking: dict[str, Any] | None = None) -> None:
        """It has ended: "ok", an error's code, or UNKNOWN."""
        self._write({"client": self._client, "n": number, "at": at, "result": result, "booking": booking})

    def close(self) -> None:
        self._file.close()

    def _write(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


def facts_of(booking: Booking) -> dict[str, Any]:
    """A booking as a client is told of it."""
    return {
        "id": booking.id,
        "state": booking.state.value,
        "prisoner": booking.prisoner_id,
        "contacts": list(booking.contact_ids),
        "station": booking.station_id,
        "slot": booking.slot_key,
        "starts_at": booking.starts_at.isoformat(),
        "ends_at": booking.ends_at.isoformat(),
        "live": booking.supervision is SupervisionLevel.LIVE,
        "overbooked": booking.overbook_reason is not None,
        "hold_until": booking.hold_expires_at.isoformat() if booking.hold_expires_at else None,
        "revision": booking.revision,
    }


def read_records(folder: Path) -> list[Done]:
    """All operations of all clients in the order in which they began."""
    found: dict[tuple[str, int], Done] = {}
    for path in sorted(folder.glob("*.jsonl")):
        for line in _whole_lines(path):
            key = (line["client"], line["n"])
            if "op" in line:
                done = Done(line["client"], line["n"], line["op"], line["args"], line["at"])
                if (named := line["args"].get("booking")) is not None:
                    done.bookings.append(named)
                found[key] = done
            else:
                done = found[key]
                done.ended, done.result, done.booking = line["at"], line["result"], line["booking"]
                if line["booking"] is not None:
                    done.bookings.append(line["booking"]["id"])
    return sorted(found.values(), key=lambda each: each.began)


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text("utf-8").splitlines(keepends=True):
        if line.endswith("\n"):  # the last one may have been cut off
            yield json.loads(line)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
