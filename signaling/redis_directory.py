"""The directory in Redis: leases by Redis's own clock, every step one script, so that no two placements can cross.

Keys, all under one hash tag: `nodes` (set), `node:<id>` (hash, expires with the lease), `call:<id>` (hash of `node`,
empty once the call is over, and `token`; kept a day longer than any call), `state` (hash).

Nobody may be taken for dead because Redis itself was away: whenever no script has run for half a lease (Redis was
stopped, or has lost its data), nothing is placed for one lease, in which every living node has told of itself again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from redis.asyncio import Redis

from signaling.directory import NO_CALLS, NodeInfo, Placement
from signaling.errors import Unavailable
from signaling.ids import CallId
from signaling.redis_connection import redis_errors

LEASE = 4.0
"""Seconds after which a node that has not registered again is dead."""

CALL_KEPT = 36 * 3600
"""Seconds that a call's token is remembered after the last step: no call, and so no stale node's copy, is older."""

# ARGV[1] prefix, ARGV[2] lease in ms; every script begins with this. `now` is in ms.
_PRELUDE = """
local p, lease = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local pulse = tonumber(redis.call('HGET', p .. 'state', 'pulse') or '0')
if now - pulse > lease / 2 then redis.call('HSET', p .. 'state', 'settled', string.format('%.0f', now + lease)) end
redis.call('HSET', p .. 'state', 'pulse', string.format('%.0f', now))
local function living(call)
  local at = redis.call('HMGET', p .. 'call:' .. call, 'node', 'token')
  if not at[1] or at[1] == '' then return nil end
  local info = redis.call('HGET', p .. 'node:' .. at[1], 'info')
  if not info then return nil end
  return {info, at[2]}
end
local function write(call, node, token)
  redis.call('HSET', p .. 'call:' .. call, 'node', node, 'token', token)
  redis.call('EXPIRE', p .. 'call:' .. call, ARGV[3])
end
"""

# ARGV[4..7] node, info, load, accepting; then call, token, call, token, ...
_REGISTER = (
    _PRELUDE
    + """
local node = ARGV[4]
redis.call('SADD', p .. 'nodes', node)
redis.call('HSET', p .. 'node:' .. node, 'info', ARGV[5], 'load', ARGV[6], 'accepting', ARGV[7], 'fresh', '0')
redis.call('PEXPIRE', p .. 'node:' .. node, lease)
local lost = {}
for i = 8, #ARGV, 2 do
  local at = redis.call('HMGET', p .. 'call:' .. ARGV[i], 'node', 'token')
  if not at[2] then
    write(ARGV[i], node, ARGV[i + 1])
  elseif at[1] ~= node or at[2] ~= ARGV[i + 1] then
    table.insert(lost, ARGV[i])
  else
    redis.call('EXPIRE', p .. 'call:' .. ARGV[i], ARGV[3])
  end
end
return lost
"""
)

_PLACE = (
    _PRELUDE
    + """
local call = ARGV[4]
local placed = living(call)
if placed then return placed end
if now < tonumber(redis.call('HGET', p .. 'state', 'settled') or '0') then return {'settling'} end
local best, share
local nodes = redis.call('SMEMBERS', p .. 'nodes')
table.sort(nodes)
for _, id in ipairs(nodes) do
  local at = redis.call('HMGET', p .. 'node:' .. id, 'info', 'load', 'accepting', 'fresh')
  if not at[1] then
    redis.call('SREM', p .. 'nodes', id)
  elseif at[3] == '1' then
    local load, capacity = at[2] + at[4], cjson.decode(at[1]).capacity
    if load < capacity and (not share or load / capacity < share) then
      best, share = {id, at[1]}, load / capacity
    end
  end
end
if not best then return {'full'} end
local before = tonumber(redis.call('HGET', p .. 'call:' .. call, 'token') or '0')
local token = string.format('%.0f', math.max(now, before + 1))
write(call, best[1], token)
redis.call('HINCRBY', p .. 'node:' .. best[1], 'fresh', 1)
return {best[2], token}
"""
)

_FIND = _PRELUDE + "return living(ARGV[4])"

_RELEASE = (
    _PRELUDE
    + """
if redis.call('HGET', p .. 'call:' .. ARGV[4], 'token') == ARGV[5] then write(ARGV[4], '', ARGV[5]) end
"""
)

_NODES = (
    _PRELUDE
    + """
local found = {}
for _, id in ipairs(redis.call('SMEMBERS', p .. 'nodes')) do
  local info = redis.call('HGET', p .. 'node:' .. id, 'info')
  if info then table.insert(found, info) else redis.call('SREM', p .. 'nodes', id) end
end
return found
"""
)


class RedisDirectory:
    """The directory of several processes. `lease` in seconds; every process of a deployment has the same.

    A node registers at least four times in a lease. Tokens are Redis's time in ms, or more: they grow even past a Redis
    that lost its data.
    """

    def __init__(self, redis: Redis, *, lease: float = LEASE, prefix: str = "visit:{directory}:") -> None:
        self._redis = redis
        self._fixed = (prefix, str(int(lease * 1000)), str(CALL_KEPT))
        self._prefix = prefix
        self._register, self._place, self._find, self._release, self._nodes = (
            redis.register_script(script) for script in (_REGISTER, _PLACE, _FIND, _RELEASE, _NODES)
        )

    async def register(
        self, node: NodeInfo, load: int, *, accepting: bool = True, hosting: Mapping[CallId, int] = NO_CALLS
    ) -> frozenset[CallId]:
        """See `Directory.register`."""
        info = json.dumps({"node_id": node.node_id, "url": node.url, "capacity": node.capacity})
        calls = [text for call_id, token in hosting.items() for text in (str(call_id), str(token))]
        args = [*self._fixed, node.node_id, info, str(load), "1" if accepting else "0", *calls]
        lost = set(await self._run(self._register, args))
        return frozenset(call_id for call_id in hosting if str(call_id) in lost)

    async def unregister(self, node_id: str) -> None:
        """See `Directory.unregister`."""
        with redis_errors("the directory"):
            await self._redis.delete(f"{self._prefix}node:{node_id}")

    async def place(self, call_id: CallId) -> Placement:
        """See `Directory.place`."""
        found = await self._run(self._place, [*self._fixed, str(call_id)])
        if found == ["settling"]:
            raise Unavailable("the directory was away: nodes are telling of themselves first")
        if found == ["full"]:
            raise Unavailable("no media node can take another call")
        return _placement(found)

    async def find(self, call_id: CallId) -> Placement | None:
        """See `Directory.find`."""
        found = await self._run(self._find, [*self._fixed, str(call_id)])
        return None if not found else _placement(found)

    async def release(self, call_id: CallId, token: int) -> None:
        """See `Directory.release`."""
        await self._run(self._release, [*self._fixed, str(call_id), str(token)])

    async def nodes(self) -> list[NodeInfo]:
        """See `Directory.nodes`."""
        found = await self._run(self._nodes, list(self._fixed))
        return sorted((NodeInfo(**json.loads(info)) for info in found), key=lambda node: node.node_id)

    async def _run(self, script: Any, args: list[str]) -> list[str]:
        with redis_errors("the directory"):
            return cast("list[str]", await script(args=args) or [])


def _placement(found: list[str]) -> Placement:
    return Placement(NodeInfo(**json.loads(found[0])), int(found[1]))
