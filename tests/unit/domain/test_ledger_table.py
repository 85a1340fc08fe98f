"""Rules 8 to 13 as a table: what is in the ledger, what happens, what is then. Days count from Monday, 2 March."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any

import pytest

from visitserver.domain.accrual import accruals
from visitserver.domain.allowance import CreditState, CreditType, LedgerEventKind, Occasion
from visitserver.domain.credits import SPENDABLE, Means
from visitserver.domain.errors import Conflict
from visitserver.domain.floors import Floor, floors_of
from visitserver.domain.ledger import Ledger
from visitserver.domain.owed import OwedAccount
from visitserver.domain.people import IncentiveLevel, LegalStatus, Prison, Prisoner
from visitserver.domain.policies import Policies

T0 = datetime(2026, 3, 2, 9, tzinfo=UTC)
MONTH = Floor("month", 2, 30, date(2026, 3, 1), date(2026, 3, 31), datetime(2026, 3, 31, 21, tzinfo=UTC))
WEEK = Floor("week", 3, 30, date(2026, 3, 2), date(2026, 3, 8), datetime(2026, 3, 8, 22, tzinfo=UTC))
KUURA = Prison("prn_1", "Kuura", "Europe/Helsinki", "KUU")


class Story:
    """A ledger, and short words for what happens to it. Every step is told five times."""

    def __init__(self, floors: tuple[Floor, ...] = ()) -> None:
        numbers = count(1)
        self.ledger = Ledger("prs_1", new_id=lambda prefix: f"{prefix}_{next(numbers):04}")
        self.floors = floors

    def gets(self, kind: str, day: int, life: int | None = None) -> Story:
        at = T0 + timedelta(days=day)
        for _ in range(5):
            self.ledger.grant(
                CreditType(kind),
                at=at,
                actor="t",
                reason="t",
                event_key=f"{kind}:{day}",
                expires_at=None if life is None else at + timedelta(days=life),
            )
        return self

    def books(
        self, name: str, day: int, call: int, minutes: int = 30, *, costs: str = "standard", override: bool = False
    ) -> Story:
        starts = T0 + timedelta(days=call)
        for _ in range(5):
            self.ledger.spend(
                name,
                CreditType(costs),
                at=T0 + timedelta(days=day),
                actor="t",
                reason="t",
                overdraw=override,
                occasion=Occasion(starts, starts.date(), minutes),
                floors=self.floors,
            )
        return self

    def refused(self, name: str, day: int, call: int, minutes: int = 30, *, costs: str = "standard") -> Story:
        with pytest.raises(Conflict) as error:
            self.books(name, day, call, minutes, costs=costs)
        assert error.value.code == "no_allowance"
        return self

    def refunds(self, name: str, day: int, *, lives: int | None = None) -> Story:
        at = T0 + timedelta(days=day)
        until = None if lives is None else at + timedelta(days=lives)
        given = [self.ledger.refund(name, at=at, actor="t", reason="t", lasts_until=until) for _ in range(5)]
        assert not any(given[1:])
        return self

    def moves(self, name: str, day: int, call: int, minutes: int = 30) -> Story:
        starts = T0 + timedelta(days=call)
        occasion = Occasion(starts, starts.date(), minutes)
        for _ in range(5):
            self.ledger.rebook(name, occasion, at=T0 + timedelta(days=day), actor="t", event_key=f"move:{name}:{call}")
        return self

    def loses(self, kind: str, day: int) -> Story:
        for _ in range(5):
            self.ledger.take_away(
                CreditType(kind), at=T0 + timedelta(days=day), actor="t", reason="t", event_key=f"take:{kind}:{day}"
            )
        return self

    def passes_to(self, day: int, cap: int = 26) -> Story:
        for _ in range(5):
            at = T0 + timedelta(days=day)
            self.ledger.sweep(at=at, actor="t", accumulate_after=timedelta(days=28), cap=cap)
        return self

    def has(self) -> dict[str, int]:
        """How many credits of each type can be spent, and what is owed to the ledger."""
        found: dict[str, int] = {}
        for credit in self.ledger.credits:
            if credit.state in SPENDABLE:
                found[credit.type.value] = found.get(credit.type.value, 0) + 1
        if (debts := sum(found.values()) - self.ledger.balance) > 0:
            found["debt"] = debts
        return found

    def paid(self, name: str) -> str:
        """What a booking is paid with."""
        used = [c.type.value for c in self.ledger.credits if c.state is CreditState.USED and c.booking_id == name]
        return used[0] if used else "debt" if self.has().get("debt") else "nothing"


@dataclass(frozen=True)
class Row:
    """One case: the rule's number, in words, the story, and what there is after it."""

    rule: str
    case: str
    story: Callable[[], Story]
    has: dict[str, int]
    paid: dict[str, str]


