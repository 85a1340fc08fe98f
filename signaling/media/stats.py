"""Counters. Each counts packets (or bytes where its name says so) since its owner was made, and only ever grows."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

from signaling.media import native


@dataclass(slots=True)
class _Counters:
    def snapshot(self) -> Self:
        """A copy that no longer changes."""
        return type(self)(**{field.name: getattr(self, field.name) for field in fields(self)})

    def add(self, other: Self) -> None:
        """Add another's numbers to these."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    @property
    def tally(self) -> Any:
        """What the packet path counts in: this, or (see `_backed`) a Tally in C behind it."""
        return self


@dataclass(slots=True)
class RoomCounters(_Counters):
    """One room's packets.

    `received` counts authenticated RTP packets of publishers; each is then dropped by the gate or by a mute, or goes
    to the legs. `forwarded` counts packets given to a leg: sent to a participant (`forwarded_participants`) or an
    officer (`forwarded_officers`), or handed to another leg such as the recorder (`forwarded_legs`). `repaired` of
    those received came as RTX because the relay had asked; `rtx_unusable` were padding, malformed, or there already.
    """

    received: int = 0
    received_bytes: int = 0
    received_rtcp: int = 0
    forwarded: int = 0
    forwarded_bytes: int = 0
    forwarded_participants: int = 0
    forwarded_officers: int = 0
    forwarded_legs: int = 0
    retransmitted: int = 0
    repaired: int = 0
    rtx_received: int = 0
    rtx_unusable: int = 0
    duplicates: int = 0
    dropped_gate: int = 0
    dropped_muted: int = 0
    dropped_unknown_track: int = 0
    dropped_malformed: int = 0
    dropped_srtp: int = 0
    dropped_oversize: int = 0
    dropped_before_keyframe: int = 0
    dropped_send: int = 0
    leg_errors: int = 0
    legs_removed: int = 0
    listener_errors: int = 0
    pli_sent: int = 0
    pli_received: int = 0
    nack_sent: int = 0
    nack_received: int = 0
    sender_reports: int = 0
    receiver_reports: int = 0
    remb_sent: int = 0
    ice_restarts: int = 0


@dataclass(slots=True)
class EndpointCounters(_Counters):
    """The datagrams of a node's sockets. All but `media`, `dtls` and `stun_checks` changed nothing.

    The `tcp_` ones count connections (`tcp_unsent`: datagrams that a slow reader was not sent).
    """

    datagrams: int = 0
    media: int = 0
    dtls: int = 0
    stun_checks: int = 0
    empty: int = 0
    oversized: int = 0
    unknown_source: int = 0
    unknown_protocol: int = 0
    stun_malformed: int = 0
    stun_unauthenticated: int = 0
    stun_address_conflict: int = 0
    stun_replayed: int = 0
    stun_errors_sent: int = 0
    stun_suppressed: int = 0
    send_failed: int = 0
    receive_failed: int = 0
    tcp_accepted: int = 0
    tcp_refused: int = 0
    tcp_strangers_dropped: int = 0
    tcp_unsent: int = 0


@dataclass(frozen=True, slots=True)
class NodeStats:
    """A whole node's numbers: open rooms and live sessions now, and the sums over all rooms there have been."""

    rooms: int
    sessions: int
    endpoint: EndpointCounters
    total: RoomCounters
    tcp_connections: int = 0


def _counted(name: str) -> property:
    """An attribute that stands in the tally."""

    def read(self: Any) -> int:
        return getattr(self.tally, name)  # type: ignore[no-any-return]

    def write(self: Any, value: int) -> None:
        setattr(self.tally, name, value)

    return property(read, write)


def _backed(counters: type[Any]) -> Any:
    """The same counters, but those that C counts stand in a Tally of its."""
    tally = native.module.Tally  # type: ignore[union-attr]

    def begin(self: Any, **values: int) -> None:
        self._tally = tally()
        counters.__init__(self, **values)

    body: dict[str, Any] = {"__slots__": ("_tally",), "__init__": begin, "tally": property(lambda self: self._tally)}
    body |= {field.name: _counted(field.name) for field in fields(counters) if hasattr(tally, field.name)}
    return type(counters.__name__, (counters,), {**body, "__doc__": counters.__doc__, "__module__": __name__})


if native.module is not None:
    RoomCounters = _backed(RoomCounters)  # type: ignore[misc]
    EndpointCounters = _backed(EndpointCounters)  # type: ignore[misc]
