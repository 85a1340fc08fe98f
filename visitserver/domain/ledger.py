"""A prisoner's ledger, replayed from its events: what can be spent, in which order, and what each change appends.

Spending, refunding and expiring are methods that append events; nothing else changes a ledger. An event key that is in
the ledger already makes the method append nothing: the same happening told twice counts once.

The order in which a call is paid for: the reception credit while it lasts, the oldest privileged, the oldest standard,
minutes owed that cover the whole call, the floor, and last what was given out of compassion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from visitserver.domain.allowance import CreditState, CreditType, LedgerEvent, LedgerEventKind, Occasion
from visitserver.domain.credits import REGULAR, SPENDABLE, Credit, Means, Payment
from visitserver.domain.errors import Conflict
from visitserver.domain.floors import Floor

_FIRST: Final = (CreditType.RECEPTION, CreditType.PRIVILEGED, CreditType.STANDARD, CreditType.FLOOR)
_LAST: Final = (CreditType.COMPASSIONATE,)


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
        self._calls: dict[str, tuple[date, int]] = {}  # booking id -> day and minutes of the call that it pays for
        self._keys: set[str] = set()
        self._sequence = 0
        self._there = 0  # how many credits may be spent
        self._by_age: tuple[Credit, ...] | None = None
        self._by_type: dict[CreditType, list[Credit]] | None = None  # those that may be spent, the oldest first
        for event in events:
            if event.sequence != self._sequence + 1:
                raise ValueError(f"ledger line {self._sequence + 1} of {prisoner_id} is missing")
            self._apply(event)
            if event.balance_after != self.balance:
                raise ValueError(f"ledger line {event.sequence} of {prisoner_id} has a wrong balance")

    @property
    def balance(self) -> int:
        """Credits that may be spent, less those that are owed; expired ones count until a sweep takes them out."""
        return self._there - len(self._debts)

    @property
    def credits(self) -> list[Credit]:
        """All credits, oldest first."""
        if self._by_age is None:
            self._by_age = tuple(sorted(self._credits.values(), key=lambda credit: (credit.granted_at, credit.id)))
        return [*self._by_age]

    def has(self, event_key: str) -> bool:
        return event_key in self._keys

    def keys(self) -> frozenset[str]:
        """Every event key in the ledger."""
        return frozenset(self._keys)

    def spendable(
        self, at: datetime, type_: CreditType | None = None, occasion: Occasion | None = None
    ) -> list[Credit]:
        """What a booking may spend at that moment, in the order in which it is spent.

        A call that costs a STANDARD credit (or, by default, any) takes every type; one that costs another type takes
        that one alone. Regular credits that only cover what is owed are left out. Without an `occasion`, reception and
        floor credits are left out too: they pay for calls of certain days only.
        """
        if type_ in (None, CreditType.STANDARD, CreditType.FLOOR):
            return [*self._free(_FIRST, at, occasion), *self._free(_LAST, at, occasion)]
        return [*self._free((type_,), at, occasion)]

    def floor_left(self, floor: Floor) -> int:
        """How many calls the floor still guarantees between its days, whatever else there is to pay with.

        Each call there counts, however it was paid for, unless it was refunded; one that is shorter than the floor's
        counts in part. A floor credit that was given back stands for a call, too.
        """
        calls = [*self._calls.values()]
        calls += [
            (credit.floor_day, floor.minutes)
            for credit in self._credits.values()
            if credit.floor_day is not None and credit.state in SPENDABLE
        ]
        had = sum(min(minutes, floor.minutes) for day, minutes in calls if floor.covers(day))
        return max(0, -(-(floor.calls * floor.minutes - had) // floor.minutes))

    def payment(
        self,
        cost: CreditType,
        *,
        at: datetime,
        occasion: Occasion,
        floors: Sequence[Floor] = (),
        owed_minutes: int = 0,
    ) -> Payment | None:
        """How a call that costs a `cost` credit would be paid for now; None when nothing pays for it.

        `floors` are those of the call's day (floors.floors_of), `owed_minutes` what is owed to the caller. Debts hold
        back regular credits alone: nobody loses the floor, or what they were given for a reason, by an overdraft.
        """
        ordinary = cost in (CreditType.STANDARD, CreditType.FLOOR)
        if (found := next(self._free(_FIRST if ordinary else (cost,), at, occasion), None)) is not None:
            return Payment(Means.CREDIT, credit=found)
        if not ordinary:
            return None
        if 0 < occasion.minutes <= owed_minutes:
            return Payment(Means.OWED_MINUTES)
        for floor in floors:
            if floor.covers(occasion.day) and self.floor_left(floor) > 0:
                return Payment(Means.FLOOR, floor=floor)
        if (found := next(self._free(_LAST, at, occasion), None)) is not None:
            return Payment(Means.CREDIT, credit=found)
        return None

    def _free(self, types: Sequence[CreditType], at: datetime, occasion: Occasion | None) -> Iterator[Credit]:
        if self._by_type is None:
            self._by_type = {kind: [] for kind in CreditType}
            for credit in self.credits:
                if credit.state in SPENDABLE:
                    self._by_type[credit.type].append(credit)
        there = self._by_type
        free = (credit for kind in types for credit in there[kind] if credit.spendable_at(at, occasion))
        if not self._debts:
            return free
        found = [*free]
        regular = [credit for credit in found if credit.type in REGULAR]
        held_back = regular[max(0, len(regular) - len(self._debts)) :]
        return (credit for credit in found if credit not in held_back)

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
        if type_ in REGULAR and self._debts:
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
        occasion: Occasion | None = None,
        floors: Sequence[Floor] = (),
    ) -> None:
        """Take what pays for a booking, as `payment` says; once per booking.

        Conflict (`no_allowance`) when there is nothing, unless staff `overdraw`.
        """
        key = f"spend:{booking_id}"
        if self.has(key):
            return
        if occasion is None:
            found = self.spendable(at, type_)
            payment = Payment(Means.CREDIT, credit=found[0]) if found else None
        else:
            payment = self.payment(type_, at=at, occasion=occasion, floors=floors)
        if payment is not None:
            credit = payment.credit or self._from_floor(payment.floor, booking_id, at, actor, occasion)
            self._append(
                *(LedgerEventKind.SPENT, credit.id, credit.type, at, actor, reason, key, booking_id), occasion=occasion
            )
        elif overdraw:
            self._append(
                *(LedgerEventKind.OVERDRAWN, self._new_id("crd"), type_, at, actor, reason, key, booking_id),
                occasion=occasion,
            )
        else:
            raise Conflict("There is no visit credit left.", code="no_allowance")

    def _from_floor(
        self, floor: Floor | None, booking_id: str, at: datetime, actor: str, occasion: Occasion | None
    ) -> Credit:
        if floor is None:
            raise ValueError("a payment has a credit or a floor")
        credit_id = self._new_id("crd")
        self._append(
            *(LedgerEventKind.GRANTED, credit_id, CreditType.FLOOR, at, actor),
            f"floor of the {floor.name} beginning {floor.first}",
            f"floor:{booking_id}",
            expires_at=floor.ends_at,
            occasion=occasion,
        )
        return self._credits[credit_id]

    def rebook(self, booking_id: str, occasion: Occasion, *, at: datetime, actor: str, event_key: str) -> bool:
        """The call that a booking pays for is on another day, or of another length, now: it counts there.

        Nothing is spent or given back. False when nothing changes, or the booking holds nothing.
        """
        held = self._held_by(booking_id)
        counted = (occasion.day, occasion.minutes)
        if held is None or self.has(event_key) or self._calls.get(booking_id) == counted:
            return False
        credit_id, type_, expires_at = held
        self._append(
            *(LedgerEventKind.MOVED, credit_id, type_, at, actor, "moved", event_key, booking_id),
            expires_at=expires_at,
            occasion=occasion,
        )
        return True

    def _held_by(self, booking_id: str) -> tuple[str, CreditType, datetime | None] | None:
        """The credit (or debt) that a booking has taken, its type and end."""
        if booking_id in self._debts:
            return self._debts[booking_id], CreditType.STANDARD, None
        for credit in self.credits:
            if credit.state is CreditState.USED and credit.booking_id == booking_id:
                return credit.id, credit.type, credit.expires_at
        return None

    def refund(
        self, booking_id: str, *, at: datetime, actor: str, reason: str, lasts_until: datetime | None = None
    ) -> bool:
        """Give back what the booking took, once, whatever the reasons and however often. False: nothing to give.

        `lasts_until` keeps a credit that would have expired meanwhile alive till then: what was lost by our own fault.
        """
        key = f"refund:{booking_id}"
        if self.has(key):
            return False
        held = self._held_by(booking_id)
        if held is None:
            return False
        credit_id, type_, expires_at = held
        if expires_at is not None and lasts_until is not None:
            expires_at = max(expires_at, lasts_until)
        self._append(
            *(LedgerEventKind.REFUNDED, credit_id, type_, at, actor, reason, key, booking_id), expires_at=expires_at
        )
        return True

    def take_away(self, type_: CreditType, *, at: datetime, actor: str, reason: str, event_key: str) -> None:
        """Staff take a credit back, the oldest of the type: a mistake, a punishment. Conflict when there is none.

        The floor is not in the ledger until it is used, so nothing can be taken from it.
        """
        if self.has(event_key):
            return
        if type_ is CreditType.FLOOR:
            raise Conflict("Nobody can take away what the floor guarantees.", code="floor")
        found = [credit for credit in self.credits if credit.type is type_ and credit.state in SPENDABLE]
        if not found:
            raise Conflict("There is no such credit to take away.", code="no_allowance")
        self._append(LedgerEventKind.EXPIRED, found[0].id, type_, at, actor, reason, event_key)

    def sweep(self, *, at: datetime, actor: str, accumulate_after: timedelta, cap: int) -> None:
        """Expire what is due, turn old standard credits into accumulated ones, keep at most `cap` (the oldest go).

        The cap is for regular credits: reception, floor and compassionate ones do not count and do not go.
        """
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
        kept = [credit for credit in self.credits if credit.state in SPENDABLE and credit.type in REGULAR]
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
        occasion: Occasion | None = None,
        granted_at: datetime | None = None,
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
            call_day=None if occasion is None else occasion.day,
            call_minutes=None if occasion is None else occasion.minutes,
            granted_at=granted_at,
        )
        self._apply(event)
        event.balance_after = self.balance
        self.new.append(event)

    def _apply(self, event: LedgerEvent) -> None:
        self._by_type = None
        match event.kind:
            case LedgerEventKind.GRANTED | LedgerEventKind.CARRIED_IN:
                self._by_age = None
                self._there += 1
                self._credits[event.credit_id] = Credit(
                    *(event.credit_id, event.credit_type, CreditState.AVAILABLE),
                    *(event.granted_at or event.at, event.expires_at),
                    floor_day=event.call_day,
                )
            case LedgerEventKind.ACCUMULATED:
                credit = self._credits[event.credit_id]
                credit.kept_as = CreditState.ACCUMULATED
                self._put(credit, CreditState.ACCUMULATED)
            case LedgerEventKind.SPENT:
                credit = self._credits[event.credit_id]
                credit.booking_id = event.booking_id
                self._put(credit, CreditState.USED)
                if credit.floor_day is not None and event.call_day is not None:
                    credit.floor_day = event.call_day
                self._debts.pop(event.booking_id or "", None)
                self._count(event)
            case LedgerEventKind.OVERDRAWN:
                self._debts[event.booking_id or ""] = event.credit_id
                self._count(event)
            case LedgerEventKind.MOVED:
                self._count(event)
                moved = self._credits.get(event.credit_id)
                if moved is not None and moved.floor_day is not None:
                    moved.floor_day = event.call_day
            case LedgerEventKind.REFUNDED:
                self._calls.pop(event.booking_id or "", None)
                if self._debts.pop(event.booking_id or "", None) is None:
                    credit = self._credits[event.credit_id]
                    credit.booking_id, credit.expires_at = None, event.expires_at
                    self._put(credit, credit.kept_as)
            case LedgerEventKind.EXPIRED:
                self._put(self._credits[event.credit_id], CreditState.EXPIRED)
            case LedgerEventKind.CARRIED_OUT:
                self._calls.pop(event.booking_id or "", None)
                if self._debts.pop(event.booking_id or "", None) is None:
                    self._put(self._credits[event.credit_id], CreditState.EXPIRED)
        if event.kind in (LedgerEventKind.SPENT, LedgerEventKind.OVERDRAWN):
            # Also where the line came from another ledger: no booking spends twice.
            self._keys.add(f"spend:{event.booking_id}")
        self._sequence = event.sequence
        self._keys.add(event.event_key)

    def _put(self, credit: Credit, state: CreditState) -> None:
        self._there += (state in SPENDABLE) - (credit.state in SPENDABLE)
        credit.state = state

    def _count(self, event: LedgerEvent) -> None:
        if event.call_day is not None and event.call_minutes is not None:
            self._calls[event.booking_id or ""] = (event.call_day, event.call_minutes)
