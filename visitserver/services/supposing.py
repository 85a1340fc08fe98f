"""A unit of work in which one policy has another value: for asking what would be, never for writing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NoReturn, cast

from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.policies import Policies, PolicyData, PolicyValue
from visitserver.services.ports.policies import Policies as PolicyPort
from visitserver.services.ports.uow import UnitOfWork

SUPPOSED: Final = "supposed"
"""The version of a value that nobody has set."""


def supposing(u: UnitOfWork, key: str, value: PolicyData) -> UnitOfWork:
    """`u` as it would read if the policy `key` had `value`, everywhere and at every moment. It cannot be committed."""
    return cast(UnitOfWork, _Supposing(u, _SupposedPolicies(u.policies, key, value)))


class _SupposedPolicies:
    """The port services/ports/policies.py, with one value that is not there."""

    def __init__(self, real: PolicyPort, key: str, value: PolicyData) -> None:
        self._real = real
        self._key = key
        self._value = value

    def add(self, value: PolicyValue) -> NoReturn:
        raise RuntimeError("what is supposed is not written down")

    async def at(self, prison_id: str, at: datetime) -> Policies:
        held = await self._real.at(prison_id, at)
        return Policies({**held.values, self._key: (self._value, SUPPOSED)})

    async def versions(self, prison_id: str | None, key: str) -> Sequence[PolicyValue]:
        return await self._real.versions(prison_id, key)

    async def history(self, prison_id: str, key: str, page: PageRequest) -> Page[PolicyValue]:
        return await self._real.history(prison_id, key, page)

    async def to_come(self, prison_id: str, after: datetime) -> Sequence[PolicyValue]:
        return await self._real.to_come(prison_id, after)


class _Supposing:
    """Everything but the policies is the real unit of work's."""

    def __init__(self, real: UnitOfWork, policies: PolicyPort) -> None:
        self._real = real
        self.policies = policies

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def commit(self) -> NoReturn:
        raise RuntimeError("what is supposed is not written down")
