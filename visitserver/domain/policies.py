"""Policies: versioned, dated values per prison, each with a documented default."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from visitserver.domain.errors import Invalid

PolicyData = bool | int | frozenset[str]
"""What a policy can be: yes or no, a number, or a set of texts (codes, days)."""

LONGEST_SET = 500
WEEKDAYS: Final = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_CODE = re.compile(r"[A-Z0-9][A-Z0-9 ._-]{0,62}")


def code(text: str) -> str:
    """A code as codes are compared: upper case, hyphens for underscores, no space around it."""
    return text.strip().upper().replace("_", "-")


def is_code(text: str) -> bool:
    """Whether `text` is a code: letters, digits and a few marks."""
    return _CODE.fullmatch(text) is not None


def is_day(text: str) -> bool:
    """Whether `text` is a day, YYYY-MM-DD."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class PolicyKey:
    """A value that a prison may set: its name with the unit in it, the default, and what else it may be.

    `lowest` and `highest` bound numbers; `each` says whether a text may be in a set, and `tidy` writes it the one way.
    """

    name: str
    default: PolicyData
    lowest: int = 0
    highest: int = 10_000
    summary: str = ""
    each: Callable[[str], bool] = is_code
    tidy: Callable[[str], str] = code

    def check(self, value: Any) -> PolicyData:
        """`value` when it is one for this key (a set may come as a list); Invalid otherwise."""
        if isinstance(self.default, bool):
            if isinstance(value, bool):
                return value
        elif isinstance(self.default, int):
            if isinstance(value, int) and not isinstance(value, bool) and self.lowest <= value <= self.highest:
                return value
        elif isinstance(value, list | tuple | set | frozenset) and len(value) <= LONGEST_SET:
            texts = frozenset(self.tidy(each) if isinstance(each, str) else "" for each in value)
            if all(self.each(text) for text in texts):
                return texts
        raise Invalid(f"Not a value for the policy {self.name}.", code="policy_value", field=self.name)

    def stored(self, value: Any) -> bool | int | list[str]:
        """`value`, checked, as it is stored and shown: a set as a sorted list."""
        checked = self.check(value)
        return sorted(checked) if isinstance(checked, frozenset) else checked


def _codes(name: str, default: Iterable[str], summary: str) -> PolicyKey:
    return PolicyKey(name, frozenset(default), summary=summary)


ACCEPTANCE_REQUIRED: Final = PolicyKey(
    "relationship.prisoner_acceptance_required",
    True,
    summary="The prisoner must have accepted a contact (otherwise: must not have refused them).",
)
NOTICE_DAYS_MIN: Final = PolicyKey(
    "booking.notice_days_min", 2, 0, 28, "Whole days between the day of booking and the first day that can be booked."
)
NOTICE_DAYS_MAX: Final = PolicyKey("booking.notice_days_max", 28, 0, 365, "Whole days ahead that can be booked.")
NOTICE_MINUTES_PRIVILEGED: Final = PolicyKey(
    "booking.notice_minutes_privileged", 120, 0, 10_080, "Notice for legal, consular and inspection calls."
)
LATE_START_MINUTES: Final = PolicyKey(
    "booking.late_start_minutes", 0, 0, 240, "How long after its start a slot can still be booked."
)
HOLD_MINUTES: Final = PolicyKey("booking.hold_minutes", 10, 1, 60, "How long a hold keeps its place.")
FREE_CANCEL_HOURS: Final = PolicyKey(
    "booking.free_cancel_hours", 24, 0, 336, "Before this a cancellation needs no reason."
)
BUFFER_MINUTES: Final = PolicyKey("booking.buffer_minutes", 5, 0, 60, "Pause after a call, in steps of five minutes.")
CALLERS_MAX: Final = PolicyKey("callers.max", 4, 1, 4, "Callers on screen.")
ADULTS_MAX: Final = PolicyKey("callers.adults_max", 3, 1, 4, "Adults among them.")
IDENTITY_REQUIRED: Final = PolicyKey(
    "identity.required_to_book", True, summary="Adult callers need an approved identity before they book."
)
OFFICERS: Final = PolicyKey("supervision.officers", 1, 0, 500, "Officers who watch calls at one time.")
CALLS_PER_OFFICER: Final = PolicyKey("supervision.calls_per_officer", 8, 1, 32, "Live-watched calls per officer.")
ACCRUAL_DAYS_STANDARD: Final = PolicyKey("allowance.standard_days", 14, 1, 90, "Days between standard credits.")
ACCRUAL_DAYS_PRIVILEGED: Final = PolicyKey("allowance.privileged_days", 28, 1, 90, "Days between privileged credits.")
STANDARD_PER_ACCRUAL: Final = PolicyKey("allowance.standard_per_accrual", 1, 0, 26, "Standard credits each time.")
PRIVILEGED_PER_ACCRUAL: Final = PolicyKey(
    "allowance.privileged_per_accrual_enhanced", 1, 0, 26, "Privileged credits each time, at the enhanced level."
)
ACCUMULATE_DAYS: Final = PolicyKey("allowance.accumulate_days", 28, 1, 365, "Then available becomes accumulated.")
CREDIT_CAP: Final = PolicyKey("allowance.cap", 26, 1, 365, "Credits kept at most; the oldest go first.")
PRIVILEGED_EXPIRY_DAYS: Final = PolicyKey(
    "allowance.privileged_expiry_days", 28, 1, 365, "Life of a privileged credit."
)

