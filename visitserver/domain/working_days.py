"""Working days: the weekdays on which a prison reviews requests, less its holidays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from visitserver.domain.policies import HOLIDAYS, REVIEW_WORKING_DAYS, WEEKDAYS, WORKING_DAYS, Policies

# Beyond this many days nobody works at all: a list of holidays that long, or no weekday, is a mistake.
LONGEST_SEARCH = 730


@dataclass(frozen=True, slots=True)
class WorkingDays:
    """Which days are worked. `weekdays` are numbers, Monday is 0; `holidays` are days of the prison."""

    weekdays: frozenset[int]
    holidays: frozenset[date]

    @classmethod
    def of(cls, policies: Policies) -> WorkingDays:
        """As the policies say."""
        names = policies.texts(WORKING_DAYS)
        return cls(
            frozenset(number for number, name in enumerate(WEEKDAYS) if name in names),
            frozenset(date.fromisoformat(text) for text in policies.texts(HOLIDAYS)),
        )

    def works_on(self, day: date) -> bool:
        return day.weekday() in self.weekdays and day not in self.holidays

    def after(self, day: date, count: int) -> date:
        """The `count`-th working day after `day`, itself for 0; `date.max` when there are not so many in sight."""
        for _ in range(LONGEST_SEARCH):
            if count <= 0:
                return day
            day += timedelta(days=1)
            count -= self.works_on(day)
        return date.max

    def before(self, day: date, count: int, *, until: date) -> date | None:
        """The last working day, `until` at the latest, after which there are `count` working days up to `day`.

        `day` itself is one of them where it is worked. None when there is no such day in sight.
        """
        left, found = count, day
        for _ in range(LONGEST_SEARCH):
            if left <= 0 and found <= until and self.works_on(found):
                return found
            if found == date.min:
                return None
            left -= self.works_on(found)
            found -= timedelta(days=1)
        return None


def first_review_day(today: date, policies: Policies) -> date:
    """The first day for which a visit that a person must look at is offered on `today` (rule 21)."""
    return WorkingDays.of(policies).after(today, policies.number(REVIEW_WORKING_DAYS))
