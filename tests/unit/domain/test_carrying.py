"""Two ledgers, and two accounts of minutes owed, become one: nothing is lost, nothing doubled, all of it by lines."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from visitserver.domain.allowance import CreditState, CreditType, LedgerEvent, Occasion
from visitserver.domain.carrying import CarryingLedger as Ledger
from visitserver.domain.floors import Floor
from visitserver.domain.owed import OwedAccount

T0 = datetime(2026, 3, 1, tzinfo=UTC)
DAY = date(2026, 3, 6)
FLOOR = Floor("month", 4, 30, date(2026, 3, 1), date(2026, 3, 31), datetime(2026, 4, 1, tzinfo=UTC))
CALL = Occasion(datetime(2026, 3, 6, 9, tzinfo=UTC), DAY, 30)

numbers = count(1)


def new_id(prefix: str) -> str:
    return f"{prefix}_{next(numbers):05}"


def granted(prisoner: str, *types: CreditType) -> Ledger:
    ledger = Ledger(prisoner, new_id=new_id)
    for number, type_ in enumerate(types):
        ledger.grant(
            type_,
            at=T0 + timedelta(days=number),
            actor="staff:x",
            reason="test",
            event_key=new_id("key"),
            expires_at=T0 + timedelta(days=60) if type_ is CreditType.PRIVILEGED else None,
        )
    return ledger


def replayed(ledger: Ledger, before: list[LedgerEvent] | None = None) -> Ledger:
    """The same from what was stored."""
    return Ledger(ledger.prisoner_id, [*(before or []), *ledger.new], new_id=new_id)


def spend(ledger: Ledger, booking: str, at: datetime, *, overdraw: bool = False) -> None:
    ledger.spend(
        *(booking, CreditType.STANDARD),
        at=at,
        actor="staff:x",
        reason="booking",
        overdraw=overdraw,
        occasion=CALL,
        floors=[FLOOR],
    )


STEPS = st.lists(st.sampled_from(["grant", "privileged", "spend", "overdraw", "refund", "keep", "take"]), max_size=12)


def happened(prisoner: str, steps: list[str]) -> tuple[Ledger, list[str]]:
    """A ledger after these steps, and its bookings."""
    ledger, bookings, at = Ledger(prisoner, new_id=new_id), [], T0
    for step in steps:
        at += timedelta(days=3)
        if step in ("grant", "privileged"):
            type_ = CreditType.STANDARD if step == "grant" else CreditType.PRIVILEGED
            ledger.grant(type_, at=at, actor="staff:x", reason="test", event_key=new_id("key"))
        elif step in ("spend", "overdraw"):
            if step == "overdraw" or ledger.payment(CreditType.STANDARD, at=at, occasion=CALL, floors=[FLOOR]):
                bookings.append(new_id("bkg"))
                spend(ledger, bookings[-1], at, overdraw=True)
        elif step == "refund" and bookings:
            ledger.refund(bookings[0], at=at, actor="staff:x", reason="test")
        elif step == "keep":
            ledger.sweep(at=at, actor="system", accumulate_after=timedelta(days=5), cap=3)
        elif step == "take" and any(each.state is CreditState.AVAILABLE for each in ledger.spendable(at)):
            ledger.take_away(ledger.spendable(at)[0].type, at=at, actor="staff:x", reason="t", event_key=new_id("key"))
    return ledger, bookings


@given(STEPS, STEPS)
def test_one_ledger_has_what_two_had(first: list[str], second: list[str]) -> None:
    stays, own = happened("prs_stays", first)
    goes, carried = happened("prs_goes", second)
    both = stays.balance + goes.balance
    states = sorted(
        (each.type, each.state, each.granted_at, each.expires_at)
        for each in [*stays.credits, *goes.credits]
        if each.state is not CreditState.EXPIRED
    )
    at = T0 + timedelta(days=100)
    assert goes.carry_into(stays, at=at, actor="staff:x") >= 0
    assert goes.carry_into(stays, at=at, actor="staff:x") == 0
    assert (goes.balance, stays.balance) == (0, both)
    again = replayed(stays)
    assert replayed(goes).balance == 0
    assert states == sorted(
        (each.type, each.state, each.granted_at, each.expires_at)
        for each in again.credits
        if each.state is not CreditState.EXPIRED
    )
    # Every key is new: both ledgers are in one table.
    keys = [each.event_key for each in [*stays.new, *goes.new]]
    assert len(keys) == len(set(keys))
    # A booking never spends twice, and gives back what it took to the ledger that stayed, once.
    for booking in [*own, *carried]:
        lines = len(again.new)
        given_back = again.refund(booking, at=at, actor="staff:x", reason="test")
        assert not again.refund(booking, at=at, actor="staff:x", reason="test")
        if given_back:
            lines += 1
            again.spend(booking, CreditType.STANDARD, at=at, actor="staff:x", reason="booking", overdraw=True)
        assert len(again.new) == lines
        assert not goes.refund(booking, at=at, actor="staff:x", reason="test")


def test_a_credit_keeps_its_age_its_end_and_the_order_in_which_it_is_spent() -> None:
    stays, goes = granted("prs_stays", CreditType.STANDARD), granted("prs_goes", CreditType.PRIVILEGED)
    goes.sweep(at=T0, actor="system", accumulate_after=timedelta(days=28), cap=26)
    goes.carry_into(stays, at=T0 + timedelta(days=20), actor="staff:x")
    first, second = stays.spendable(T0 + timedelta(days=21))
    assert (first.type, first.granted_at, first.expires_at) == (CreditType.PRIVILEGED, T0, T0 + timedelta(days=60))
    assert second.granted_at == T0
    stays.sweep(at=T0 + timedelta(days=61), actor="system", accumulate_after=timedelta(days=28), cap=26)
    assert [each.type for each in stays.spendable(T0 + timedelta(days=61))] == [CreditType.STANDARD]


def test_a_floor_is_one_persons() -> None:
    """Each record had two visits of its month's four: the person has had all four."""
    stays, goes = Ledger("prs_stays", new_id=new_id), Ledger("prs_goes", new_id=new_id)
    for ledger in (stays, goes):
        for _ in range(2):
            spend(ledger, new_id("bkg"), T0)
        assert ledger.floor_left(FLOOR) == 2
    goes.carry_into(stays, at=T0, actor="staff:x")
    assert replayed(stays).floor_left(FLOOR) == 0
    assert replayed(goes).floor_left(FLOOR) == 4


