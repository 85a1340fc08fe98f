"""A visit that is fine, and how to change one thing about it: what the table of cases is written with.

A mother of 46 who is approved, accepted and known visits her daughter at Kuura prison on Friday 6 March 2026 at nine in
the morning; today is Monday 2 March.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any

from tests.fixtures.rights import (
    CHILD,
    LAWYER,
    LEGAL,
    MOTHER,
    PRISON,
    PRISONER,
    make_contact,
    make_link,
    make_prisoner,
    make_template,
)
from visitserver.domain.actors import ActorKind
from visitserver.domain.allowance import CreditType, Occasion
from visitserver.domain.appointments import Appointment, AppointmentKind
from visitserver.domain.blocks import Block
from visitserver.domain.calls import CallKind
from visitserver.domain.decisions import Outcome
from visitserver.domain.ledger import Ledger
from visitserver.domain.people import LegalStatus, Prison
from visitserver.domain.policies import Policies
from visitserver.domain.rights import (
    Alert,
    CountedVisit,
    NonAssociatedVisit,
    Restriction,
    RestrictionScope,
)
from visitserver.domain.rules.facts import Caller, Facts, IdentityStanding, Known, Missing, Room
from visitserver.domain.scheduling import Slot
from visitserver.domain.slots import slot_at, to_utc

KUURA = Prison(PRISON, "Kuura", "Europe/Helsinki", "KUU")
MONDAY = date(2026, 3, 2)
FRIDAY = date(2026, 3, 6)
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
FREE = Room(False, frozenset(), 2, 2, 8)

Change = Callable[[Facts], Facts]
ALLOW, REVIEW, REFUSE = Outcome.ALLOW, Outcome.REVIEW, Outcome.REFUSE


def numbered() -> Callable[[str], str]:
    numbers = count(1)
    return lambda prefix: f"{prefix}_{next(numbers)}"


def ledger(credits: int = 1, type_: CreditType = CreditType.STANDARD) -> Ledger:
    made = Ledger(PRISONER, new_id=numbered())
    for number in range(credits):
        made.grant(type_, at=NOW - timedelta(days=1), actor="test", reason="test", event_key=f"grant:{number}")
    return made


def slot(day: date = FRIDAY, at: time = time(9), **template: Any) -> Slot:
    starts_at = to_utc(datetime.combine(day, at), KUURA.zone)
    assert starts_at is not None
    made = slot_at(make_template(**template), KUURA.zone, starts_at, buffer=timedelta(minutes=5))
    assert made is not None
    return made


def caller(contact_id: str = MOTHER, *, lead: bool = False, call_kind: CallKind = CallKind.SOCIAL) -> Caller:
    contact = make_contact(contact_id, date(2015, 6, 1) if contact_id.startswith(CHILD) else date(1980, 1, 1))
    return Caller(contact, make_link(contact_id, call_kind=call_kind), lead, Known(IdentityStanding(True)))


def fine() -> Facts:
    return Facts(
        now=NOW,
        today=MONDAY,
        prison=KUURA,
        prisoner=make_prisoner(PRISONER, "K-1"),
        slot=slot(),
        kind=CallKind.SOCIAL,
        asked_by=ActorKind.FAMILY,
        callers=(caller(lead=True),),
        policies=Policies(),
        restrictions=Known([]),
        ledger=Known(ledger()),
        room=Known(FREE),
        alerts=Known([]),
        non_associated=Known([]),
        visits=Known([]),
        appointments=Known([]),
        blocks=Known([]),
        owed_minutes=Known(0),
        next_credit=date(2026, 3, 13),
    )


def lawyers_visit() -> Facts:
    return replace(
        fine(),
        kind=CallKind.LEGAL,
        callers=(caller(LAWYER, lead=True, call_kind=CallKind.LEGAL),),
        slot=slot(template_id=LEGAL, kinds=frozenset({CallKind.LEGAL}), credit_type=None),
        ledger=Known(ledger(0)),
    )


# How to change one thing ---------------------------------------------------------------------------------------------


def legal(change: Change = lambda facts: facts) -> Change:
    return lambda _: change(lawyers_visit())


def link(**changes: Any) -> Change:
    def change(facts: Facts) -> Facts:
        relationship = facts.callers[0].relationship
        for name, value in changes.items():
            setattr(relationship, name, value)
        return facts

    return change


def with_callers(*contact_ids: str) -> Change:
    return lambda facts: replace(
        facts, callers=tuple(caller(each, lead=number == 0) for number, each in enumerate(contact_ids))
    )


def prisoner(**changes: Any) -> Change:
    def change(facts: Facts) -> Facts:
        for name, value in changes.items():
            setattr(facts.prisoner, name, value)
        return facts

    return change


def restricted(type_: str, scope: RestrictionScope = RestrictionScope.PERSON, **changes: Any) -> Change:
    ids = {
        RestrictionScope.PERSON: {"contact_id": MOTHER},
        RestrictionScope.RELATIONSHIP: {"relationship_id": "rel_mother_aalto"},
        RestrictionScope.PRISONER: {"prisoner_id": PRISONER},
    }
    values: dict[str, Any] = {
        "id": "rst_1",
        "scope": scope,
        "type": type_,
        "starts_on": date(2026, 3, 1),
        "authority": "Governor",
        "created_at": NOW,
        "created_by": "test",
        **ids[scope],
        **changes,
    }
    return lambda facts: replace(facts, restrictions=Known([Restriction(**values)]))


def facts_with(**changes: Any) -> Change:
    return lambda facts: replace(facts, **changes)


def policy(**values: int | bool | list[str]) -> Change:
    """Set policies: two underscores stand for the dot in a name."""
    named = {key.replace("__", "."): (value, "prison.3") for key, value in values.items()}
    return lambda facts: replace(facts, policies=Policies({**facts.policies.values, **named}))


def identity(standing: IdentityStanding | Missing) -> Change:
    known = standing if isinstance(standing, Missing) else Known(standing)
    return lambda facts: replace(facts, callers=(replace(facts.callers[0], identity=known),))


def both(*changes: Change) -> Change:
    def change(facts: Facts) -> Facts:
        for each in changes:
            facts = each(facts)
        return facts

    return change


def failing(source: str) -> Missing:
    return Missing(source, "TimeoutError")


def day(text: str) -> date:
    """A day of 2026: "6 March" is day("03-06")."""
    return date.fromisoformat(f"2026-{text}")


def at(hour: int, minute: int = 0, on: date = FRIDAY) -> datetime:
    """A wall-clock time of the prison, in UTC."""
    moment = to_utc(datetime.combine(on, time(hour, minute)), KUURA.zone)
    assert moment is not None
    return moment


def alert(code: str, **changes: Any) -> Change:
    """An alert on the prisoner, besides those there are."""
    values: dict[str, Any] = {"starts_on": date(2026, 3, 1), "created_at": NOW, "created_by": "test", **changes}
    return lambda facts: replace(
        facts, alerts=Known([*facts.alerts.need(), Alert("alt_1", values.pop("prisoner_id", PRISONER), code, **values)])
    )


def enemy(starts_at: datetime, *, minutes: int = 30, wing: str | None = "wng_a", **changes: Any) -> Change:
    """Somebody whom the prisoner must not meet has a call of `minutes` then."""
    visit = NonAssociatedVisit(
        non_association_id="nas_1",
        booking_id="bkg_theirs",
        prisoner_id="prs_enemy",
        starts_at=starts_at,
        ends_at=starts_at + timedelta(minutes=minutes),
        starts_on=changes.pop("starts_on", date(2026, 1, 1)),
        wing_id=wing,
        **changes,
    )
    return lambda facts: replace(facts, non_associated=Known([visit]))


def visits(*days: date, kind: CallKind = CallKind.SOCIAL, minutes: int = 30) -> Change:
    """The prisoner has other visits, at three in the afternoon of these days."""

    def made(number: int, on: date) -> CountedVisit:
        starts_at = at(15, on=on)
        return CountedVisit(f"bkg_{number}", kind, starts_at, starts_at + timedelta(minutes=minutes), on)

    return lambda facts: replace(facts, visits=Known([made(number, on) for number, on in enumerate(days)]))


def week_of_visits(count: int, **kind: Any) -> Change:
    """So many other visits in the week of the visit."""
    return visits(*(MONDAY + timedelta(days=number % 7) for number in range(count)), **kind)


def appointment(kind: AppointmentKind, starts_at: datetime, ends_at: datetime, **changes: Any) -> Change:
    made = Appointment("apt_1", PRISON, PRISONER, kind, starts_at, ends_at, NOW, "test", **changes)
    return lambda facts: replace(facts, appointments=Known([made]))


def block(*station_ids: str, words: str | None = None, **changes: Any) -> Change:
    """Friday morning is blocked: the whole prison, or these stations."""
    values: dict[str, Any] = {"starts_at": at(8), "ends_at": at(12), **changes}
    made = Block(
        "blk_1",
        PRISON,
        values.pop("starts_at"),
        values.pop("ends_at"),
        frozenset(station_ids),
        "staff training",
        words,
        NOW,
        "test",
        **values,
    )
    return lambda facts: replace(facts, blocks=Known([*facts.blocks.need(), made]))


def room(**changes: Any) -> Change:
    return lambda facts: replace(facts, room=Known(replace(facts.room.need(), **changes)))


def session(**template: Any) -> Change:
    """The visit is in a session with these properties."""
    return lambda facts: replace(facts, slot=slot(**template))


def on(day_: date, hour: int = 9, minute: int = 0) -> Change:
    """The visit is on another day."""
    return lambda facts: replace(facts, slot=slot(day_, time(hour, minute)))


def consular(change: Change = lambda facts: facts) -> Change:
    """A consul's visit instead."""
    return _other_kind(CallKind.CONSULAR, change)


