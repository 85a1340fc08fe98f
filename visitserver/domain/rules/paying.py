"""What would pay for a visit: a question that two rules ask."""

from __future__ import annotations

from visitserver.domain.allowance import CreditType, Occasion
from visitserver.domain.credits import Payment
from visitserver.domain.floors import floors_of
from visitserver.domain.rules.facts import Facts, Known


def payment_of(facts: Facts) -> Payment | None:
    """What pays if the visit is booked now; None when nothing does. For visits that cost a credit, else ValueError.

    Raises SourceMissing when nothing is found and something that might have paid could not be read.
    """
    slot = facts.slot
    if slot.credit_type is None or facts.kind.privileged:
        raise ValueError("this visit costs nothing")
    ledger = facts.ledger.need()
    owed = facts.owed_minutes.value if isinstance(facts.owed_minutes, Known) else 0
    payment = ledger.payment(
        slot.credit_type,
        at=facts.now,
        occasion=Occasion(slot.starts_at, slot.day, int(slot.duration.total_seconds()) // 60),
        floors=floors_of(facts.prisoner, facts.prison, facts.policies, slot.day),
        owed_minutes=owed,
    )
    if payment is None:
        facts.owed_minutes.need()
    return payment


def needs_no_notice(facts: Facts) -> bool:
    """Whether a compassionate credit pays, or the one for the first call after admission: both are for now."""
    if facts.slot.credit_type is None or facts.kind.privileged or facts.already_charged:
        return False
    payment = payment_of(facts)
    at_once = (CreditType.COMPASSIONATE, CreditType.RECEPTION)
    return payment is not None and payment.credit is not None and payment.credit.type in at_once
