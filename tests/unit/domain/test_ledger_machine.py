"""The ledger under anything that can happen to it, in any order, each happening told up to five times."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from visitserver.domain.allowance import CreditState, CreditType, LedgerEventKind, Occasion
from visitserver.domain.credits import REGULAR, SPENDABLE, Means
from visitserver.domain.errors import Conflict
from visitserver.domain.floors import Floor
from visitserver.domain.ledger import Ledger

T0 = datetime(2026, 3, 1, tzinfo=UTC)
CAP = 2
FLOOR_CALLS = 2
OWED = {CreditType.RECEPTION: 3, CreditType.PRIVILEGED: 28}  # days of life
TIMES = st.integers(1, 5)


def floor_of(day: date) -> Floor:
    """A floor of two calls in every 28 days."""
    number = (day - T0.date()).days // 28
    first = T0.date() + timedelta(days=28 * number)
    ends_at = T0 + timedelta(days=28 * (number + 1))
    return Floor("month", FLOOR_CALLS, 30, first, first + timedelta(days=27), ends_at)


class LedgerMachine(RuleBasedStateMachine):
    """Bookings spend, are moved and refunded; credits come and are taken away; days pass."""

    bookings: Bundle[str] = Bundle("bookings")

    def __init__(self) -> None:
        super().__init__()
        numbers = count(1)
        self.new_id = lambda prefix: f"{prefix}_{next(numbers):05}"
        self.ledger = Ledger("prs_1", new_id=self.new_id)
        self.now = T0
        self.names = count(1)
        self.calls: dict[str, Occasion] = {}
        self.paid: set[str] = set()

    def told(self, times: int, what: Any) -> None:
        """The same thing several times: after the first nothing is appended and nothing changes."""
        first = what()
        lines, balance = len(self.ledger.new), self.ledger.balance
        for _ in range(times - 1):
            again = what()
            assert again is None or again is False or again == first
        assert (len(self.ledger.new), self.ledger.balance) == (lines, balance)

    @rule(days=st.integers(0, 20), hours=st.integers(0, 23))
    def time_passes(self, days: int, hours: int) -> None:
        self.now += timedelta(days=days, hours=hours)

    @rule(kind=st.sampled_from(sorted(set(CreditType) - {CreditType.FLOOR})), number=st.integers(0, 60), times=TIMES)
    def a_credit_comes(self, kind: CreditType, number: int, times: int) -> None:
        known = self.ledger.has(f"{kind}:{number}")
        debts = self.debts()
        life = OWED.get(kind)
        expires = None if life is None else self.now + timedelta(days=life)
        key = f"{kind}:{number}"
        before = self.ledger.balance
        self.told(
            times,
            lambda: self.ledger.grant(kind, at=self.now, actor="t", reason="t", event_key=key, expires_at=expires),
        )
        assert self.ledger.balance == before + (not known)
        if not known and kind in REGULAR:
            assert self.debts() == max(0, debts - 1)

    @rule(
        target=bookings,
        cost=st.sampled_from(
            [CreditType.STANDARD, CreditType.STANDARD, CreditType.PRIVILEGED, CreditType.COMPASSIONATE]
        ),
        ahead=st.integers(0, 40),
        minutes=st.sampled_from([15, 30, 60]),
        overdraw=st.booleans(),
        times=TIMES,
    )
    def somebody_books(self, cost: CreditType, ahead: int, minutes: int, overdraw: bool, times: int) -> str:
        name = f"b{next(self.names)}"
        starts = self.now + timedelta(days=ahead)
        occasion = Occasion(starts, starts.date(), minutes)
        floors = (floor_of(starts.date()),)
        left, balance = self.ledger.floor_left(floors[0]), self.ledger.balance
        wanted = self.ledger.payment(cost, at=self.now, occasion=occasion, floors=floors)
        available = [each for each in self.ledger.credits if each.spendable_at(self.now, occasion)]

        def spend() -> None:
            self.ledger.spend(
                *(name, cost),
                at=self.now,
                actor="t",
                reason="t",
                overdraw=overdraw,
                occasion=occasion,
                floors=floors,
            )

        if wanted is None and not overdraw:
            with pytest.raises(Conflict):
                spend()
            assert self.ledger.balance == balance
            if cost is CreditType.STANDARD:
                assert left == 0, "the floor was refused"
                assert not any(each.type is CreditType.COMPASSIONATE for each in available)
            return name
        self.told(times, spend)
        self.calls[name] = occasion
        self.paid.add(name)
        if wanted is None:
            assert self.ledger.balance == balance - 1
        elif wanted.means is Means.FLOOR:
            assert self.ledger.balance == balance
            assert self.held_by(name) == CreditType.FLOOR
            assert self.ledger.floor_left(floors[0]) <= left
            assert left > 0
        elif wanted.credit is not None:
            assert self.ledger.balance == balance - 1
            self.goes_first(wanted.credit.type, wanted.credit.granted_at, cost, available)
        return name

    def goes_first(self, kind: CreditType, granted_at: datetime, cost: CreditType, available: list[Any]) -> None:
        """What was spent is the oldest of its type, and nothing was there that has to go before it."""
        if cost is not CreditType.STANDARD:
            assert kind is cost
        assert granted_at == min(each.granted_at for each in available if each.type is kind)
        order = [CreditType.RECEPTION, CreditType.PRIVILEGED, CreditType.STANDARD]
        if cost is CreditType.STANDARD and kind in order and not self.debts():
            assert not any(each.type in order[: order.index(kind)] for each in available)

    @rule(name=bookings, ours=st.booleans(), times=TIMES)
    def it_is_cancelled(self, name: str, ours: bool, times: int) -> None:
        before = self.ledger.balance
        given = name in self.paid and not self.ledger.has(f"refund:{name}")
        until = self.now + timedelta(days=28) if ours else None
        results: list[bool] = []
        self.told(
            times,
            lambda: results.append(self.ledger.refund(name, at=self.now, actor="t", reason="t", lasts_until=until)),
        )
        assert results == [given, *[False] * (times - 1)]
        self.calls.pop(name, None)
        assert self.ledger.balance == before + given

    @rule(name=bookings, ahead=st.integers(0, 40), times=TIMES)
    def it_is_moved(self, name: str, ahead: int, times: int) -> None:
        before = self.ledger.balance
        starts = self.now + timedelta(days=ahead)
        occasion = Occasion(starts, starts.date(), 30)
        key = f"move:{name}:{len(self.ledger.new)}"
        self.told(times, lambda: self.ledger.rebook(name, occasion, at=self.now, actor="t", event_key=key))
        assert self.ledger.balance == before
        if name in self.calls:
            self.calls[name] = occasion

    @rule(kind=st.sampled_from(sorted(CreditType)), number=st.integers(0, 20), times=TIMES)
    def staff_take_one_away(self, kind: CreditType, number: int, times: int) -> None:
        floor = floor_of(self.now.date())
        left, before = self.ledger.floor_left(floor), self.ledger.balance
        key = f"take:{kind}:{number}"
        known = self.ledger.has(key)

        def take() -> None:
            self.ledger.take_away(kind, at=self.now, actor="t", reason="t", event_key=key)

        try:
            self.told(times, take)
        except Conflict:
            assert self.ledger.balance == before
        else:
            assert self.ledger.balance == before - (not known)
        assert self.ledger.floor_left(floor) == left, "discipline took from the floor"

    @rule(times=TIMES)
    def the_job_runs(self, times: int) -> None:
        self.told(
            times,
            lambda: self.ledger.sweep(at=self.now, actor="t", accumulate_after=timedelta(days=28), cap=CAP),
        )
        kept = [each for each in self.ledger.credits if each.state in SPENDABLE]
        assert len([each for each in kept if each.type in REGULAR]) <= CAP
        assert all(each.expires_at is None or each.expires_at > self.now for each in kept)
        old = [each for each in kept if each.type is CreditType.STANDARD]
        assert all(
            each.state is CreditState.ACCUMULATED for each in old if each.granted_at + timedelta(days=28) <= self.now
        )

    def held_by(self, name: str) -> CreditType | None:
        return next(
            (each.type for each in self.ledger.credits if each.state is CreditState.USED and each.booking_id == name),
            None,
        )

    def debts(self) -> int:
        return sum(each.state in SPENDABLE for each in self.ledger.credits) - self.ledger.balance

    @invariant()
    def the_balance_is_the_sum(self) -> None:
        assert self.debts() >= 0
        steps = {
            LedgerEventKind.GRANTED: 1,
            LedgerEventKind.REFUNDED: 1,
            LedgerEventKind.SPENT: -1,
            LedgerEventKind.OVERDRAWN: -1,
            LedgerEventKind.EXPIRED: -1,
            LedgerEventKind.ACCUMULATED: 0,
            LedgerEventKind.MOVED: 0,
        }
        balance = 0
        for event in self.ledger.new:
            # A repayment takes the credit that came and the debt with it: two steps that cancel out.
            balance += steps[event.kind] + event.event_key.startswith("repay:")
            assert event.balance_after == balance
        assert balance == self.ledger.balance

    @invariant()
    def the_floor_counts_the_calls(self) -> None:
        floor = floor_of(self.now.date())
        had = sum(min(30, call.minutes) for call in self.calls.values() if floor.covers(call.day))
        kept = [each for each in self.ledger.credits if each.type is CreditType.FLOOR and each.state in SPENDABLE]
        had += 30 * sum(each.floor_day is not None and floor.covers(each.floor_day) for each in kept)
        assert self.ledger.floor_left(floor) == max(0, -(-(FLOOR_CALLS * 30 - had) // 30))

    @invariant()
    def nothing_is_paid_or_refunded_twice(self) -> None:
        refunds = [event.booking_id for event in self.ledger.new if event.kind is LedgerEventKind.REFUNDED]
        assert len(refunds) == len(set(refunds))
        holders = [each.booking_id for each in self.ledger.credits if each.state is CreditState.USED]
        assert len(holders) == len(set(holders))
        keys = [event.event_key for event in self.ledger.new]
        assert len(keys) == len(set(keys))

    def teardown(self) -> None:
        again = Ledger("prs_1", self.ledger.new, new_id=self.new_id)
        assert (again.balance, again.credits) == (self.ledger.balance, self.ledger.credits)
        assert [event.sequence for event in self.ledger.new] == list(range(1, len(self.ledger.new) + 1))


def test_the_ledger_holds() -> None:
    run_state_machine_as_test(LedgerMachine, settings=settings(max_examples=300, stateful_step_count=20))


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_the_ledger_holds_for_ten_thousand_stories() -> None:
    run_state_machine_as_test(
        LedgerMachine, settings=settings(max_examples=10_000, stateful_step_count=40, derandomize=False)
    )
