"""Which media node hosts which call, and under which token."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from signaling.errors import Unavailable
from signaling.ids import CallId

NO_CALLS: Mapping[CallId, int] = {}
MOST_REMEMBERED = 20_000  # calls that are over, whose tokens the adapter in this process still knows


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A media node: where its control commands go (`node_id`) and where its clients go (`url`, no trailing slash)."""

    node_id: str
    url: str
    capacity: int  # calls


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a call is. `token` is larger at each placement of the same call: who has a smaller one has lost it."""

    node: NodeInfo
    token: int

    @property
    def node_id(self) -> str:
        """See NodeInfo."""
        return self.node.node_id

    @property
    def url(self) -> str:
        """See NodeInfo."""
        return self.node.url


class Directory(Protocol):
    """The port. Adapters: `InProcessDirectory` here, `RedisDirectory` (redis_directory.py).

    Every method of the Redis adapter raises Unavailable when Redis does not answer.
    """

    async def register(
        self, node: NodeInfo, load: int, *, accepting: bool = True, hosting: Mapping[CallId, int] = NO_CALLS
    ) -> frozenset[CallId]:
        """`node` lives and hosts `load` calls; repeated several times within the lease. Gives the calls it has lost.

        A draining node is not `accepting`. `hosting` are its calls with their tokens: those that have been placed
        again meanwhile, or are over, are the ones it has lost. A directory that forgot everything learns them anew.
        """
        ...

    async def unregister(self, node_id: str) -> None:
        """The node is gone, and with it its placements."""
        ...

    async def place(self, call_id: CallId) -> Placement:
        """Where the call is: the node it is on, or else the least loaded that accepts. Unavailable when none can."""
        ...

    async def find(self, call_id: CallId) -> Placement | None:
        """Where the call is, if its node lives."""
        ...

    async def release(self, call_id: CallId, token: int) -> None:
        """The call is over, says the holder of `token`. Nothing happens if it has been placed again since."""
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
    fresh: int = 0  # placements since the last report

    @property
    def expected_load(self) -> int:
        # A placement counts at once, before the node's own report includes it: two calls of the same minute must not
        # both land on the node that was emptiest a moment ago.
        return self.load + self.fresh


@dataclass(slots=True)
class _Entry:
    node_id: str | None  # None: the call is over
    token: int


class InProcessDirectory:
    """The directory inside one process. A node not heard of for `ttl` seconds of `clock` (monotonic) is dead."""

    def __init__(self, clock: Callable[[], float], *, ttl: float = 15.0) -> None:
        self._clock = clock
        self._ttl = ttl
        self._nodes: dict[str, _Registered] = {}
        self._entries: dict[CallId, _Entry] = {}
        self._over: OrderedDict[CallId, None] = OrderedDict()
        self._token = 0

    async def register(
        self, node: NodeInfo, load: int, *, accepting: bool = True, hosting: Mapping[CallId, int] = NO_CALLS
    ) -> frozenset[CallId]:
        """See `Directory.register`."""
        self._nodes[node.node_id] = _Registered(node, load, accepting, self._clock())
        lost: set[CallId] = set()
        for call_id, token in hosting.items():
            entry = self._entries.setdefault(call_id, _Entry(node.node_id, token))
            self._token = max(self._token, token)
            if (entry.node_id, entry.token) != (node.node_id, token):
                lost.add(call_id)
        return frozenset(lost)

    async def unregister(self, node_id: str) -> None:
        """See `Directory.unregister`."""
        self._nodes.pop(node_id, None)

    async def place(self, call_id: CallId) -> Placement:
        """See `Directory.place`."""
        placed = await self.find(call_id)
        if placed is not None:
            return placed
        able = [
            known
            for known in self._nodes.values()
            if self._lives(known) and known.accepting and known.expected_load < known.node.capacity
        ]
        if not able:
            raise Unavailable("no media node can take another call")
        chosen = min(able, key=lambda known: (known.expected_load / known.node.capacity, known.node.node_id))
        chosen.fresh += 1
        self._token += 1
        self._entries[call_id] = _Entry(chosen.node.node_id, self._token)
        self._over.pop(call_id, None)
        return Placement(chosen.node, self._token)

    async def find(self, call_id: CallId) -> Placement | None:
        """See `Directory.find`."""
        entry = self._entries.get(call_id)
        if entry is None or entry.node_id is None:
            return None
        known = self._nodes.get(entry.node_id)
        return None if known is None or not self._lives(known) else Placement(known.node, entry.token)

    async def release(self, call_id: CallId, token: int) -> None:
        """See `Directory.release`."""
        entry = self._entries.get(call_id)
        if entry is None or entry.token != token:
            return
        entry.node_id = None
        self._over[call_id] = None
        while len(self._over) > MOST_REMEMBERED:
            self._entries.pop(self._over.popitem(last=False)[0], None)

    async def nodes(self) -> list[NodeInfo]:
        """See `Directory.nodes`."""
        return [known.node for _, known in sorted(self._nodes.items()) if self._lives(known)]

    def _lives(self, known: _Registered) -> bool:
        return self._clock() - known.seen < self._ttl
