"""Which media node hosts which call."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from signaling.errors import Unavailable
from signaling.ids import CallId


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A media node: where its control commands go (`node_id`) and where its clients go (`url`, no trailing slash)."""

    node_id: str
    url: str
    capacity: int  # calls


class Directory(Protocol):
    """The port. Adapters: `InProcessDirectory` here, Redis later."""

    async def register(
        self, node: NodeInfo, load: int, *, accepting: bool = True, hosting: Collection[CallId] = ()
    ) -> None:
        """`node` lives and hosts `load` calls, those of `hosting`; repeated every few seconds.

        A draining node is not `accepting`. A node that was taken for dead gets its calls back, but for those that
        another living node hosts meanwhile.
        """
        ...

    async def unregister(self, node_id: str) -> None:
        """The node is gone, and with it its placements."""
        ...

    async def place(self, call_id: CallId) -> NodeInfo:
        """The node that hosts the call: the one it is on, or else the least loaded. Unavailable when none can."""
        ...

    async def find(self, call_id: CallId) -> NodeInfo | None:
        """The node that hosts the call, if it lives."""
        ...

    async def release(self, call_id: CallId) -> None:
        """The call is over: forget where it was."""
        ...

    async def nodes(self) -> list[NodeInfo]:
        """Every living node, by identifier."""
        ...


@dataclass(slots=True)
class _Registered:
    node: NodeInfo
    load: int
    accepting: bool
    seen: float
    placed: set[CallId]
    fresh: int = 0  # placements since the last report

    @property
    def expected_load(self) -> int:
        # A placement counts at once, before the node's own report includes it: two calls of the same minute must not
        # both land on the node that was emptiest a moment ago.
        return self.load + self.fresh


class InProcessDirectory:
    """The directory inside one process. A node not heard of for `ttl` seconds of `clock` (monotonic) is dead."""

    def __init__(self, clock: Callable[[], float], *, ttl: float = 15.0) -> None:
        self._clock = clock
        self._ttl = ttl
        self._nodes: dict[str, _Registered] = {}

    async def register(
        self, node: NodeInfo, load: int, *, accepting: bool = True, hosting: Collection[CallId] = ()
    ) -> None:
        """See `Directory.register`."""
        known = self._nodes.get(node.node_id)
        placed = known.placed if known is not None and self._lives(known) else set()
        placed |= {call_id for call_id in hosting if self._host(call_id) is None}
        self._nodes[node.node_id] = _Registered(node, load, accepting, self._clock(), placed)

    async def unregister(self, node_id: str) -> None:
        """See `Directory.unregister`."""
        self._nodes.pop(node_id, None)

    async def place(self, call_id: CallId) -> NodeInfo:
        """See `Directory.place`."""
        host = self._host(call_id)
        if host is not None:
            return host.node
        able = [
            known
            for known in self._nodes.values()
            if self._lives(known) and known.accepting and known.expected_load < known.node.capacity
        ]
        if not able:
            raise Unavailable("no media node can take another call")
        chosen = min(able, key=lambda known: (known.expected_load / known.node.capacity, known.node.node_id))
        chosen.placed.add(call_id)
        chosen.fresh += 1
        return chosen.node

    async def find(self, call_id: CallId) -> NodeInfo | None:
        """See `Directory.find`."""
        host = self._host(call_id)
        return None if host is None else host.node

    async def release(self, call_id: CallId) -> None:
        """See `Directory.release`."""
        for known in self._nodes.values():
            known.placed.discard(call_id)

    async def nodes(self) -> list[NodeInfo]:
        """See `Directory.nodes`."""
        return [known.node for _, known in sorted(self._nodes.items()) if self._lives(known)]

    def hosts(self, call_id: CallId) -> bool:
        """Whether any living node hosts the call."""
        return self._host(call_id) is not None

    def _lives(self, known: _Registered) -> bool:
        return self._clock() - known.seen < self._ttl

    def _host(self, call_id: CallId) -> _Registered | None:
        for known in self._nodes.values():
            if call_id in known.placed and self._lives(known):
                return known
        return None
