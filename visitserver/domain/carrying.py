"""A ledger that hands everything over to another one: two records of a prisoner have become one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from visitserver.domain.allowance import CreditState, CreditType, LedgerEventKind, Occasion
from visitserver.domain.credits import Credit
from visitserver.domain.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Holding:
    """What one ledger hands over to another: a credit, or (None) the debt of a booking that lacks one.

    `id` is the credit's or the debt's in the ledger that it leaves. `booking_id` is what it pays for, `call` the
    prison's day and the minutes of that call.
    """

    id: str
    credit: Credit | None
    booking_id: str | None
    call: tuple[date, int] | None

    @property
    def type(self) -> CreditType:
        return CreditType.STANDARD if self.credit is None else self.credit.type


class CarryingLedger(Ledger):
    """A ledger while its prisoner is merged."""

    def carry_into(self, other: CarryingLedger, *, at: datetime, actor: str) -> int:
        """Hand everything over to the ledger of another record of the same person; how many credits and debts.

        Credits keep their age, their end and what they pay for, so that a visit can still give back what it took and
        counts against the floor as before. A second time there is nothing left to hand over.
        """
        held = [
            Holding(each.id, each, each.booking_id, self._calls.get(each.booking_id or ""))
            for each in self.credits
            if each.state is not CreditState.EXPIRED
        ]
        held += [Holding(debt, None, each, self._calls.get(each)) for each, debt in self._debts.items()]
        for each in held:
            other._take_in(each, f"carried over from {self.prisoner_id}", at, actor)
            self._append(
                *(LedgerEventKind.CARRIED_OUT, each.id, each.type, at, actor, f"carried over to {other.prisoner_id}"),
                *(f"carry-out:{each.id}", each.booking_id),
            )
        return len(held)

    def _take_in(self, held: Holding, reason: str, at: datetime, actor: str) -> None:
        new_id, credit = self._new_id("crd"), held.credit
        line = (new_id, held.type, at, actor, reason)
        call = None if held.call is None else Occasion(at, *held.call)
        if credit is None:
            self._append(LedgerEventKind.OVERDRAWN, *line, f"carry-in:{held.id}", held.booking_id, occasion=call)
            return
        self._append(
            *(LedgerEventKind.CARRIED_IN, *line, f"carry-in:{held.id}"),
            expires_at=credit.expires_at,
            occasion=None if credit.floor_day is None else Occasion(at, credit.floor_day, 0),
            granted_at=credit.granted_at,
        )
        if credit.kept_as is CreditState.ACCUMULATED:
            self._append(LedgerEventKind.ACCUMULATED, *line, f"accumulate:{new_id}")
        if credit.state is CreditState.USED:
            self._append(LedgerEventKind.SPENT, *line, f"carry-spend:{held.id}", held.booking_id, occasion=call)
