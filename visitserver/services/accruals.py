"""Regular credits: what came, and when the next one comes."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from visitserver.domain import policies as keys
from visitserver.domain.accrual import accruals
from visitserver.domain.allowance import CreditType
from visitserver.domain.ledger import Ledger
from visitserver.domain.people import Prison, Prisoner
from visitserver.domain.policies import Policies
from visitserver.services.clock import today_at


def next_credit_day(prisoner: Prisoner, prison: Prison, policies: Policies, now: datetime) -> date | None:
    """The prison's day on which the next regular credit comes; None when none will."""
    since = today_at(prison, prisoner.admitted_at)
    today = today_at(prison, now)
    return min(
        (each.next_after(today) for each in accruals(prisoner.incentive_level, since, policies)),
        default=None,
    )


def bring_up_to_date(
    ledger: Ledger, prisoner: Prisoner, prison: Prison, policies: Policies, *, now: datetime, actor: str
) -> None:
    """Append what the calendar owes: expiry first, then the reception credit and those of every period begun, then the
    cap."""
    accumulate_after = timedelta(days=policies.number(keys.ACCUMULATE_DAYS))
    cap = policies.number(keys.CREDIT_CAP)
    ledger.sweep(at=now, actor=actor, accumulate_after=accumulate_after, cap=cap)
    since = today_at(prison, prisoner.admitted_at)
    today = today_at(prison, now)
    reception_until = prisoner.admitted_at + timedelta(hours=policies.number(keys.RECEPTION_HOURS))
    if prisoner.admitted_at <= now < reception_until:
        ledger.grant(
            CreditType.RECEPTION,
            at=now,
            actor=actor,
            reason=f"reception on {since}",
            event_key=f"reception:{prisoner.id}:{since}",
            expires_at=reception_until,
        )
    life = timedelta(days=policies.number(keys.PRIVILEGED_EXPIRY_DAYS))
    for accrual in accruals(prisoner.incentive_level, since, policies):
        for period in accrual.due(prisoner.id, today, ledger.keys()):
            for number in range(accrual.count):
                ledger.grant(
                    accrual.type,
                    at=now,
                    actor=actor,
                    reason=f"period beginning {accrual.begins(period)}",
                    event_key=accrual.event_key(prisoner.id, period, number),
                    expires_at=now + life if accrual.type is CreditType.PRIVILEGED else None,
                )
    ledger.sweep(at=now, actor=actor, accumulate_after=accumulate_after, cap=cap)
