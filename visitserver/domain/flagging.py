"""From what the rules say about a booking now to the flags on it: the one table, and what is to be raised or closed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from visitserver.domain.decisions import Outcome, RuleResult
from visitserver.domain.flags import Flag, FlagType, Reason

Inputs = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a rule's objection means as a flag.

    `types` are all it may become and `type` says which; None: no flag. `about` names the inputs that say what it is
    about. `binding`: a refusal that no person at the desk may decide away.
    """

    types: frozenset[FlagType]
    type: Callable[[Inputs], FlagType | None]
    about: tuple[str, ...] = ()
    binding: bool = False


def _always(type_: FlagType, *about: str, binding: bool = False) -> Meaning:
    return Meaning(frozenset({type_}), lambda _: type_, about, binding)


def _by(types: Iterable[FlagType], choose: Callable[[Inputs], FlagType | None], *about: str) -> Meaning:
    return Meaning(frozenset(types), choose, about)


def _restriction(inputs: Inputs) -> FlagType:
    return FlagType.RESTRICTION_CHANGED if inputs.get("scope") == "prisoner" else FlagType.CONTACT_RESTRICTION


def _lead(inputs: Inputs) -> FlagType | None:
    return FlagType.CONTACT_UNAPPROVED if "contact" in inputs else None


def _where(inputs: Inputs) -> FlagType:
    gone = "released_at" in inputs or inputs.get("prison") is None
    return FlagType.PRISONER_RELEASED if gone else FlagType.PRISONER_TRANSFERRED


def _fit(inputs: Inputs) -> FlagType | None:
    """A session that is no longer for this prisoner: by where they are held, or by what has been decided of them."""
    if "wing" in inputs or "location" in inputs:
        return FlagType.PRISONER_TRANSFERRED
    if {"category", "level", "status"}.intersection(inputs):
        return FlagType.LEGAL_STATUS_CHANGED
    return FlagType.SESSION_BLOCKED if "template" in inputs else None


FLAG_OF_RULE: Final[Mapping[str, Meaning]] = {
    "relationship": _always(FlagType.CONTACT_UNAPPROVED, "relationship", binding=True),
    # How many sit there does not change by itself; that the lead is an adult was perhaps a slip.
    "callers": _by({FlagType.CONTACT_UNAPPROVED}, _lead, "contact"),
    "restrictions": Meaning(
        frozenset({FlagType.RESTRICTION_CHANGED, FlagType.CONTACT_RESTRICTION}),
        _restriction,
        ("restriction",),
        binding=True,
    ),
    "prisoner_here": _by({FlagType.PRISONER_RELEASED, FlagType.PRISONER_TRANSFERRED}, _where, "prisoner"),
    "alerts": _by({FlagType.ALERT_CREATED, FlagType.ALERT_UPDATED}, lambda _: FlagType.ALERT_CREATED, "alert"),
    "appointments": _always(FlagType.COURT_APPOINTMENT, "appointment"),
    # Which block and which station: services/booking_check.py looks at the booking's own.
    "blocks": _by({FlagType.DATE_BLOCKED, FlagType.SESSION_BLOCKED, FlagType.STATION_OUT}, lambda _: None),
    "station": _by({FlagType.STATION_OUT}, lambda _: None),
    "officer_seat": _always(FlagType.OFFICER_CAPACITY_LOST),
    "non_association": _always(FlagType.NON_ASSOCIATION, "non_association", "booking"),
    "discipline": _always(FlagType.RESTRICTION_CHANGED, "restriction"),
    "identity": _always(FlagType.ID_EXPIRED, "contact"),
    "slot_fit": _by({FlagType.PRISONER_TRANSFERRED, FlagType.SESSION_BLOCKED}, _fit, "template", "wing"),
    "slot_groups": _by({FlagType.PRISONER_TRANSFERRED, FlagType.LEGAL_STATUS_CHANGED}, _fit, "template"),
}
"""Which objection of which rule flags a booking, and as what."""

NO_FLAG: Final[Mapping[str, str]] = {
    "week_limit": "counted when it was booked",
    "reception": "counted when it was booked",
    "begun": "about the moment of booking",
    "window": "about the moment of booking",
    "time_to_review": "about the moment of booking",
    "allowance": "paid already",
    "one_at_a_time": "the database sees to it",
    "free_place": "a booking keeps the place it has",
    "media_capacity": "a booking keeps the place it has",
}
"""The rules whose objection flags nothing, each with the reason. A test finds the rule that is in neither table."""


