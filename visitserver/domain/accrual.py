"""When credits come: every so many days from admission, by incentive level."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from visitserver.domain import policies as keys
from visitserver.domain.allowance import CreditType
from visitserver.domain.people import IncentiveLevel
from visitserver.domain.policies import Policies

MOST_ARREARS: Final = 3
"""Periods that are granted at once when a job has stood still; what is older than that was a decision, not a fault."""


@dataclass(frozen=True, slots=True)
class Accrual:
    """One kind of regular credit: `count` credits every `every_days` days, counted from `since` (the prison's day).

    With `arrears`, what a stopped job left out is granted later; without, only the present period's credits are: those
    belong to an incentive level, which may not have been theirs all the time.
    """

    type: CreditType
    since: date
    every_days: int
    count: int
    arrears: bool = True

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
        """Names one credit of one period, so that it is granted once.

        The period is named by its first day: a new admission or another rhythm begins where the last one stopped.
        """
        return f"accrue:{self.type}:{prisoner_id}:{self.begins(period).isoformat()}:{number}"

    def due(self, prisoner_id: str, day: date, known: Iterable[str]) -> list[int]:
        """The periods up to `day` whose credits are still to come, given the ledger's event keys.

        A prisoner without any accrual so far (an import, an admission) begins with the present period, not with all
        those since admission.
        """
        present = self.period(day)
        if present < 0 or self.count == 0:
            return []
        prefix = f"accrue:{self.type}:{prisoner_id}:"
        had = [self._day(key.removeprefix(prefix).split(":")[0]) for key in known if key.startswith(prefix)]
        if not had or not self.arrears:
            return [present] if not had or max(had) < self.begins(present) else []
        first = max(0, self.period(max(had)), present - MOST_ARREARS + 1)
        return [period for period in range(first, present + 1) if self.begins(period) > max(had)]

    def _day(self, text: str) -> date:
        """The period in an event key: its first day, or (in lines of the first version) its number."""
        return self.begins(int(text)) if text.lstrip("-").isdigit() else date.fromisoformat(text)


def accruals(level: IncentiveLevel, since: date, policies: Policies) -> list[Accrual]:
    """What a prisoner gets: standard credits at every level, privileged ones as the level has them."""
    standard = policies.number(keys.STANDARD_PER_ACCRUAL)
    privileged = 0
    match level:
        case IncentiveLevel.BASIC:
            standard -= policies.number(keys.STANDARD_LESS_BASIC)
        case IncentiveLevel.STANDARD:
            privileged = policies.number(keys.PRIVILEGED_PER_ACCRUAL_STANDARD)
        case IncentiveLevel.ENHANCED:
            standard += policies.number(keys.STANDARD_MORE_ENHANCED)
            privileged = policies.number(keys.PRIVILEGED_PER_ACCRUAL)
    found = [
        Accrual(CreditType.STANDARD, since, policies.number(keys.ACCRUAL_DAYS_STANDARD), standard),
        Accrual(CreditType.PRIVILEGED, since, policies.number(keys.ACCRUAL_DAYS_PRIVILEGED), privileged, arrears=False),
    ]
    return [accrual for accrual in found if accrual.count > 0]