def inspection(change: Change = lambda facts: facts) -> Change:
    """An inspector's visit instead."""
    return _other_kind(CallKind.INSPECTION, change)


def official(change: Change = lambda facts: facts) -> Change:
    """A social worker's visit instead: official, and not privileged."""
    return _other_kind(CallKind.OFFICIAL, change)


def _other_kind(kind: CallKind, change: Change) -> Change:
    def made(_: Facts) -> Facts:
        facts = replace(
            fine(),
            kind=kind,
            callers=(caller(LAWYER, lead=True, call_kind=kind),),
            slot=slot(kinds=frozenset({kind}), credit_type=None),
        )
        return change(facts)

    return made


def minor() -> Change:
    """The prisoner is seventeen."""
    return prisoner(born_on=date(2008, 9, 1))


NO_FLOOR = policy(floor__month_standard=0)
"""A prison without a floor for convicted adults: so that a case shows one rule at a time."""

NO_CREDIT: Change = lambda facts: replace(facts, ledger=Known(ledger(0)))  # noqa: E731 - reads as the others do


PUNISHED = restricted("LOSS-OF-VISITS", RestrictionScope.PRISONER)
ON_REMAND = prisoner(legal_status=LegalStatus.REMAND)
LONG_HERE = prisoner(admitted_at=datetime(2025, 1, 1, tzinfo=UTC))
HOUSED = prisoner(location=("A", "2", "14"), category="C")


