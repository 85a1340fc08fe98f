"""The audit log's heads in a file: one JSON object per line, only ever appended to."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from visitserver.domain.audit_check import Anchor
from visitserver.domain.errors import Invalid, Unavailable


class FileAnchors:
    """The port services/ports/anchors.py. Keep the file on another volume or machine than the database's."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def append(self, anchor: Anchor) -> None:
        line = json.dumps(
            {
                "sequence": anchor.sequence,
                "sha256": anchor.sha256,
                "at": anchor.at.astimezone(UTC).isoformat(timespec="microseconds"),
                "signature": anchor.signature,
            }
        )
        try:
            await asyncio.to_thread(self._write, line + "\n")
        except OSError as error:
            raise Unavailable("The audit log's head cannot be kept.", code="anchor_unavailable") from error

    async def read(self) -> Sequence[Anchor]:
        try:
            text = await asyncio.to_thread(self._text)
        except OSError as error:
            raise Unavailable("The audit log's heads cannot be read.", code="anchor_unavailable") from error
        return [anchor for line in text.splitlines() if line.strip() and (anchor := _parse(line))]

    def _text(self) -> str:
        return self._path.read_text(encoding="utf-8") if self._path.exists() else ""

    def _write(self, line: str) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            # A power cut may have left half a line: it ends here, so that it cannot spoil this one.
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = "\n" + line
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _parse(line: str) -> Anchor | None:
    try:
        data = json.loads(line)
    except json.JSONDecodeError:
        # Half a line from a power cut. A head that was cut out on purpose is missed only until the next anchor.
        return None
    try:
        return Anchor(
            int(data["sequence"]), str(data["sha256"]), datetime.fromisoformat(data["at"]), str(data["signature"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Invalid("The file of anchors holds a line that is none.", code="anchor_file") from error
