"""A recording's documents: the opening, signed when it begins, and the manifest, signed when it is sealed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from recorder.documents import OPENING, canonical, signed_bytes
from recorder.segment import SegmentEntry
from signaling.capabilities import RecordingWarrant

FORMAT = 1
OPENING_FILE = "opening.json"
MANIFEST_FILE = "manifest.json"
KEY_FILE = "key.json"
HOLD_FILE = "hold.json"
TOMBSTONE_FILE = "tombstone.json"


_WRITER_FILE = re.compile(r"writer-([0-9]{4})\.json")


def writer_file(number: int) -> str:
    """The name of the document by which writer `number` (from 2; the first one has the opening) takes a recording."""
    return f"writer-{number:04d}.json"


def writer_number(name: str) -> int | None:
    """The number in such a name; None for every other name."""
    found = _WRITER_FILE.fullmatch(name.rpartition("/")[2])
    return int(found[1]) if found else None


def software_version() -> str:
    """Name and version of this software, for the record."""
    try:
        return f"visitserver {version('visitserver')}"
    except PackageNotFoundError:  # run from a tree that is not installed
        return "visitserver unknown"


def opening_body(warrant: RecordingWarrant, started_at: datetime, mono_ns: int) -> dict[str, Any]:
    """The opening: under which warrant, when, by what. It is the root of the chain."""
    return {
        "call_id": str(warrant.call_id),
        "format": FORMAT,
        "kinds": [kind.value for kind in warrant.tracks],
        "policy_version": warrant.policy_version,
        "recording_id": warrant.recording_id,
        "software": software_version(),
        "started_at": started_at.isoformat(),
        "started_mono_ns": mono_ns,
    }


def chain_root(opening: Mapping[str, Any]) -> bytes:
    """The chain's value before the first segment: SHA-256 of what the opening's signature covers."""
    return hashlib.sha256(signed_bytes(OPENING, opening)).digest()


def writer_body(opening: Mapping[str, Any], number: int, taken_at: datetime) -> dict[str, Any]:
    """The document by which a later writer takes a recording over."""
    return {
        "call_id": str(opening["call_id"]),
        "recording_id": str(opening["recording_id"]),
        "software": software_version(),
        "taken_at": taken_at.isoformat(),
        "writer": number,
    }


def chain_link(chain: bytes, document_sha256: bytes) -> bytes:
    """The chain's value after a change of the writer, whose document's signed bytes have this SHA-256."""
    return hashlib.sha256(chain + document_sha256).digest()


@dataclass(frozen=True, slots=True)
class Takeover:
    """A change of the writer as the manifest lists it: after `after` segments, with nothing recorded in between.

    Times in ns on the recording's monotonic clock; `dropped_bytes` are what was half written when the change came.
    """

    writer: int
    after: int
    sha256: str
    from_ns: int
    to_ns: int
    dropped_bytes: int

    def to_json(self) -> dict[str, int | str]:
        """As it stands in the manifest, and (without the digest) in the log's NOTE."""
        return {
            "after": self.after,
            "dropped_bytes": self.dropped_bytes,
            "from_ns": self.from_ns,
            "sha256": self.sha256,
            "to_ns": self.to_ns,
            "writer": self.writer,
        }


@dataclass(frozen=True, slots=True)
class SealSummary:
    """What a sealed recording amounts to.

    `duration_ms` from its opening to the last thing recorded; `gaps` counts lost stretches.
    """

    recording_id: str
    call_id: str
    segments: int
    bytes: int
    duration_ms: int
    head_sha256: str
    gaps: int
    tracks: int
    lost_packets: int
    reason: str
    interrupted: bool


def manifest_body(
    opening: Mapping[str, Any],
    segments: Sequence[SegmentEntry],
    content: Mapping[str, Any],
    *,
    last_ns: int,
    sealed_at: datetime,
    reason: str,
    cut: Mapping[str, Any] | None,
    takeovers: Sequence[Takeover] = (),
    head: bytes | None = None,
) -> dict[str, Any]:
    """The manifest of a sealed recording.

    `content` is `RecordingSummary.to_json()`; `cut` tells of a crash before the seal; `head` is the chain's last value
    where it is not the last segment's.
    """
    root = chain_root(opening)
    return {
        **({"takeovers": [one.to_json() for one in takeovers]} if takeovers else {}),
        "content": dict(content),
        "cut": dict(cut) if cut is not None else None,
        "duration_ms": max(0, last_ns - int(opening["started_mono_ns"])) // 1_000_000,
        "format": FORMAT,
        "head": head.hex() if head is not None else segments[-1].chain if segments else root.hex(),
        "opening": dict(opening),
        "opening_sha256": root.hex(),
        "reason": reason,
        "sealed_at": sealed_at.isoformat(),
        "segments": [segment.to_json() for segment in segments],
        "software": software_version(),
    }


def summary_of(manifest: Mapping[str, Any]) -> SealSummary:
    """The summary of a manifest's body."""
    content = manifest["content"]
    return SealSummary(
        recording_id=str(manifest["opening"]["recording_id"]),
        call_id=str(manifest["opening"]["call_id"]),
        segments=len(manifest["segments"]),
        bytes=sum(int(segment["bytes"]) for segment in manifest["segments"]),
        duration_ms=int(manifest["duration_ms"]),
        head_sha256=str(manifest["head"]),
        gaps=int(content["gap_count"]),
        tracks=len(content["tracks"]),
        lost_packets=sum(int(track["lost"]) for track in content["tracks"]),
        reason=str(manifest["reason"]),
        interrupted=manifest["cut"] is not None or bool(manifest.get("takeovers")),
    )


def manifest_sha256(body: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest's canonical body, hexadecimal: what an index outside may keep."""
    return hashlib.sha256(canonical(body)).hexdigest()