def links_of(contact_id: str, **changes: Any) -> Change:
    """As `link`, for another caller than the lead."""

    def change(facts: Facts) -> Facts:
        relationship = next(each.relationship for each in facts.callers if each.contact.id == contact_id)
        for name, value in changes.items():
            setattr(relationship, name, value)
        return facts

    return change


def identity_of(contact_id: str, standing: IdentityStanding) -> Change:
    """As `identity`, for another caller than the lead."""
    return lambda facts: replace(
        facts,
        callers=tuple(
            replace(each, identity=Known(standing)) if each.contact.id == contact_id else each for each in facts.callers
        ),
    )


def lead_born(on_day: date) -> Change:
    def change(facts: Facts) -> Facts:
        facts.lead.contact.born_on = on_day
        return facts

    return change


def three_days() -> tuple[date, date, date]:
    """Three days of the month, none of them in the visit's week."""
    return day("03-16"), day("03-17"), day("03-18")


def with_visits(*changes: Change) -> Change:
    """All the visits of several changes, where each alone would take the place of the one before."""

    def change(facts: Facts) -> Facts:
        found = [visit for each in changes for visit in each(facts).visits.need()]
        return replace(facts, visits=Known(found))

    return change


def paid_visits(count: int) -> Change:
    """The ledger has paid for so many calls of half an hour in the visit's week, and nothing is left."""

    def change(facts: Facts) -> Facts:
        made = ledger(count)
        for number in range(count):
            occasion = Occasion(at(15, on=MONDAY), MONDAY, 30)
            made.spend(f"bkg_{number}", CreditType.STANDARD, at=NOW, actor="test", reason="test", occasion=occasion)
        return replace(facts, ledger=Known(made))

    return change


