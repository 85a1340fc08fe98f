"""The audit log's row and the chain that ties each row to the one before."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

GENESIS = "0" * 64
"""What the first row names as the hash before it."""


@dataclass(eq=False)
class AuditEntry:
    """One row. `sequence` counts from 1 without gaps. `data` holds ids and codes, never personal data.

    `sha256` is over the row and `previous` (the hash of the row before); `seal` is HMAC-SHA-256 over `sha256` under a
    key that the database does not hold, so a row made by somebody with the database alone is known as such.
    """

    sequence: int
    at: datetime
    action: str
    actor_kind: str
    actor_id: str
    object_id: str
    previous: str
    sha256: str
    seal: str
    prison_id: str | None = None
    request_id: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


def canonical_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """`data` as it will be read back from JSON.

    Raises TypeError for what JSON cannot say, and for floats: databases may write the same number differently.
    """
    result: dict[str, Any] = json.loads(_json(data), parse_float=_no_float)
    return result


def _no_float(text: str) -> float:
    raise TypeError(f"audit data holds no floats: {text}")


def chain_hash(entry: AuditEntry) -> str:
    """SHA-256 (lower-case hex) over every field of the row except `sha256` and `seal`, as JSON with sorted keys."""
    body = _json(
        {
            "sequence": entry.sequence,
            "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "action": entry.action,
            "actor_kind": entry.actor_kind,
            "actor_id": entry.actor_id,
            "object_id": entry.object_id,
            "previous": entry.previous,
            "prison_id": entry.prison_id,
            "request_id": entry.request_id,
            "data": entry.data,
        }
    )
    return hashlib.sha256(body.encode()).hexdigest()


def seal_of(sha256: str, key: bytes) -> str:
    """HMAC-SHA-256 (lower-case hex) of a row's hash."""
    return hmac.new(key, sha256.encode(), hashlib.sha256).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
