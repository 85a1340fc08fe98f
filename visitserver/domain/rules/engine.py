"""Asks every rule and keeps what each one said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from visitserver.domain.decisions import Decision, Outcome, RuleResult, Words
from visitserver.domain.policies import PolicyKey
from visitserver.domain.rules.facts import Facts, SourceMissing

# One pair of sentences for a refusal by the prison, a restriction, and a prisoner who has said no or nothing yet: so
# nobody learns who is protected from whom, or that it was the prisoner.
NOT_POSSIBLE = Words("Visits with this person are not possible at this time.")
ASK_PRISON = Words("If you think this is wrong, ask the prison.")
STAFF_LOOKS = Words("A member of staff looks at this first and then tells you.")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule's check found: an objection, or a remark that goes into the trace. See RuleResult for the fields."""

    outcome: Outcome
    staff: str
    safe: Words | None = None
    change: Words | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    live: bool = False


def refuse(staff: str, safe: Words, change: Words | None = None, **inputs: Any) -> Finding:
    """The visit cannot be."""
    return Finding(Outcome.REFUSE, staff, safe, change, inputs)


def review(staff: str, safe: Words = STAFF_LOOKS, **inputs: Any) -> Finding:
    """A person must decide."""
    return Finding(Outcome.REVIEW, staff, safe, None, inputs)


def remark(staff: str, *, live: bool = False, **inputs: Any) -> Finding:
    """Nothing against it, but worth keeping in the trace."""
    return Finding(Outcome.ALLOW, staff, inputs=inputs, live=live)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: a stable key, its number in the written rules, the policies it reads, and its check.

    The check yields objections and remarks; nothing at all means that the rule is met. `overridable` rules may be set
    aside by staff with a reason.
    """

    key: str
    number: str
    check: Callable[[Facts], Iterator[Finding]]
    uses: tuple[PolicyKey, ...] = ()
    overridable: bool = False


def rule(
    key: str, number: str, *uses: PolicyKey, overridable: bool = False
) -> Callable[[Callable[[Facts], Iterator[Finding]]], Rule]:
    """Makes a check into a Rule."""

    def make(check: Callable[[Facts], Iterator[Finding]]) -> Rule:
        return Rule(key, number, check, uses, overridable)

    return make


def decide(facts: Facts, rules: Sequence[Rule]) -> Decision:
    """The decision with its whole trace. Every rule is asked, also after a refusal: people want to know all of it."""
    return Decision(tuple(result for each in rules for result in _ask(each, facts)))


def _ask(each: Rule, facts: Facts) -> Iterable[RuleResult]:
    try:
        findings = list(each.check(facts))
    except SourceMissing as missing:
        findings = [
            review(f"Could not be checked: {missing.source} gave no answer.", source=missing.source, why=missing.why)
        ]
    if not findings:
        findings = [remark("Met.")]
    for finding in findings:
        outcome, staff = finding.outcome, finding.staff
        if outcome is not Outcome.ALLOW and each.overridable and each.key in facts.overrides:
            outcome, staff = Outcome.ALLOW, f"{staff} Set aside by staff: {facts.overrides[each.key]}"
        yield RuleResult(
            key=each.key,
            outcome=outcome,
            staff_text=staff,
            safe=finding.safe,
            change=finding.change,
            policy_version=facts.policies.used(*each.uses),
            inputs=finding.inputs,
            live_supervision=finding.live,
        )
