"""A unit of work in which one policy has another value: for asking what would be, never for writing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NoReturn, cast

from visitserver.domain.paging import Page, PageRequest
from visitserver.domain.policies import Policies, PolicyData, PolicyValue
from visitserver.services.ports.facts import Facts as FactsPort
from visitserver.services.ports.facts import PartyRows
from visitserver.services.ports.policies import Policies as PolicyPort
from visitserver.services.ports.uow import UnitOfWork

SUPPOSED: Final = "supposed"
"""The version of a value that nobody has set."""


def supposing(u: UnitOfWork, key: str, value: PolicyData) -> UnitOfWork:
    """`u` as it would read if the policy `key` had `value`, everywhere and at every moment. It cannot be committed."""
    return cast(
        UnitOfWork, _Supposing(u, _SupposedPolicies(u.policies, key, value), _SupposedFacts(u.facts, key, value))
    )


class _SupposedPolicies:
    """The port services/ports/policies.py, with one value that is not there."""

    def __init__(self, real: PolicyPort, key: str, value: PolicyData) -> None:
        self._real = real
        self._key = key
        self._value = value

    def add(self, value: PolicyValue) -> NoReturn:
        raise RuntimeError("what is supposed is not written down")

    async def at(self, prison_id: str, at: datetime) -> Policies:
        return _with(await self._real.at(prison_id, at), self._key, self._value)

    async def versions(self, prison_id: str | None, key: str) -> Sequence[PolicyValue]:
        return await self._real.versions(prison_id, key)

    async def history(self, prison_id: str, key: str, page: PageRequest) -> Page[PolicyValue]:
        return await self._real.history(prison_id, key, page)

    async def to_come(self, prison_id: str, after: datetime) -> Sequence[PolicyValue]:
        return await self._real.to_come(prison_id, after)


class _SupposedFacts:
    """The port services/ports/facts.py, where policies come with what they are asked for."""

    def __init__(self, real: FactsPort, key: str, value: PolicyData) -> None:
        self._real = real
        self._key = key
        self._value = value

    async def party(self, *about: Any, **moment: Any) -> PartyRows:
        rows = await self._real.party(*about, **moment)
        return replace(rows, policies=_with(rows.policies, self._key, self._value))

    async def place(self, *about: Any, **moment: Any) -> NoReturn:
        raise RuntimeError("no place is taken by what is supposed")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


class _Supposing:
    """Everything but the policies is the real unit of work's."""

    def __init__(self, real: UnitOfWork, policies: PolicyPort, facts: _SupposedFacts) -> None:
        self._real = real
        self.policies = policies
        self.facts = facts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def commit(self) -> NoReturn:
        raise RuntimeError("what is supposed is not written down")


def _with(held: Policies, key: str, value: PolicyData) -> Policies:
    return Policies({**held.values, key: (value, SUPPOSED)})
