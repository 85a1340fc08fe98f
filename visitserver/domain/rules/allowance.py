"""Rules 8 to 12, as far as one booking goes: is there something to pay with?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from visitserver.domain.decisions import Words
from visitserver.domain.rules.engine import Finding, refuse, remark, rule
from visitserver.domain.rules.facts import Facts
from visitserver.domain.rules.floor import FLOORS
from visitserver.domain.rules.paying import payment_of
from visitserver.domain.rules.scope import VISIT

NONE_LEFT = Words("There is no visit left in this period.")
NEXT_CREDIT = Words("The next credit comes on {day}.")
ASK_PRISON = Words("Ask the prison when the next one comes.")


@rule("allowance", "10, 11", *FLOORS, of=VISIT, overridable=True)
def allowance(facts: Facts) -> Iterator[Finding]:
    """A call costs what its session says: a credit, minutes owed, or else the floor pays; privileged ones are free.

    The floor is what discipline cannot take away: it makes a credit where there is none.
    """
    cost = facts.slot.credit_type
    if facts.kind.privileged:
        yield remark("Privileged calls are outside the ledger.")
        return
    if cost is None or facts.already_charged:
        yield remark("Costs nothing." if cost is None else "Paid already.")
        return
    payment = payment_of(facts)
    balance = facts.ledger.need().balance
    inputs: dict[str, Any] = {"balance": balance, "cost": cost}
    if payment is None:
        change = ASK_PRISON if facts.next_credit is None else Words(NEXT_CREDIT.template, {"day": facts.next_credit})
        yield refuse(f"No {cost} credit to spend; the balance is {balance}.", NONE_LEFT, change, **inputs)
    elif payment.credit is not None:
        yield remark(f"A {payment.credit.type} credit pays.", credit=payment.credit.id, **inputs)
    elif payment.floor is not None:
        floor = payment.floor
        yield remark(f"No credit, but the floor of the {floor.name} has a call left.", floor=floor.first, **inputs)
    else:
        yield remark("Minutes owed pay.", **inputs)