def row(rule: str, case: str, story: Callable[[], Story], has: dict[str, int], **paid: str) -> Row:
    return Row(rule, case, story, has, paid)


TABLE = [
    row("8", "a credit is there until it is used", lambda: Story().gets("standard", 0), {"standard": 1}),
    row(
        "8",
        "a used one is not there any more",
        lambda: Story().gets("standard", 0).books("b", 1, 4),
        {},
        b="standard",
    ),
    row(
        "9",
        "a standard credit is still there after a year",
        lambda: Story().gets("standard", 0).passes_to(365),
        {"standard": 1},
    ),
    row("9", "of more than 26 the oldest go", lambda: _many(30).passes_to(31), {"standard": 26}),
    row(
        "9",
        "what was given for a reason does not count to the 26",
        lambda: _many(26).gets("compassionate", 0).passes_to(27),
        {"standard": 26, "compassionate": 1},
    ),
    row(
        "9",
        "privileged credits live 28 days",
        lambda: Story().gets("privileged", 0, 28).passes_to(27),
        {"privileged": 1},
    ),
    row("9", "and are gone that moment", lambda: Story().gets("privileged", 0, 28).passes_to(28), {}),
    row(
        "9",
        "a credit that expires that moment pays for nothing",
        lambda: Story().gets("privileged", 0, 28).refused("b", 28, 30),
        {"privileged": 1},
    ),
    row(
        "10",
        "privileged before standard",
        lambda: Story().gets("standard", 0).gets("privileged", 1, 28).books("b", 2, 5),
        {"standard": 1},
        b="privileged",
    ),
    row(
        "10",
        "standard when there is no privileged",
        lambda: Story().gets("standard", 0).books("b", 2, 5),
        {},
        b="standard",
    ),
    row(
        "10",
        "a session that costs a privileged credit takes no other",
        lambda: Story().gets("standard", 0).refused("b", 2, 5, costs="privileged"),
        {"standard": 1},
    ),
    row("10", "an override goes below zero", lambda: Story().books("b", 0, 3, override=True), {"debt": 1}, b="debt"),
    row(
        "10",
        "two overrides go further",
        lambda: Story().books("a", 0, 3, override=True).books("b", 0, 4, override=True),
        {"debt": 2},
    ),
    row(
        "10",
        "the next accrual repays it",
        lambda: Story().books("b", 0, 3, override=True).gets("standard", 7),
        {},
        b="standard",
    ),
    row(
        "10",
        "and only it",
        lambda: Story().books("b", 0, 3, override=True).gets("standard", 7).gets("standard", 21),
        {"standard": 1},
        b="standard",
    ),
    row(
        "10",
        "an override with a credit there spends the credit",
        lambda: Story().gets("standard", 0).books("b", 0, 3, override=True),
        {},
        b="standard",
    ),
    row(
        "10",
        "a debt holds regular credits back",
        lambda: (
            Story()
            .gets("standard", 0)
            .books("a", 0, 3)
            .books("b", 0, 4, override=True)
            .refunds("a", 1)
            .refused("c", 1, 5)
        ),
        {"standard": 1, "debt": 1},
    ),
    row("10", "a refunded debt is gone", lambda: Story().books("b", 0, 3, override=True).refunds("b", 1), {}),
    row("11", "without a credit the floor pays", lambda: Story((MONTH,)).books("b", 0, 3), {}, b="floor"),
    row(
        "11",
        "up to its number",
        lambda: Story((MONTH,)).books("a", 0, 3).books("b", 0, 4).refused("c", 0, 5),
        {},
        a="floor",
        b="floor",
    ),
    row("11", "credits go first", lambda: Story((MONTH,)).gets("standard", 0).books("b", 0, 3), {}, b="standard"),
    row(
        "11",
        "calls that a credit paid for count as well",
        lambda: (
            Story((MONTH,)).gets("standard", 0).gets("standard", 1).books("a", 2, 3).books("b", 2, 4).refused("c", 2, 5)
        ),
        {},
    ),
    row(
        "11",
        "calls of half the length count half",
        lambda: Story((MONTH,)).books("a", 0, 3, 15).books("b", 0, 4, 15).books("c", 0, 5).refused("d", 0, 6),
        {},
        c="floor",
    ),
    row(
        "11",
        "a refunded call does not count",
        lambda: Story((MONTH,)).books("a", 0, 3).books("b", 0, 4).refunds("a", 1).books("c", 1, 5).refused("d", 1, 6),
        {},
        c="floor",
    ),
    row(
        "11",
        "the next month has its own",
        lambda: Story((MONTH,)).books("a", 0, 3).books("b", 0, 4).refused("c", 0, 40),
        {},
    ),
    row(
        "11",
        "a call that is moved counts where it is now",
        lambda: Story((MONTH,)).books("a", 0, 3).books("b", 0, 4).moves("a", 1, 40).books("c", 1, 5),
        {},
        a="floor",
        b="floor",
        c="floor",
    ),
    row(
        "11",
        "remand has a floor a week besides",
        lambda: Story((WEEK, MONTH)).books("a", 0, 1).books("b", 0, 2).books("c", 0, 3).refused("d", 0, 4),
        {},
    ),
    row(
        "11",
        "a debt does not touch the floor",
        lambda: Story((MONTH,)).books("a", 0, 40, override=True).books("b", 0, 3),
        {"debt": 1},
        b="floor",
    ),
    row(
        "11",
        "discipline takes credits, not the floor",
        lambda: Story((MONTH,)).gets("standard", 0).loses("standard", 1).books("b", 2, 5),
        {},
        b="floor",
    ),
    row(
        "11",
        "a floor's credit that comes back ends with its month",
        lambda: Story((MONTH,)).books("a", 0, 3).refunds("a", 1).passes_to(30),
        {},
    ),
    row(
        "11",
        "unless we took it: then it lasts",
        lambda: Story((MONTH,)).books("a", 0, 3).refunds("a", 3, lives=28).passes_to(30),
        {"floor": 1},
    ),
    row(
        "11",
        "the reception credit goes first",
        lambda: Story().gets("standard", 0).gets("reception", 0, 3).books("b", 0, 2),
        {"standard": 1},
        b="reception",
    ),
    row(
        "11",
        "for a call within its time",
        lambda: Story().gets("standard", 0).gets("reception", 0, 3).books("b", 0, 4),
        {"reception": 1},
        b="standard",
    ),
    row(
        "11",
        "compassion pays last",
        lambda: Story().gets("compassionate", 0).gets("standard", 1).books("b", 2, 5),
        {"compassionate": 1},
        b="standard",
    ),
    row("11", "but it pays", lambda: Story().gets("compassionate", 0).books("b", 2, 5), {}, b="compassionate"),
    row(
        "11",
        "and after the floor",
        lambda: Story((MONTH,)).gets("compassionate", 0).books("b", 2, 5),
        {"compassionate": 1},
        b="floor",
    ),
    row(
        "11",
        "a session for it takes no other",
        lambda: Story((MONTH,)).gets("standard", 0).refused("b", 2, 5, costs="compassionate"),
        {"standard": 1},
    ),
    row(
        "13",
        "a cancellation gives it back",
        lambda: Story().gets("standard", 0).books("b", 1, 4).refunds("b", 2),
        {"standard": 1},
    ),
    row(
        "13",
        "once, however often",
        lambda: Story().gets("standard", 0).books("b", 1, 4).refunds("b", 2).refunds("b", 3),
        {"standard": 1},
    ),
    row(
        "13",
        "what has expired meanwhile expires",
        lambda: Story().gets("privileged", 0, 28).books("b", 27, 30).refunds("b", 29).passes_to(29),
        {},
    ),
    row(
        "13",
        "unless it was our fault",
        lambda: Story().gets("privileged", 0, 28).books("b", 27, 30).refunds("b", 30, lives=28).passes_to(57),
        {"privileged": 1},
    ),
    row(
        "13",
        "nothing was paid, nothing comes back",
        lambda: Story().gets("standard", 0).refunds("b", 1),
        {"standard": 1},
    ),
]