@dataclass(frozen=True, slots=True)
class Found:
    """What stands against a booking now. `unknown` are the types of which nothing can be said: a source failed."""

    reasons: tuple[Reason, ...]
    unknown: frozenset[FlagType] = field(default_factory=frozenset)


def reasons_of(
    trace: Sequence[RuleResult], accepted: Sequence[Mapping[str, Any]], *, watched: bool
) -> tuple[list[Reason], set[FlagType]]:
    """The reasons in the rules' answer, and the types of which they cannot say anything.

    `accepted` is the trace (as data) with which the booking was last decided: an objection that stood there already
    was seen, and decided, by whoever booked or approved. `watched`: an officer's seat is taken for the call.
    """
    reasons: dict[tuple[FlagType, str], Reason] = {}
    unknown: set[FlagType] = set()
    for result in trace:
        meaning = FLAG_OF_RULE.get(result.key)
        live = result.live_supervision and not watched
        if meaning is None or (result.outcome is Outcome.ALLOW and not live):
            continue
        if "source" in result.inputs:
            unknown |= meaning.types
            continue
        type_ = meaning.type(result.inputs)
        if type_ is None or (not live and _was_seen(result, meaning, accepted)):
            continue
        reason = _reason(type_, result, meaning, live=live)
        # Of two objections about the same thing the stricter one is the reason.
        if reason.identity not in reasons or reason.attributes["binding"]:
            reasons[reason.identity] = reason
    return list(reasons.values()), unknown


def _reason(type_: FlagType, result: RuleResult, meaning: Meaning, *, live: bool) -> Reason:
    data = result.as_data()
    attributes = {
        "rule": result.key,
        "outcome": "live" if live else result.outcome.value,
        "binding": meaning.binding and result.outcome is Outcome.REFUSE,
        **({"review": True} if live and result.outcome is Outcome.REVIEW else {}),
        "why": result.staff_text,
        **data["inputs"],
    }
    return Reason(type_, _about(data["inputs"], meaning) or result.key, attributes)


def _about(inputs: Inputs, meaning: Meaning) -> str:
    return "|".join(str(inputs[name]) for name in meaning.about if inputs.get(name) is not None)[:100]


def _was_seen(result: RuleResult, meaning: Meaning, accepted: Sequence[Mapping[str, Any]]) -> bool:
    """The same objection, word for word (a reason for which staff set it aside comes after it)."""
    if result.outcome is Outcome.REFUSE and meaning.binding:
        return False
    about = _about(result.as_data()["inputs"], meaning)
    return any(
        row["key"] == result.key
        and _about(row["inputs"], meaning) == about
        and str(row["staff_text"]).startswith(result.staff_text)
        for row in accepted
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """What has to be done so that the flags say what stands against the booking."""

    new: tuple[Reason, ...]
    changed: tuple[tuple[Flag, Reason], ...]
    gone: tuple[Flag, ...]
    lapsed: tuple[Flag, ...]

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.gone or self.lapsed)


def compare(flags: Sequence[Flag], found: Found, starts_at: datetime) -> Difference:
    """What is new, what has changed, what no longer holds; `lapsed` are kept ones whose reason is gone.

    `starts_at` is the booking's: a flag knows it too, and follows it. A reason for which a person has kept the booking
    is not raised again while it stays the same.
    """
    standing = {reason.identity: reason for reason in found.reasons}
    open_ = {flag.identity: flag for flag in flags if flag.open}
    kept = {flag.identity: flag for flag in flags if flag.stands_kept}
    return Difference(
        new=tuple(
            reason
            for identity, reason in standing.items()
            if identity not in open_ and not (identity in kept and _same(kept[identity], reason))
        ),
        changed=tuple(
            (flag, standing[identity])
            for identity, flag in open_.items()
            if identity in standing and not (flag.starts_at == starts_at and _same(flag, standing[identity]))
        ),
        gone=tuple(
            flag for identity, flag in open_.items() if identity not in standing and flag.type not in found.unknown
        ),
        lapsed=tuple(
            flag
            for identity, flag in kept.items()
            if flag.type not in found.unknown and (identity not in standing or not _same(flag, standing[identity]))
        ),
    )


_COUNTS: Final = frozenset({"places", "stations", "seats", "media", "day"})
"""Attributes that move without the reason being another one."""


def _same(flag: Flag, reason: Reason) -> bool:
    def core(attributes: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in attributes.items() if name not in _COUNTS}

    return core(flag.attributes) == core(reason.attributes)
