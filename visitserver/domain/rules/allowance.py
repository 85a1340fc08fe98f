"""Rules 8 to 12, as far as one booking goes: is there a credit to pay with?"""

from __future__ import annotations

from collections.abc import Iterator

from visitserver.domain.decisions import Words
from visitserver.domain.rules.engine import Finding, refuse, remark, rule
from visitserver.domain.rules.facts import Facts

NONE_LEFT = Words("There is no visit left in this period.")
NEXT_CREDIT = Words("The next credit comes on {day}.")
ASK_PRISON = Words("Ask the prison when the next one comes.")


@rule("allowance", "10", overridable=True)
def allowance(facts: Facts) -> Iterator[Finding]:
    """Social and other calls cost what the template says; legal, consular and inspection calls never cost."""
    cost = facts.slot.credit_type
    if facts.kind.privileged:
        yield remark("Privileged calls are outside the ledger.")
        return
    if cost is None or facts.already_charged:
        yield remark("Costs nothing." if cost is None else "Paid already.")
        return
    ledger = facts.ledger.need()
    found = ledger.spendable(facts.now, cost)
    if not found:
        change = ASK_PRISON if facts.next_credit is None else Words(NEXT_CREDIT.template, {"day": facts.next_credit})
        yield refuse(
            f"No {cost} credit to spend; the balance is {ledger.balance}.",
            NONE_LEFT,
            change,
            balance=ledger.balance,
            cost=cost,
        )
    else:
        yield remark(f"{len(found)} to spend.", balance=ledger.balance, cost=cost, credit=found[0].id)
