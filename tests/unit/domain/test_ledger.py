"""The ledger: order of spending, refunds, expiry, and what holds after any sequence of happenings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visitserver.domain.accrual import Accrual
from visitserver.domain.allowance import CreditState, CreditType, LedgerEventKind
from visitserver.domain.credits import SPENDABLE
from visitserver.domain.errors import Conflict
from visitserver.domain.ledger import Ledger

T0 = datetime(2026, 3, 2, 9, tzinfo=UTC)
STANDARD, PRIVILEGED = CreditType.STANDARD, CreditType.PRIVILEGED


def numbered() -> Callable[[str], str]:
    numbers = count(1)
    return lambda prefix: f"{prefix}_{next(numbers):04}"


def ledger() -> Ledger:
    return Ledger("prs_1", new_id=numbered())


def grant(of: Ledger, key: str, type_: CreditType = STANDARD, *, days: int = 0, life: int | None = None) -> None:
    at = T0 + timedelta(days=days)
    expires = None if life is None else at + timedelta(days=life)
    of.grant(type_, at=at, actor="t", reason="t", event_key=key, expires_at=expires)


def spend(of: Ledger, booking: str, *, days: int = 0, overdraw: bool = False, type_: CreditType = STANDARD) -> None:
    of.spend(booking, type_, at=T0 + timedelta(days=days), actor="t", reason="t", overdraw=overdraw)


def refund(of: Ledger, booking: str, *, days: int = 0, lasts: int | None = None) -> bool:
    at = T0 + timedelta(days=days)
    until = None if lasts is None else at + timedelta(days=lasts)
    return of.refund(booking, at=at, actor="t", reason="t", lasts_until=until)


def sweep(of: Ledger, *, days: int, cap: int = 26) -> None:
    of.sweep(at=T0 + timedelta(days=days), actor="t", accumulate_after=timedelta(days=28), cap=cap)


def used_by(of: Ledger, booking: str) -> str:
    return next(event.credit_id for event in of.new if event.booking_id == booking)


def test_the_oldest_privileged_goes_first_then_the_oldest_standard() -> None:
    made = ledger()
    grant(made, "s1")
    grant(made, "p1", PRIVILEGED, days=1, life=28)
    grant(made, "p2", PRIVILEGED, days=2, life=28)
    grant(made, "s2", days=3)
    by_key = {event.event_key: event.credit_id for event in made.new}
    for number in range(4):
        spend(made, f"b{number}", days=4)
    assert [used_by(made, f"b{number}") for number in range(4)] == [by_key[key] for key in ("p1", "p2", "s1", "s2")]


def test_nothing_is_spent_that_is_not_there() -> None:
    made = ledger()
    with pytest.raises(Conflict):
        spend(made, "b1")
    grant(made, "p1", PRIVILEGED, life=28)
    with pytest.raises(Conflict):
        spend(made, "b1", days=28)  # its time is over that moment, swept or not


def test_told_twice_counts_once() -> None:
    made = ledger()
    for _ in range(2):
        grant(made, "s1")
        grant(made, "s2")
        spend(made, "b1")
        refund(made, "b1")
    assert made.balance == 2
    assert [event.kind for event in made.new].count(LedgerEventKind.REFUNDED) == 1


def test_a_debt_is_repaid_by_the_next_credit_and_then_refundable_as_a_credit() -> None:
    made = ledger()
    spend(made, "b1", overdraw=True)
    assert made.balance == -1
    grant(made, "s1")
    assert made.balance == 0
    with pytest.raises(Conflict):
        spend(made, "b2")
    assert refund(made, "b1")
    assert made.balance == 1


def test_a_debt_that_is_refunded_is_gone() -> None:
    made = ledger()
    spend(made, "b1", overdraw=True)
    assert refund(made, "b1")
    assert made.balance == 0
    grant(made, "s1")
    assert made.balance == 1


def test_after_28_days_available_becomes_accumulated_and_privileged_expires() -> None:
    made = ledger()
    grant(made, "s1")
    grant(made, "p1", PRIVILEGED, life=28)
    sweep(made, days=27)
    assert [credit.state for credit in made.credits] == [CreditState.AVAILABLE] * 2
    sweep(made, days=28)
    assert {credit.type: credit.state for credit in made.credits} == {
        STANDARD: CreditState.ACCUMULATED,
        PRIVILEGED: CreditState.EXPIRED,
    }


def test_an_accumulated_credit_comes_back_as_accumulated() -> None:
    made = ledger()
    grant(made, "s1")
    sweep(made, days=30)
    spend(made, "b1", days=31)
    refund(made, "b1", days=32)
    assert made.credits[0].state is CreditState.ACCUMULATED


def test_the_cap_lets_the_oldest_go() -> None:
    made = ledger()
    for number in range(5):
        grant(made, f"s{number}", days=number)
    sweep(made, days=6, cap=3)
    assert [credit.state for credit in made.credits] == [CreditState.EXPIRED] * 2 + [CreditState.AVAILABLE] * 3


def test_a_credit_lost_by_our_fault_lives_long_enough_to_be_used() -> None:
    made = ledger()
    grant(made, "p1", PRIVILEGED, life=10)
    spend(made, "b1", days=9)
    refund(made, "b1", days=20, lasts=28)
    assert made.spendable(T0 + timedelta(days=47))
    assert not made.spendable(T0 + timedelta(days=48))


def test_a_ledger_with_a_hole_or_a_wrong_balance_is_refused() -> None:
    made = ledger()
    for number in range(3):
        grant(made, f"s{number}")
    with pytest.raises(ValueError, match="missing"):
        Ledger("prs_1", [made.new[0], made.new[2]], new_id=numbered())
    made.new[1].balance_after = 7
    with pytest.raises(ValueError, match="balance"):
        Ledger("prs_1", made.new, new_id=numbered())


HAPPENINGS = st.one_of(
    st.tuples(st.just("grant"), st.sampled_from([STANDARD, PRIVILEGED]), st.integers(0, 9)),
    st.tuples(st.just("spend"), st.booleans(), st.integers(0, 9)),
    st.tuples(st.just("refund"), st.booleans(), st.integers(0, 9)),
    st.tuples(st.just("sweep"), st.integers(1, 8), st.just(0)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 15), HAPPENINGS), max_size=60))
def test_whatever_happens_the_books_balance(steps: list[tuple[int, tuple[str, object, int]]]) -> None:
    """Days pass between happenings; keys repeat on purpose."""
    made = ledger()
    day = 0
    for passed, (what, how, number) in steps:
        day += passed
        match what:
            case "grant":
                type_ = CreditType(str(how))
                grant(made, f"g{number}", type_, days=day, life=28 if type_ is PRIVILEGED else None)
            case "spend":
                before = made.balance
                had = made.has(f"spend:b{number}")
                try:
                    spend(made, f"b{number}", days=day, overdraw=bool(how))
                except Conflict:
                    assert not made.spendable(T0 + timedelta(days=day), STANDARD)
                    assert made.balance == before
                else:
                    assert made.balance == before - (0 if had else 1)
            case "refund":
                before = made.balance
                given_back = refund(made, f"b{number}", days=day, lasts=28 if how else None)
                assert made.balance == before + int(given_back)
                assert not refund(made, f"b{number}", days=day)
            case _:
                sweep(made, days=day, cap=int(str(how)))
                kept = [credit for credit in made.credits if credit.state in SPENDABLE]
                assert len(kept) <= int(str(how))

    # replaying the lines gives the same ledger, line by line and credit by credit
    again = Ledger("prs_1", made.new, new_id=numbered())
    assert again.balance == made.balance
    assert again.credits == made.credits
    assert [event.sequence for event in made.new] == list(range(1, len(made.new) + 1))
    assert len({event.event_key for event in made.new}) == len(made.new)
    # nobody is refunded more than they spent, and no credit serves two bookings at once
    for number in range(10):
        events = [event.kind for event in made.new if event.booking_id == f"b{number}"]
        assert events.count(LedgerEventKind.REFUNDED) <= 1
        taken = events.count(LedgerEventKind.SPENT) + events.count(LedgerEventKind.OVERDRAWN)
        assert taken <= 2  # an overdraft and its repayment
    holders = [credit.booking_id for credit in made.credits if credit.state is CreditState.USED]
    assert len(holders) == len(set(holders))


def test_accrual_counts_periods_from_admission() -> None:
    accrual = Accrual(STANDARD, date(2026, 1, 1), 14, 1)
    assert accrual.period(date(2025, 12, 31)) == -1
    assert accrual.period(date(2026, 1, 14)) == 0
    assert accrual.next_after(date(2026, 1, 1)) == date(2026, 1, 15)
    assert accrual.next_after(date(2026, 1, 15)) == date(2026, 1, 29)


def test_accrual_begins_with_the_present_period_and_catches_up_later() -> None:
    accrual = Accrual(STANDARD, date(2020, 1, 1), 14, 2)
    first = accrual.due("prs_1", date(2026, 1, 1), frozenset())
    assert len(first) == 1
    known = frozenset(accrual.event_key("prs_1", first[0], number) for number in range(2))
    assert accrual.due("prs_1", date(2026, 1, 1), known) == []
    assert accrual.due("prs_1", date(2026, 2, 15), known) == [first[0] + 1, first[0] + 2, first[0] + 3]
