"""A prisoner's ledger, replayed from its events: what can be spent, in which order, and what each change appends.

Spending, refunding and expiring are methods that append events; nothing else changes a ledger. An event key that is in
the ledger already makes the method append nothing: the same happening told twice counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from visitserver.domain.allowance import CreditState, CreditType, LedgerEvent, LedgerEventKind
from visitserver.domain.errors import Conflict

SPENDABLE = frozenset({CreditState.AVAILABLE, CreditState.ACCUMULATED})


@dataclass(slots=True)
class Credit:
    """One visit credit. `kept_as` is the state it returns to when its booking gives it back."""

    id: str
    type: CreditType
    state: CreditState
    granted_at: datetime
    expires_at: datetime | None = None
    booking_id: str | None = None
    kept_as: CreditState = CreditState.AVAILABLE

    def spendable_at(self, at: datetime) -> bool:
        return self.state in SPENDABLE and (self.expires_at is None or at < self.expires_at)


class Ledger:
    """The ledger of one prisoner.

    `new` holds the events appended since it was loaded: what the caller stores. Raises ValueError when the events that
    it is made from contradict themselves (a sequence with a hole, a balance that is not the sum).
    """

    def __init__(self, prisoner_id: str, events: Iterable[LedgerEvent] = (), *, new_id: Callable[[str], str]) -> None:
        self.prisoner_id = prisoner_id
        self.new: list[LedgerEvent] = []
        self._new_id = new_id
        self._credits: dict[str, Credit] = {}
        self._debts: dict[str, str] = {}  # booking id -> the id that stands for the credit it lacks
        self._keys: set[str] = set()
        self._sequence = 0
        for event in events:
            if event.sequence != self._sequence + 1:
                raise ValueError(f"ledger line {self._sequence + 1} of {prisoner_id} is missing")
            self._apply(event)
            if event.balance_after != self.balance:
                raise ValueError(f"ledger line {event.sequence} of {prisoner_id} has a wrong balance")

    @property
    def balance(self) -> int:
        """Credits that may be spent, less those that are owed; expired ones count until a sweep takes them out."""
        return sum(credit.state in SPENDABLE for credit in self._credits.values()) - len(self._debts)

    @property
    def credits(self) -> list[Credit]:
        """All credits, oldest first."""
        return sorted(self._credits.values(), key=lambda credit: (credit.granted_at, credit.id))

    def has(self, event_key: str) -> bool:
        return event_key in self._keys

    def keys(self) -> frozenset[str]:
        """Every event key in the ledger."""
        return frozenset(self._keys)

    def spendable(self, at: datetime, type_: CreditType | None = None) -> list[Credit]:
        """What a booking may spend at that moment, in order: the oldest privileged, then the oldest standard.

        A call that costs a PRIVILEGED credit takes no other type. Credits that only cover what is owed are left out.
        """
        order = [CreditType.PRIVILEGED, CreditType.STANDARD]
        wanted = order[:1] if type_ is CreditType.PRIVILEGED else order
        found = [
            credit for kind in wanted for credit in self.credits if credit.type is kind and credit.spendable_at(at)
        ]
        return found[: max(0, len(found) - len(self._debts))]

    def grant(
        self,
        type_: CreditType,
        *,
        at: datetime,
        actor: str,
        reason: str,
        event_key: str,
        expires_at: datetime | None = None,
    ) -> None:
        """Add a credit; an overdraft is repaid with it at once."""
        if self.has(event_key):
            return
        credit_id = self._new_id("crd")
        self._append(LedgerEventKind.GRANTED, credit_id, type_, at, actor, reason, event_key, expires_at=expires_at)
        if type_ in (CreditType.STANDARD, CreditType.PRIVILEGED) and self._debts:
            booking_id = next(iter(self._debts))
            self._append(
                LedgerEventKind.SPENT,
                credit_id,
                type_,
                at,
                actor,
                "repays an overdraft",
                f"repay:{booking_id}",
                booking_id,
            )

    def spend(
        self,
        booking_id: str,
        type_: CreditType,
        *,
        at: datetime,
        actor: str,
        reason: str,
        overdraw: bool = False,
    ) -> None:
        """Take a credit for a booking. Conflict when there is none, unless staff `overdraw`; once per booking."""
        key = f"spend:{booking_id}"
        if self.has(key):
            return
        if found := self.spendable(at, type_):
            self._append(LedgerEventKind.SPENT, found[0].id, found[0].type, at, actor, reason, key, booking_id)
        elif overdraw:
            self._append(LedgerEventKind.OVERDRAWN, self._new_id("crd"), type_, at, actor, reason, key, booking_id)
        else:
            raise Conflict("There is no visit credit left.", code="no_allowance")

    def refund(
        self, booking_id: str, *, at: datetime, actor: str, reason: str, lasts_until: datetime | None = None
    ) -> bool:
        """Give back what the booking took, once, whatever the reasons and however often. False: nothing to give.

        `lasts_until` keeps a credit that would have expired meanwhile alive till then: what was lost by our own fault.
        """
        key = f"refund:{booking_id}"
        if self.has(key):
            return False
        if booking_id in self._debts:
            debt = self._debts[booking_id]
            self._append(LedgerEventKind.REFUNDED, debt, CreditType.STANDARD, at, actor, reason, key, booking_id)
            return True
        for credit in self.credits:
            if credit.state is CreditState.USED and credit.booking_id == booking_id:
                expires_at = credit.expires_at
                if expires_at is not None and lasts_until is not None:
                    expires_at = max(expires_at, lasts_until)
                self._append(
                    LedgerEventKind.REFUNDED, credit.id, credit.type, at, actor, reason, key, booking_id, expires_at
                )
                return True
        return False

    def sweep(self, *, at: datetime, actor: str, accumulate_after: timedelta, cap: int) -> None:
        """Expire what is due, turn old standard credits into accumulated ones, keep at most `cap` (the oldest go)."""
        for credit in self.credits:
            if credit.state not in SPENDABLE:
                continue
            if credit.expires_at is not None and credit.expires_at <= at:
                self._end(credit, at, actor, "its time is over")
            elif (
                credit.state is CreditState.AVAILABLE
                and credit.type is CreditType.STANDARD
                and credit.granted_at + accumulate_after <= at
            ):
                self._append(
                    LedgerEventKind.ACCUMULATED, credit.id, credit.type, at, actor, "kept", f"accumulate:{credit.id}"
                )
        kept = [credit for credit in self.credits if credit.state in SPENDABLE]
        for credit in kept[: max(0, len(kept) - cap)]:
            self._end(credit, at, actor, "more than can be kept")

    def _end(self, credit: Credit, at: datetime, actor: str, reason: str) -> None:
        self._append(LedgerEventKind.EXPIRED, credit.id, credit.type, at, actor, reason, f"expire:{credit.id}")

    def _append(
        self,
        kind: LedgerEventKind,
        credit_id: str,
        type_: CreditType,
        at: datetime,
        actor: str,
        reason: str,
        event_key: str,
        booking_id: str | None = None,
        expires_at: datetime | None = None,
    ) -> None:
        event = LedgerEvent(
            id=self._new_id("led"),
            prisoner_id=self.prisoner_id,
            sequence=self._sequence + 1,
            at=at,
            kind=kind,
            credit_id=credit_id,
            credit_type=type_,
            reason=reason,
            actor=actor,
            event_key=event_key,
            balance_after=0,
            booking_id=booking_id,
            expires_at=expires_at,
        )
        self._apply(event)
        event.balance_after = self.balance
        self.new.append(event)

    def _apply(self, event: LedgerEvent) -> None:
        match event.kind:
            case LedgerEventKind.GRANTED:
                self._credits[event.credit_id] = Credit(
                    event.credit_id, event.credit_type, CreditState.AVAILABLE, event.at, event.expires_at
                )
            case LedgerEventKind.ACCUMULATED:
                credit = self._credits[event.credit_id]
                credit.state = credit.kept_as = CreditState.ACCUMULATED
            case LedgerEventKind.SPENT:
                credit = self._credits[event.credit_id]
                credit.state, credit.booking_id = CreditState.USED, event.booking_id
                self._debts.pop(event.booking_id or "", None)
            case LedgerEventKind.OVERDRAWN:
                self._debts[event.booking_id or ""] = event.credit_id
            case LedgerEventKind.REFUNDED:
                if self._debts.pop(event.booking_id or "", None) is None:
                    credit = self._credits[event.credit_id]
                    credit.state, credit.booking_id, credit.expires_at = credit.kept_as, None, event.expires_at
            case LedgerEventKind.EXPIRED:
                self._credits[event.credit_id].state = CreditState.EXPIRED
        self._sequence = event.sequence
        self._keys.add(event.event_key)
