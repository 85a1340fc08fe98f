"""When credits come: every so many days from admission, by incentive level."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from visitserver.domain import policies as keys
from visitserver.domain.allowance import CreditType
from visitserver.domain.people import IncentiveLevel
from visitserver.domain.policies import Policies


@dataclass(frozen=True, slots=True)
class Accrual:
    """One kind of regular credit: `count` credits every `every_days` days, counted from `since` (the prison's day)."""

    type: CreditType
    since: date
    every_days: int
    count: int

    def period(self, day: date) -> int:
        """The number of the period that `day` lies in; the first is 0, and before `since` there is -1."""
        return max(-1, (day - self.since).days // self.every_days)

    def begins(self, period: int) -> date:
        """The day on which a period begins and its credits come."""
        return self.since + timedelta(days=period * self.every_days)

    def next_after(self, day: date) -> date:
        """The next day after `day` on which credits come."""
        return self.begins(self.period(day) + 1)

    def event_key(self, prisoner_id: str, period: int, number: int) -> str:
        """Names one credit of one period, so that it is granted once."""
        return f"accrue:{self.type}:{prisoner_id}:{period}:{number}"

    def due(self, prisoner_id: str, day: date, known: frozenset[str]) -> list[int]:
        """The periods up to `day` whose credits are still to come, given the ledger's event keys.

        A prisoner without any accrual so far (an import, an admission) begins with the present period, not with all
        those since admission.
        """
        prefix = f"accrue:{self.type}:{prisoner_id}:"
        had = [int(key.removeprefix(prefix).split(":")[0]) for key in known if key.startswith(prefix)]
        present = self.period(day)
        if present < 0 or self.count == 0:
            return []
        return list(range(max(had) + 1, present + 1)) if had else [present]


def accruals(level: IncentiveLevel, since: date, policies: Policies) -> list[Accrual]:
    """What a prisoner gets: standard credits at every level, privileged ones at the enhanced level."""
    found = [
        Accrual(
            CreditType.STANDARD,
            since,
            policies.number(keys.ACCRUAL_DAYS_STANDARD),
            policies.number(keys.STANDARD_PER_ACCRUAL),
        )
    ]
    if level is IncentiveLevel.ENHANCED:
        found.append(
            Accrual(
                CreditType.PRIVILEGED,
                since,
                policies.number(keys.ACCRUAL_DAYS_PRIVILEGED),
                policies.number(keys.PRIVILEGED_PER_ACCRUAL),
            )
        )
    return [accrual for accrual in found if accrual.count > 0]
