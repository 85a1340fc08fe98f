"""Policies in the words of their page: what they belong to, in which unit they are, and what a form says of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from visitserver.domain.errors import Invalid
from visitserver.domain.policies import WEEKDAYS, WORKING_DAYS, PolicyData, PolicyKey

GROUPS: Final[Mapping[str, str]] = {
    "relationship": "Contact rights",
    "identity": "Contact rights",
    "restrictions": "Restrictions and alerts",
    "alerts": "Restrictions and alerts",
    "non_association": "Who must not meet",
    "booking": "Booking",
    "callers": "Booking",
    "limits": "How many visits",
    "floor": "What discipline cannot take away",
    "reception": "How many visits",
    "allowance": "Credits",
    "review": "Decisions by a person",
    "waitlist": "Waiting list and reminders",
    "reminder": "Waiting list and reminders",
    "supervision": "Calls",
    "media": "Calls",
    "call": "Calls",
}
"""By the first part of a name; in the order of the page."""

UNITS: Final[Mapping[str, str]] = {
    "callers.max": "callers",
    "callers.adults_max": "adults",
    "supervision.officers": "officers",
    "supervision.calls_per_officer": "calls",
    "media.calls_max": "calls",
    "review.lapse_hour": "o’clock",
    "allowance.cap": "credits",
}
"""Units that a name does not end in."""

TITLES: Final[Mapping[str, str]] = {
    "relationship.prisoner_acceptance_required": "The prisoner must have accepted a contact",
    "identity.required_to_book": "Identity before booking",
    "restrictions.disciplinary_types": "Restrictions that are punishments",
    "restrictions.court_types": "Restrictions that always refuse",
    "alerts.review_codes": "Alerts that ask for a person’s look",
    "alerts.ignored_codes": "Alerts that have nothing to do with visits",
    "non_association.minutes": "Time between the calls of two who must not meet",
    "non_association.whole_day": "Two who must not meet: not on one day",
    "non_association.same_wing_only": "Two who must not meet: on one wing only",
    "booking.notice_days_min": "Notice",
    "booking.notice_days_max": "How far ahead",
    "booking.notice_minutes_privileged": "Notice for privileged calls",
    "booking.late_start_minutes": "Booking after the start",
    "booking.hold_minutes": "How long a place is held",
    "booking.free_cancel_hours": "Cancelling without a reason",
    "booking.buffer_minutes": "Pause after a call",
    "callers.max": "Callers on screen",
    "callers.adults_max": "Adults on screen",
    "limits.week_remand": "A week: on remand",
    "limits.week_convicted": "A week: convicted",
    "limits.week_civil": "A week: civil prisoners",
    "limits.week_under_18": "A week: under 18",
    "limits.reception_days": "Length of the reception phase",
    "limits.reception_visits": "Visits in the reception phase",
    "reception.credit_hours": "Free visit after admission",
    "floor.month_standard": "A month",
    "floor.month_enhanced": "A month: enhanced level",
    "floor.month_under_18": "A month: under 18",
    "floor.week_remand": "A week: on remand",
    "floor.call_minutes": "Length of such a visit",
    "allowance.standard_days": "Standard credits: how often",
    "allowance.standard_per_accrual": "Standard credits: how many",
    "allowance.standard_more_enhanced": "Standard credits: more at the enhanced level",
    "allowance.standard_less_basic": "Standard credits: fewer at the basic level",
    "allowance.privileged_days": "Privileged credits: how often",
    "allowance.privileged_per_accrual_enhanced": "Privileged credits: how many at the enhanced level",
    "allowance.privileged_per_accrual_standard": "Privileged credits: how many at the standard level",
    "allowance.privileged_expiry_days": "Privileged credits: how long they last",
    "allowance.accumulate_days": "When a credit becomes accumulated",
    "allowance.cap": "Most credits that are kept",
    "allowance.owed_notice_hours": "Notice below which lost minutes are owed",
    "review.working_days": "Time that a decision takes",
    "review.working_weekdays": "Days on which decisions are made",
    "review.holidays": "Holidays",
    "review.lapse_hour": "When an undecided request is rejected",
    "review.escalate_hours": "When a supervisor is told",
    "waitlist.offer_minutes": "How long a freed place is offered",
    "reminder.first_hours": "First reminder",
    "reminder.second_minutes": "Second reminder",
    "supervision.officers": "Officers who watch at one time",
    "supervision.calls_per_officer": "Calls for each of them",
    "media.calls_max": "Calls at one time",
    "call.recording_required": "Calls are recorded",
    "call.watch_banner": "People are told of a watch",
    "call.end_on_withdrawal": "A right that is taken back ends a call",
    "call.lobby_minutes": "When the waiting room opens",
}
"""What stands above a policy. A test finds the one without."""

_ENDINGS: Final = (
    ("days", "days"),
    ("minutes", "minutes"),
    ("hours", "hours"),
    ("weekdays", "days of the week"),
    ("holidays", "days"),
    ("types", "codes"),
    ("codes", "codes"),
)
_BY_GROUP: Final = {"allowance": "credits", "limits": "visits", "floor": "visits"}
_APART: Final = re.compile(r"[,;\n\r]+")


def group(key: PolicyKey) -> str:
    """Under which heading it stands."""
    return GROUPS[key.name.split(".")[0]]


def unit(key: PolicyKey, value: object = None) -> str:
    """What its number counts, or what its set holds, of which there are `value`; empty for a yes or no."""
    several = _unit(key)
    return several.removesuffix("s") if value == 1 else several


def _unit(key: PolicyKey) -> str:
    if isinstance(key.default, bool):
        return ""
    if key.name in UNITS:
        return UNITS[key.name]
    parts = key.name.split(".")[1].split("_")
    for ending, word in _ENDINGS:
        if ending in parts:
            return word
    return _BY_GROUP[key.name.split(".")[0]]


def kind(key: PolicyKey) -> str:
    """How it is filled in: `yes_no`, `number`, `weekdays` or `texts`."""
    if isinstance(key.default, bool):
        return "yes_no"
    if isinstance(key.default, int):
        return "number"
    return "weekdays" if key.name == WORKING_DAYS.name else "texts"


def title(key: PolicyKey) -> str:
    """What it is about, in a few words."""
    return TITLES.get(key.name, key.name)


def shown(key: PolicyKey, value: PolicyData | Sequence[str]) -> str:
    """A value in words, without its unit."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    texts = list(value)
    if kind(key) == "weekdays":
        return ", ".join(each.capitalize() for each in sorted(texts, key=WEEKDAYS.index)) or "none"
    return ", ".join(sorted(texts)) or "none"