RECORDING_REQUIRED: Final = PolicyKey(
    "call.recording_required", True, summary="Calls are recorded, and held while they are not. Never privileged ones."
)
WATCH_BANNER: Final = PolicyKey(
    "call.watch_banner", False, summary="The people in a call are told while an officer is watching."
)
END_ON_WITHDRAWAL: Final = PolicyKey(
    "call.end_on_withdrawal",
    True,
    summary="A right that a person takes back during a call ends it (otherwise it pauses for an officer).",
)
LOBBY_MINUTES: Final = PolicyKey("call.lobby_minutes", 15, 5, 60, "How long before its start the waiting room opens.")
REMINDER_FIRST_HOURS: Final = PolicyKey(
    "reminder.first_hours", 24, 0, 168, "How long before a visit the first reminder is sent; 0: none."
)
REMINDER_SECOND_MINUTES: Final = PolicyKey(
    "reminder.second_minutes", 60, 0, 1440, "How long before a visit the second reminder is sent; 0: none."
)

MEDIA_CALLS: Final = PolicyKey("media.calls_max", 60, 1, 1_000, "Calls that the servers carry for one prison at once.")

WEEK_LIMIT_REMAND: Final = PolicyKey("limits.week_remand", 7, 0, 100, "Social visits a week for remand prisoners.")
WEEK_LIMIT_CONVICTED: Final = PolicyKey("limits.week_convicted", 7, 0, 100, "Social visits a week for the convicted.")
WEEK_LIMIT_CIVIL: Final = PolicyKey("limits.week_civil", 7, 0, 100, "Social visits a week for civil prisoners.")
WEEK_LIMIT_UNDER_18: Final = PolicyKey("limits.week_under_18", 14, 0, 100, "Social visits a week under 18.")
RECEPTION_DAYS: Final = PolicyKey("limits.reception_days", 14, 0, 90, "Length of the reception phase after admission.")
RECEPTION_LIMIT: Final = PolicyKey("limits.reception_visits", 7, 0, 100, "Social visits in the reception phase.")

FLOOR_STANDARD: Final = PolicyKey("floor.month_standard", 2, 0, 31, "Visits a month that discipline cannot take away.")
FLOOR_ENHANCED: Final = PolicyKey("floor.month_enhanced", 4, 0, 31, "The same at the enhanced level.")
FLOOR_UNDER_18: Final = PolicyKey("floor.month_under_18", 8, 0, 62, "The same under 18.")
FLOOR_REMAND_WEEK: Final = PolicyKey("floor.week_remand", 3, 0, 21, "The same a week for remand prisoners.")
RECEPTION_HOURS: Final = PolicyKey(
    "reception.credit_hours", 72, 0, 720, "How long after admission the free reception visit can take place."
)

