"""Why: a decision and its trace, one result per rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """What a rule, or all of them together, says."""

    ALLOW = "allow"
    REVIEW = "review"
    REFUSE = "refuse"


_SEVERITY = {Outcome.ALLOW: 0, Outcome.REVIEW: 1, Outcome.REFUSE: 2}


def _same(text: str) -> str:
    return text


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value.day} {value:%B %Y} at {value:%H:%M}"
    if isinstance(value, date):
        return f"{value.day} {value:%B %Y}"
    return str(value)


@dataclass(frozen=True, slots=True)
class Words:
    """A sentence with its values apart, so that it can be translated: "The next credit comes on {day}."

    `template` is the gettext message id. Dates are days or moments in the zone of whoever reads them.
    """

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def render(self, translate: Callable[[str], str] = _same, show: Callable[[Any], str] = _plain) -> str:
        """The sentence, translated by `translate` and with its values written by `show`."""
        return translate(self.template).format(**{key: show(value) for key, value in self.values.items()})

    def __str__(self) -> str:
        return self.render()


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What one rule said, and why.

    `inputs` are references (ids, policy keys, counts), never names. `policy_version` lists each policy value used as
    `key@version`. `safe` is fit for a family: it reveals no victim, no other prisoner, no intelligence. `set_aside` is
    the reason for which staff set the rule's objection aside.
    """

    key: str
    outcome: Outcome
    staff_text: str
    safe: Words | None = None
    change: Words | None = None
    policy_version: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    live_supervision: bool = False
    set_aside: str | None = None

    @property
    def safe_text(self) -> str | None:
        return None if self.safe is None else str(self.safe)

    @property
    def what_would_change(self) -> str | None:
        return None if self.change is None else str(self.change)

    def as_data(self) -> dict[str, Any]:
        """The trace's row as JSON data."""
        return {
            "key": self.key,
            "outcome": self.outcome.value,
            "policy_version": self.policy_version,
            "staff_text": self.staff_text,
            "safe_text": self.safe_text,
            "what_would_change": self.what_would_change,
            "inputs": {key: _json_value(value) for key, value in self.inputs.items()},
            "live_supervision": self.live_supervision,
            "set_aside": self.set_aside,
        }


@dataclass(frozen=True, slots=True)
class Decision:
    """The rules' answer. The strictest result wins: one refusal refuses, otherwise one review asks a person."""

    trace: tuple[RuleResult, ...]

    @property
    def outcome(self) -> Outcome:
        return max((result.outcome for result in self.trace), key=_SEVERITY.__getitem__, default=Outcome.REVIEW)

    @property
    def allowed(self) -> bool:
        return self.outcome is Outcome.ALLOW

    @property
    def refused(self) -> bool:
        """Whether one of the rules refuses."""
        return any(result.outcome is Outcome.REFUSE for result in self.trace)

    @property
    def live_supervision(self) -> bool:
        """Whether an officer must watch the call live because of a rule."""
        return any(result.live_supervision for result in self.trace)

    @property
    def deciding(self) -> tuple[RuleResult, ...]:
        """The results that made the outcome what it is."""
        return tuple(result for result in self.trace if result.outcome is self.outcome)

    @property
    def safe_words(self) -> list[str]:
        """The sentences for a family: those of the deciding rules, each once."""
        return self.say()

    @property
    def what_would_change(self) -> list[str]:
        """What would change the answer, each sentence once."""
        return self.say_change()

    def say(self, translate: Callable[[str], str] = _same, show: Callable[[Any], str] = _plain) -> list[str]:
        """`safe_words` in another language."""
        return _each_once([r.safe.render(translate, show) for r in self._to_tell() if r.safe is not None])

    def say_change(self, translate: Callable[[str], str] = _same, show: Callable[[Any], str] = _plain) -> list[str]:
        """`what_would_change` in another language."""
        return _each_once([r.change.render(translate, show) for r in self._to_tell() if r.change is not None])

    def result(self, key: str) -> RuleResult:
        """The result of the rule `key`; KeyError when it was not asked."""
        for result in self.trace:
            if result.key == key:
                return result
        raise KeyError(key)

    def as_data(self) -> dict[str, Any]:
        """The whole trace as JSON data, for the decisions table and for staff."""
        return {"outcome": self.outcome.value, "trace": [result.as_data() for result in self.trace]}

    def _to_tell(self) -> Sequence[RuleResult]:
        return () if self.allowed else self.deciding


@dataclass(eq=False)
class DecisionRecord:
    """A decision as it was kept: `trace` is `Decision.as_data()["trace"]`, what it was about by reference.

    `deciding`: the keys of the rules that made the outcome what it is, where it is not ALLOW, so that refusals can be
    counted without reading traces.
    """

    id: str
    at: datetime
    purpose: str
    actor: str
    outcome: Outcome
    trace: list[dict[str, Any]]
    prison_id: str | None = None
    prisoner_id: str | None = None
    booking_id: str | None = None
    slot_key: str | None = None
    deciding: tuple[str, ...] = ()


def _each_once(sentences: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(sentences))


def _json_value(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_json_value(item) for item in value]
    return value