def filled_in(key: PolicyKey, value: PolicyData | Sequence[str]) -> list[str]:
    """A value as the fields of a form have it."""
    if isinstance(value, bool | int):
        return [shown(key, value)]
    return sorted(value)


def read(key: PolicyKey, texts: Sequence[str]) -> PolicyData:
    """The value that a form's fields say; Invalid when they say none that this policy allows."""
    given = [part.strip() for text in texts for part in _APART.split(text) if part.strip()]
    match kind(key):
        case "yes_no" if given in (["yes"], ["no"]):
            return given == ["yes"]
        case "number" if len(given) == 1 and re.fullmatch(r"\d{1,9}", given[0], re.ASCII):
            return _allowed(key, int(given[0]))
        case "weekdays" | "texts":
            return _allowed(key, frozenset(given))
        case _:
            raise _not_allowed(key)


def _allowed(key: PolicyKey, value: PolicyData) -> PolicyData:
    try:
        return key.check(value)
    except Invalid:
        raise _not_allowed(key) from None


def _not_allowed(key: PolicyKey) -> Invalid:
    words = {
        "yes_no": "Choose yes or no.",
        "number": f"Write a number from {key.lowest} to {key.highest}.",
        "weekdays": "Choose days of the week.",
        "texts": "Write codes of letters and digits, apart by commas or a line each.",
    }[kind(key)]
    if key.name == "review.holidays":
        words = "Write days as year-month-day, for example 2026-12-24, apart by commas or a line each."
    return Invalid(words, code="policy_value", field="value")