FLOOR_MINUTES: Final = PolicyKey(
    "floor.call_minutes", 30, 5, 240, "Length of a visit of the floor; a shorter one counts in part."
)
STANDARD_MORE_ENHANCED: Final = PolicyKey(
    "allowance.standard_more_enhanced", 0, 0, 26, "Standard credits each time that the enhanced level has on top."
)
STANDARD_LESS_BASIC: Final = PolicyKey(
    "allowance.standard_less_basic", 0, 0, 26, "Standard credits each time that the basic level has less."
)
PRIVILEGED_PER_ACCRUAL_STANDARD: Final = PolicyKey(
    "allowance.privileged_per_accrual_standard", 0, 0, 26, "Privileged credits each time, at the standard level."
)
OWED_NOTICE_HOURS: Final = PolicyKey(
    "allowance.owed_notice_hours", 24, 0, 336, "What the prison calls off with less notice owes its minutes."
)

DISCIPLINARY_TYPES: Final = _codes(
    "restrictions.disciplinary_types",
    ["DISCIPLINE", "CELLULAR-CONFINEMENT", "LOSS-OF-VISITS"],
    "Types of restriction on a prisoner that are punishments: they stop at the floor.",
)
COURT_TYPES: Final = _codes(
    "restrictions.court_types",
    ["NON-CONTACT", "COURT-ORDER"],
    "Types of restriction that always refuse, whatever else is said about them. These two belong to it anyway.",
)
ALERTS_REVIEW: Final = _codes(
    "alerts.review_codes",
    ["CHILD-PROTECTION", "CONTACT-RISK", "ESCAPE-RISK", "HIGH-RISK", "PROTECTED-PERSON", "SELF-HARM"],
    "Codes of a prisoner's alerts that ask for a person's look.",
)
ALERTS_IGNORED: Final = _codes(
    "alerts.ignored_codes", [], "Codes that have nothing to do with visits. A code in neither list is reviewed."
)
NON_ASSOCIATION_MINUTES: Final = PolicyKey(
    "non_association.minutes", 30, 0, 480, "Time that must lie between the calls of two who must not meet."
)
NON_ASSOCIATION_WHOLE_DAY: Final = PolicyKey(
    "non_association.whole_day", False, summary="They have no calls on the same day at all."
)
NON_ASSOCIATION_SAME_WING: Final = PolicyKey(
    "non_association.same_wing_only", True, summary="It matters only where both are on one wing."
)

REVIEW_WORKING_DAYS: Final = PolicyKey(
    "review.working_days", 2, 0, 20, "Working days ahead at which a booking for review is first offered."
)
WORKING_DAYS: Final = PolicyKey(
    "review.working_weekdays",
    frozenset({"MON", "TUE", "WED", "THU", "FRI"}),
    summary="Days of the week on which reviews are done: MON, TUE, WED, THU, FRI, SAT, SUN.",
    each=WEEKDAYS.__contains__,
)
HOLIDAYS: Final = PolicyKey(
    "review.holidays",
    frozenset(),
    summary="Days (YYYY-MM-DD) on which no reviews are done.",
    each=is_day,
    tidy=str.strip,
)

LAPSE_HOUR: Final = PolicyKey(
    "review.lapse_hour",
    20,
    0,
    23,
    "Hour of the prison's day at which an undecided request is rejected, on the last working day to look at it.",
)
ESCALATE_HOURS: Final = PolicyKey(
    "review.escalate_hours", 24, 0, 168, "How long before that a supervisor is told of the request."
)
OFFER_MINUTES: Final = PolicyKey(
    "waitlist.offer_minutes", 120, 10, 1440, "How long a freed place is kept for somebody on the waiting list."
)