def reception_credit(expires_at: datetime) -> Change:
    """The credit of admission and nothing else, until then."""
    made = Ledger(PRISONER, new_id=numbered())
    made.grant(CreditType.RECEPTION, at=NOW, actor="test", reason="test", event_key="reception", expires_at=expires_at)
    return lambda facts: replace(facts, ledger=Known(made))


def two_credits() -> Change:
    """A compassionate credit and a standard one."""
    made = ledger(1, CreditType.COMPASSIONATE)
    made.grant(CreditType.STANDARD, at=NOW, actor="test", reason="test", event_key="another")
    return lambda facts: replace(facts, ledger=Known(made))


def paths(*texts: str) -> frozenset[tuple[str, ...]]:
    """Locations, written with slashes."""
    return frozenset(tuple(text.split("/")) for text in texts)


def asked_on(today: date) -> Change:
    """It is asked at nine in the morning (UTC) of that day."""
    return lambda facts: replace(facts, now=datetime.combine(today, time(9), UTC), today=today)


def on_legal(day_: date, hour: int, minute: int = 0) -> Change:
    made = slot(day_, time(hour, minute), template_id=LEGAL, kinds=frozenset({CallKind.LEGAL}), credit_type=None)
    return lambda facts: replace(facts, slot=made)


def on_official(day_: date) -> Change:
    made = slot(day_, kinds=frozenset({CallKind.OFFICIAL}), credit_type=None)
    return lambda facts: replace(facts, slot=made)


@dataclass(frozen=True)
class Row:
    """One case. `words` and `change` are what the family reads; None: nothing is said."""

    rule: str
    situation: str
    make: Change
    outcome: Outcome
    words: str | None = None
    change: str | None = None
    live: bool = False


NOT_ON_LIST = "The prison has not approved every caller for visits with this person."
APPROVED = "It changes when the prison has approved each caller's request."
NOT_POSSIBLE = "Visits with this person are not possible at this time."
ASK_PRISON = "If you think this is wrong, ask the prison."
NOT_NOW = "This visit is not possible at this time."
STAFF_LOOKS = "A member of staff looks at this first and then tells you."
PROVE = "Every adult on the call must first show who they are."
PROVE_HOW = "Send a picture of your document and of your face, or ask to be checked by an officer instead."
TAKEN = "This time is taken."
OTHER = "Choose another time."
NOT_FOR_THIS = "This time is not for this kind of visit."
TOO_SOON = "This visit is too soon to book."
FROM_4 = "Visits can be booked for 4 March 2026 and later."
WEEK_FULL = "There is no visit left in this week."
FROM_9 = "You can book visits for 9 March 2026 and later."
NO_TIME = "A member of staff must look at this visit first, and there is too little time for it."
