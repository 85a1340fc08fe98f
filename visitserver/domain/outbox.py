"""What is to be told to the world after commit."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class OutboxState(StrEnum):
    """Where a message stands. NOT_SENT: there is no way to send it here, and it is kept to be seen."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    NOT_SENT = "not_sent"


@dataclass(eq=False)
class OutboxMessage:
    """A message written in the transaction of what it tells about.

    `topic` names who delivers it. `payload` holds references where it can; what is personal in it (a mail's text) is
    wiped once delivered. `attempts` counts tries; `due_at` is when the next may be; `claimed_until` belongs to the
    worker that has it. `dedupe_key` is unique where set. `prison_id`: whose administrators see it; None: everybody's.
    """

    id: str
    topic: str
    created_at: datetime
    due_at: datetime
    payload: dict[str, Any] = field(default_factory=dict)
    state: OutboxState = OutboxState.PENDING
    attempts: int = 0
    last_error: str | None = None
    claimed_until: datetime | None = None
    delivered_at: datetime | None = None
    dedupe_key: str | None = None
    request_id: str | None = None
    prison_id: str | None = None