KEYS: Final[Mapping[str, PolicyKey]] = {
    key.name: key
    for key in (
        *(ACCEPTANCE_REQUIRED, NOTICE_DAYS_MIN, NOTICE_DAYS_MAX, NOTICE_MINUTES_PRIVILEGED, LATE_START_MINUTES),
        *(HOLD_MINUTES, FREE_CANCEL_HOURS, BUFFER_MINUTES, CALLERS_MAX, ADULTS_MAX, IDENTITY_REQUIRED),
        *(OFFICERS, CALLS_PER_OFFICER, ACCRUAL_DAYS_STANDARD, ACCRUAL_DAYS_PRIVILEGED, STANDARD_PER_ACCRUAL),
        *(PRIVILEGED_PER_ACCRUAL, ACCUMULATE_DAYS, CREDIT_CAP, PRIVILEGED_EXPIRY_DAYS),
        *(MEDIA_CALLS, WEEK_LIMIT_REMAND, WEEK_LIMIT_CONVICTED, WEEK_LIMIT_CIVIL, WEEK_LIMIT_UNDER_18),
        *(RECEPTION_DAYS, RECEPTION_LIMIT, FLOOR_STANDARD, FLOOR_ENHANCED, FLOOR_UNDER_18, FLOOR_REMAND_WEEK),
        *(RECEPTION_HOURS, DISCIPLINARY_TYPES, COURT_TYPES, ALERTS_REVIEW, ALERTS_IGNORED),
        *(NON_ASSOCIATION_MINUTES, NON_ASSOCIATION_WHOLE_DAY, NON_ASSOCIATION_SAME_WING),
        *(REVIEW_WORKING_DAYS, WORKING_DAYS, HOLIDAYS, LAPSE_HOUR, ESCALATE_HOURS, OFFER_MINUTES),
        *(FLOOR_MINUTES, STANDARD_MORE_ENHANCED, STANDARD_LESS_BASIC, PRIVILEGED_PER_ACCRUAL_STANDARD),
        OWED_NOTICE_HOURS,
        *(RECORDING_REQUIRED, WATCH_BANNER, END_ON_WITHDRAWAL, LOBBY_MINUTES),
        *(REMINDER_FIRST_HOURS, REMINDER_SECOND_MINUTES),
    )
}


@dataclass(eq=False)
class PolicyValue:
    """One version of one policy. `prison_id` None: for every prison without its own. Never edited, only superseded.

    `value` is as PolicyKey.stored gives it. `authority` is whose word it is: a law, an order, a governor's decision.
    `valid_to` is exclusive; None is open.
    """

    id: str
    prison_id: str | None
    key: str
    version: int
    value: bool | int | list[str]
    valid_from: datetime
    created_at: datetime
    created_by: str
    reason: str
    valid_to: datetime | None = None
    authority: str | None = None

    def valid_at(self, at: datetime) -> bool:
        return self.valid_from <= at and (self.valid_to is None or at < self.valid_to)


@dataclass(frozen=True, slots=True)
class Policies:
    """The values in force for one prison at one moment. A key without a row has its default, version "default".

    A value that its key does not allow (a row from before the key changed) raises Invalid where it is asked for, and
    nowhere else.
    """

    values: Mapping[str, tuple[Any, str]] = field(default_factory=dict)
    _checked: dict[str, PolicyData] = field(default_factory=dict, init=False, repr=False, compare=False)
    _used: dict[tuple[str, ...], str] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def resolve(cls, rows: list[PolicyValue], *, prison_id: str, at: datetime) -> Policies:
        """Pick from `rows` what holds at `at`: the prison's own before the general one, the highest version first."""
        chosen: dict[str, tuple[bool, int, PolicyValue]] = {}
        for row in rows:
            if row.prison_id not in (None, prison_id) or not row.valid_at(at):
                continue
            rank = (row.prison_id is not None, row.version)
            if row.key not in chosen or rank > chosen[row.key][:2]:
                chosen[row.key] = (*rank, row)
        return cls(
            {
                key: (row.value, f"{'prison' if own else 'service'}.{version}")
                for key, (own, version, row) in chosen.items()
            }
        )

    def number(self, key: PolicyKey) -> int:
        """The value of a numeric key."""
        value = self.value(key)
        if isinstance(value, frozenset):
            raise TypeError(f"{key.name} is a set")
        return int(value)

    def flag(self, key: PolicyKey) -> bool:
        """The value of a yes/no key."""
        return bool(self.value(key))

    def texts(self, key: PolicyKey) -> frozenset[str]:
        """The value of a key that is a set of texts."""
        value = self.value(key)
        if not isinstance(value, frozenset):
            raise TypeError(f"{key.name} is no set")
        return value

    def value(self, key: PolicyKey) -> PolicyData:
        """The value of any key."""
        known = self._checked.get(key.name)
        if known is None:
            known = self._checked[key.name] = key.check(self.values.get(key.name, (key.default, ""))[0])
        return known

    def version(self, key: PolicyKey) -> str:
        """Which version of it holds: "prison.3", "service.1", "default"."""
        return self.values.get(key.name, (None, "default"))[1]

    def used(self, *keys: PolicyKey) -> str:
        """`key@version` for each, for a decision's trace."""
        names = tuple(key.name for key in keys)
        if names not in self._used:
            self._used[names] = " ".join(f"{key.name}@{self.version(key)}" for key in keys)
        return self._used[names]