def test_a_debt_is_repaid_by_the_next_credit_of_the_record_that_stays() -> None:
    stays, goes = Ledger("prs_stays", new_id=new_id), Ledger("prs_goes", new_id=new_id)
    goes.spend("bkg_1", CreditType.STANDARD, at=T0, actor="staff:x", reason="booking", overdraw=True)
    goes.carry_into(stays, at=T0, actor="staff:x")
    assert (goes.balance, stays.balance) == (0, -1)
    stays.grant(CreditType.STANDARD, at=T0, actor="system", reason="test", event_key="key")
    assert stays.balance == 0
    assert stays.refund("bkg_1", at=T0, actor="staff:x", reason="test")
    assert replayed(stays).balance == 1


def test_minutes_owed_go_along_with_what_visits_took() -> None:
    stays, goes = (OwedAccount("prs_1", f"rel_{name}", new_id=new_id) for name in ("stays", "goes"))
    stays.earn("bkg_1", 600, at=T0, actor="system", reason="lost")
    goes.earn("bkg_2", 1800, at=T0, actor="system", reason="lost")
    goes.earn("bkg_3", 900, at=T0, actor="system", reason="lost")
    goes.use("bkg_4", 30, purpose="visit", at=T0, actor="family:x")
    assert goes.carry_into(stays, at=T0, actor="staff:x") == 900
    assert goes.carry_into(stays, at=T0, actor="staff:x") == 0
    again = OwedAccount("prs_1", "rel_stays", stays.new, new_id=new_id)
    assert (goes.balance, again.balance) == (0, 1500)
    assert OwedAccount("prs_1", "rel_goes", goes.new, new_id=new_id).balance == 0
    assert again.give_back("bkg_4", at=T0, actor="family:x", reason="cancelled")
    assert not again.earn("bkg_2", 1800, at=T0, actor="system", reason="lost")
    assert again.balance == 3300
    keys = [each.event_key for each in [*again.new, *stays.new, *goes.new]]
    assert len(keys) == len(set(keys))
