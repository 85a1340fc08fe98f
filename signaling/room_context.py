"""What every room of a node shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from signaling.call_rules import CallRules
from signaling.calls import CallEvent
from signaling.tickets import Clock

PublishEvent = Callable[[CallEvent], None]


@dataclass(frozen=True, slots=True)
class RoomContext:
    """What a room needs of its node.

    `publish_event` gets every event once, in order, and returns at once. `consent_timeout` is how long media waits
    before it calls a silent peer lost (RFC 7675). `doubt` is called when something says that the calls may be another
    node's by now.
    """

    clock: Clock
    publish_event: PublishEvent
    rules: CallRules = field(default_factory=CallRules)
    consent_timeout: timedelta = timedelta(0)
    doubt: Callable[[], None] = lambda: None
