"""Rule 16: how long before a visit it can be booked, and that nobody books what has begun."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from visitserver.domain.decisions import Words
from visitserver.domain.policies import LATE_START_MINUTES, NOTICE_DAYS_MAX, NOTICE_DAYS_MIN, NOTICE_MINUTES_PRIVILEGED
from visitserver.domain.rules.engine import Finding, refuse, remark, rule
from visitserver.domain.rules.facts import Facts
from visitserver.domain.rules.paying import needs_no_notice
from visitserver.domain.rules.scope import VISIT

LATER_TIME = Words("Choose a later time.")


@rule("begun", "16", LATE_START_MINUTES, of=VISIT)
def begun(facts: Facts) -> Iterator[Finding]:
    """A slot can be booked until `booking.late_start_minutes` after it began, and never once it is over.

    Not a matter of notice: no reason brings a time back, so staff cannot set this aside.
    """
    if _begun(facts):
        yield refuse("The slot has begun.", Words("This time has passed."), LATER_TIME, starts_at=facts.slot.starts_at)


@rule(
    "window",
    "16",
    NOTICE_DAYS_MIN,
    NOTICE_DAYS_MAX,
    NOTICE_MINUTES_PRIVILEGED,
    LATE_START_MINUTES,
    of=VISIT,
    overridable=True,
)
def window(facts: Facts) -> Iterator[Finding]:
    """2 to 28 whole days ahead, in the prison's days; privileged calls need two hours and have no latest day.

    Compassionate visits need no notice, nor does the first call after admission: what pays for it says which it is.
    It has no objection to a slot that has begun: `begun` has, and one pair of sentences is enough. Nor to a request
    that a person decides: it was asked for in time, or staff set that aside, and then their reason stands for it again.
    """
    if _begun(facts):
        yield remark("Not asked: the slot has begun.")
        return
    if facts.deciding and "window" not in facts.overrides:
        yield remark("It was asked for in time.")
        return
    if facts.kind.privileged:
        yield from _privileged(facts)
        return
    soonest = facts.today + timedelta(days=facts.policies.number(NOTICE_DAYS_MIN))
    latest_days = facts.policies.number(NOTICE_DAYS_MAX)
    latest = facts.today + timedelta(days=latest_days)
    if facts.slot.day < soonest and needs_no_notice(facts):
        yield remark("Nothing but a compassionate or a reception credit pays: no notice is asked for.")
    elif facts.slot.day < soonest:
        yield refuse(
            "Before the first day that can be booked.",
            Words("This visit is too soon to book."),
            Words("Visits can be booked for {day} and later.", {"day": soonest}),
            day=facts.slot.day,
            soonest=soonest,
        )
    elif facts.slot.day > latest:
        opens = facts.slot.day - timedelta(days=latest_days)
        yield refuse(
            "After the last day that can be booked.",
            Words("This visit is too far ahead to book."),
            Words("You can book it from {day} on.", {"day": opens}),
            day=facts.slot.day,
            latest=latest,
        )


def _privileged(facts: Facts) -> Iterator[Finding]:
    notice = timedelta(minutes=facts.policies.number(NOTICE_MINUTES_PRIVILEGED))
    if notice and facts.slot.starts_at - facts.now < notice:
        yield refuse(
            f"Less than {notice} before the call.",
            Words("This visit is too soon to book."),
            LATER_TIME,
            starts_at=facts.slot.starts_at,
        )


def _begun(facts: Facts) -> bool:
    late = timedelta(minutes=facts.policies.number(LATE_START_MINUTES))
    return facts.now > facts.slot.starts_at + late or facts.now >= facts.slot.ends_at