def _many(number: int) -> Story:
    story = Story()
    for day in range(number):
        story.gets("standard", day)
    return story


@pytest.mark.parametrize("each", TABLE, ids=lambda each: f"{each.rule}: {each.case}")
def test_ledger(each: Row) -> None:
    story = each.story()
    assert story.has() == each.has
    assert {name: story.paid(name) for name in each.paid} == each.paid
    replayed = Ledger("prs_1", story.ledger.new, new_id=str)
    assert (replayed.balance, replayed.credits) == (story.ledger.balance, story.ledger.credits)


def test_a_credit_moves_along_with_its_call_and_nothing_is_counted_twice() -> None:
    story = Story((MONTH,)).books("a", 0, 3).moves("a", 1, 40)
    assert [event.kind for event in story.ledger.new][-1] is LedgerEventKind.MOVED
    assert story.ledger.floor_left(MONTH) == 2
    story.refunds("a", 2)
    assert story.has() == {"floor": 1}


def test_minutes_owed_pay_when_they_cover_the_whole_call() -> None:
    ledger = Story((MONTH,)).ledger
    occasion = Occasion(T0 + timedelta(days=3), date(2026, 3, 5), 30)

    def means(owed: int) -> Means | None:
        found = ledger.payment(CreditType.STANDARD, at=T0, occasion=occasion, floors=(MONTH,), owed_minutes=owed)
        return None if found is None else found.means

    assert [means(owed) for owed in (0, 29, 30, 45)] == [Means.FLOOR, Means.FLOOR, *[Means.OWED_MINUTES] * 2]
    ledger.grant(CreditType.STANDARD, at=T0, actor="t", reason="t", event_key="s")
    assert means(45) is Means.CREDIT


