"""The waiting list's own states, and its queue as a machine that hypothesis drives."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from visitserver.domain.errors import Conflict
from visitserver.domain.waitlist import (
    LAPSES_MAX,
    OFFER_TIME,
    STANDING,
    EntryState,
    OfferState,
    WaitlistEntry,
    WaitlistOffer,
    waiting_for,
)

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAYS = [date(2026, 3, 6) + timedelta(days=number) for number in range(3)]
WALLS = [time(9), time(13)]
SLOTS = {f"tpl_a@{day:%Y%m%d}T{wall:%H%M}Z": (day, wall) for day in DAYS for wall in WALLS}


def make_entry(number: int = 0, **changes: object) -> WaitlistEntry:
    values: dict[str, object] = {
        "id": f"wtl_{number}",
        "prison_id": "prn_a",
        "prisoner_id": "prs_a",
        "contact_id": f"con_{number}",
        "relationship_id": f"rel_{number}",
        "first_day": DAYS[0],
        "last_day": DAYS[-1],
        "created_at": START,
        "created_by": "test",
        "queued_at": START,
    }
    return WaitlistEntry(**{**values, **changes})  # type: ignore[arg-type]


WANTS = [
    # first day, last day, from, to, slot, asked for, wanted
    ("within its days", 0, 1, None, None, None, (1, time(9)), True),
    ("after its days", 0, 1, None, None, None, (2, time(9)), False),
    ("from that minute on", 0, 0, time(9), None, None, (0, time(9)), True),
    ("before its time", 0, 0, time(9, 5), None, None, (0, time(9)), False),
    ("up to that minute", 0, 0, None, time(9), None, (0, time(9)), False),
    ("just before it", 0, 0, None, time(9, 5), None, (0, time(9)), True),
    ("its one slot", 0, 0, None, None, "tpl_a@20260306T0900Z", (0, time(9)), True),
    ("another slot of the day", 0, 0, None, None, "tpl_a@20260306T0900Z", (0, time(13)), False),
]


@pytest.mark.parametrize("case", WANTS, ids=[case[0] for case in WANTS])
def test_which_slots_an_entry_waits_for(case: tuple[object, ...]) -> None:
    _, first, last, from_time, to_time, slot, (day, wall), wanted = case  # type: ignore[misc]
    entry = make_entry(
        first_day=DAYS[first],  # type: ignore[index]
        last_day=DAYS[last],  # type: ignore[index]
        from_time=from_time,
        to_time=to_time,
        slot_key=slot,
    )
    key = f"tpl_a@{DAYS[day]:%Y%m%d}T{wall:%H%M}Z"
    assert entry.wants(key, DAYS[day], wall) is wanted


@pytest.mark.parametrize("state", sorted(set(EntryState) - STANDING))
def test_what_has_ended_stays_as_it_is(state: EntryState) -> None:
    entry = make_entry(state=state, ended_at=START)
    later = START + timedelta(hours=1)
    for attempt in (
        entry.offered,
        lambda: entry.accepted("bkg_1", at=later),
        lambda: entry.declined(at=later),
        lambda: entry.lapsed(at=later),
        entry.taken_back,
        lambda: entry.leave(at=later),
        lambda: entry.expire(at=later),
    ):
        with pytest.raises(Conflict):
            attempt()
    assert (entry.state, entry.ended_at) == (state, START)


def test_an_offer_is_settled_once() -> None:
    offer = WaitlistOffer("off_1", "wtl_1", "bkg_1", next(iter(SLOTS)), START, START, START + OFFER_TIME)
    offer.settle(OfferState.ACCEPTED, at=START)
    with pytest.raises(Conflict):
        offer.settle(OfferState.LAPSED, at=START)
    assert offer.state is OfferState.ACCEPTED


@dataclass
class Asked:
    """An offer that was made, with whom else it might have gone to."""

    offer: WaitlistOffer
    entry: WaitlistEntry
    queued_at: datetime
    others: list[tuple[datetime, str]] = field(default_factory=list)


class Queue(RuleBasedStateMachine):
    """People join, places come free, offers are answered or not: nobody is passed over, nobody is asked twice."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.entries: list[WaitlistEntry] = []
        self.asked: list[Asked] = []
        self.ended: dict[str, tuple[EntryState, datetime | None]] = {}

    def standing(self) -> list[Asked]:
        return [each for each in self.asked if each.offer.state is OfferState.STANDING]

    @rule(
        first=st.integers(0, 2),
        length=st.integers(0, 2),
        one=st.none() | st.sampled_from(sorted(SLOTS)),
        minutes=st.integers(0, 5),
    )
    def join(self, first: int, length: int, one: str | None, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        days = (DAYS[first], DAYS[min(first + length, 2)]) if one is None else (SLOTS[one][0],) * 2
        entry = make_entry(
            len(self.entries),
            first_day=days[0],
            last_day=days[1],
            slot_key=one,
            created_at=self.now,
            queued_at=self.now,
        )
        self.entries.append(entry)

    @rule(slot=st.sampled_from(sorted(SLOTS)), barred=st.sets(st.integers(0, 8)))
    def a_place_comes_free(self, slot: str, barred: set[int]) -> None:
        """`barred`: those whom the rules refuse just now."""
        day, wall = SLOTS[slot]
        offered = frozenset(each.entry.id for each in self.asked if each.offer.slot_key == slot)
        may = [each for each in self.entries if int(each.id[4:]) not in barred]
        queue = waiting_for(may, slot, day, wall, offered)
        if not queue:
            assert not [
                each
                for each in may
                if each.state is EntryState.WAITING and each.wants(slot, day, wall) and each.id not in offered
            ]
            return
        chosen = queue[0]
        others = [
            (each.queued_at, each.id)
            for each in may
            if each is not chosen
            and each.state is EntryState.WAITING
            and each.wants(slot, day, wall)
            and each.id not in offered
        ]
        chosen.offered()
        number = len(self.asked)
        offer = WaitlistOffer(f"off_{number}", chosen.id, f"bkg_{number}", slot, START, self.now, self.now + OFFER_TIME)
        self.asked.append(Asked(offer, chosen, chosen.queued_at, others))

    @precondition(lambda self: self.standing())
    @rule(data=st.data(), answer=st.sampled_from(sorted(set(OfferState) - {OfferState.STANDING})))
    def an_offer_ends(self, data: st.DataObject, answer: OfferState) -> None:
        each = data.draw(st.sampled_from(self.standing()))
        if answer is OfferState.LAPSED:
            self.now = max(self.now, each.offer.expires_at)
        each.offer.settle(answer, at=self.now)
        match answer:
            case OfferState.ACCEPTED:
                each.entry.accepted(each.offer.booking_id, at=self.now)
            case OfferState.DECLINED:
                each.entry.declined(at=self.now)
            case OfferState.LAPSED:
                each.entry.lapsed(at=self.now)
            case _:
                each.entry.taken_back()

    @precondition(lambda self: any(each.state is EntryState.WAITING for each in self.entries))
    @rule(data=st.data(), expires=st.booleans())
    def somebody_leaves(self, data: st.DataObject, expires: bool) -> None:
        entry = data.draw(st.sampled_from([each for each in self.entries if each.state is EntryState.WAITING]))
        if expires:
            entry.expire(at=self.now)
        else:
            entry.leave(at=self.now)

    @invariant()
    def one_place_at_a_time_for_each(self) -> None:
        holders = [each.entry.id for each in self.standing()]
        assert sorted(holders) == sorted(each.id for each in self.entries if each.state is EntryState.OFFERED)
        assert len(set(holders)) == len(holders)

    @invariant()
    def nobody_is_asked_twice_about_one_slot(self) -> None:
        pairs = [(each.entry.id, each.offer.slot_key) for each in self.asked]
        assert len(set(pairs)) == len(pairs)

    @invariant()
    def whoever_was_asked_had_waited_longest(self) -> None:
        for each in self.asked:
            assert all((each.queued_at, each.entry.id) < other for other in each.others)

    @invariant()
    def what_has_ended_stays_ended(self) -> None:
        for entry in self.entries:
            if not entry.stands:
                kept = self.ended.setdefault(entry.id, (entry.state, entry.ended_at))
                assert kept == (entry.state, entry.ended_at)
            assert (entry.ended_at is None) is entry.stands
            assert (entry.booking_id is not None) is (entry.state is EntryState.SERVED)

    @invariant()
    def silence_costs_the_place_in_the_queue_and_then_the_entry(self) -> None:
        for entry in self.entries:
            lapsed = [
                each.offer
                for each in self.asked
                if each.entry is entry and each.offer.state is OfferState.LAPSED and each.offer.settled_at is not None
            ]
            assert entry.lapses == len(lapsed) <= LAPSES_MAX
            assert (entry.state is EntryState.LAPSED) is (
                bool(lapsed) and (len(lapsed) == LAPSES_MAX or entry.slot_key is not None)
            )
            if entry.stands and lapsed:
                assert entry.queued_at == lapsed[-1].settled_at


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=300, stateful_step_count=30)


class Nightly(Queue):
    """The same for longer."""


TestQueueNightly = pytest.mark.nightly(Nightly.TestCase)
TestQueueNightly.settings = settings(max_examples=10_000, stateful_step_count=50)
