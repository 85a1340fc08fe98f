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


def unit(key: PolicyKey) -> str:
    """What its number counts, or what its set holds; empty for a yes or no."""
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
    """Its name as a heading."""
    return key.name.split(".")[1].replace("_", " ").capitalize()


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