def prisoner(**changes: Any) -> Prisoner:
    base = Prisoner("prs_1", "K-1", KUURA.id, "Aino", "Aalto", date(1990, 5, 1), T0)
    return replace(base, **changes)


@pytest.mark.parametrize(
    ("changes", "floors"),
    [
        ({}, {"month": 2}),
        ({"incentive_level": IncentiveLevel.BASIC}, {"month": 2}),
        ({"incentive_level": IncentiveLevel.ENHANCED}, {"month": 4}),
        ({"born_on": date(2008, 3, 6)}, {"month": 8}),
        ({"born_on": date(2008, 3, 5)}, {"month": 2}),
        ({"legal_status": LegalStatus.REMAND}, {"week": 3, "month": 2}),
        ({"legal_status": LegalStatus.REMAND, "born_on": date(2009, 1, 1)}, {"week": 3, "month": 8}),
    ],
)
def test_floors_by_person(changes: dict[str, Any], floors: dict[str, int]) -> None:
    found = floors_of(prisoner(**changes), KUURA, Policies(), date(2026, 3, 5))
    assert {floor.name: floor.calls for floor in found} == floors


def test_floors_are_dated_policies_and_end_at_the_prisons_midnight() -> None:
    policies = Policies({"floor.month_standard": (3, "prison.2"), "floor.week_remand": (0, "prison.2")})
    (month,) = floors_of(prisoner(legal_status=LegalStatus.REMAND), KUURA, policies, date(2026, 3, 5))
    assert (month.calls, month.first, month.last) == (3, date(2026, 3, 1), date(2026, 3, 31))
    # Helsinki is on summer time by then.
    assert month.ends_at == datetime.combine(date(2026, 3, 31), time(21), UTC)


@pytest.mark.parametrize(
    ("level", "comes"),
    [
        (IncentiveLevel.BASIC, {("standard", 14): 2}),
        (IncentiveLevel.STANDARD, {("standard", 14): 3}),
        (IncentiveLevel.ENHANCED, {("standard", 14): 4, ("privileged", 28): 1}),
    ],
)
def test_credits_come_by_level(level: IncentiveLevel, comes: dict[tuple[str, int], int]) -> None:
    values = {"standard_per_accrual": 3, "standard_less_basic": 1, "standard_more_enhanced": 1}
    policies = Policies({f"allowance.{key}": (value, "prison.1") for key, value in values.items()})
    found = accruals(level, date(2026, 3, 2), policies)
    assert {(each.type.value, each.every_days): each.count for each in found} == comes


def test_a_level_that_comes_back_brings_no_arrears_and_a_new_admission_begins_anew() -> None:
    standard, privileged = accruals(IncentiveLevel.ENHANCED, date(2026, 1, 1), Policies())
    had = [each.event_key("prs_1", 0, 0) for each in (standard, privileged)]
    assert standard.due("prs_1", date(2026, 2, 10), had) == [1, 2]
    assert privileged.due("prs_1", date(2026, 5, 1), had) == [4]
    assert standard.due("prs_1", date(2027, 1, 1), had) == [24, 25, 26]
    again = accruals(IncentiveLevel.STANDARD, date(2026, 3, 1), Policies())[0]
    assert again.due("prs_1", date(2026, 3, 1), had) == [0]
    old = ["accrue:standard:prs_1:2:0"]  # lines of the first version named the period by its number
    assert standard.due("prs_1", date(2026, 2, 10), old) == []
    assert standard.due("prs_1", date(2026, 2, 12), old) == [3]


def test_minutes_owed_are_earned_used_and_given_back_once() -> None:
    numbers = count(1)
    account = OwedAccount("prs_1", "rel_1", new_id=lambda prefix: f"{prefix}_{next(numbers)}")
    for _ in range(5):
        account.earn("b1", 1505, at=T0, actor="t", reason="technical_failure")
    assert (account.balance, account.minutes) == (1505, 25)
    with pytest.raises(Conflict, match="owed"):
        account.use("b2", 26, purpose="visit", at=T0, actor="t")
    for _ in range(5):
        account.use("b2", 20, purpose="visit", at=T0, actor="t")
    assert (account.minutes, account.used_by("b2")) == (5, 1200)
    assert [account.give_back("b2", at=T0, actor="t", reason="cancelled") for _ in range(5)] == [True, *[False] * 4]
    assert (account.minutes, account.used_by("b2"), len(account.new)) == (25, 0, 3)
    assert OwedAccount("prs_1", "rel_1", account.new, new_id=str).balance == account.balance
    with pytest.raises(ValueError, match="missing"):
        OwedAccount("prs_1", "rel_1", account.new[1:], new_id=str)
