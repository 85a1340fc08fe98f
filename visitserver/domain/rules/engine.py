"""Asks every rule and keeps what each one said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from traceback import extract_tb
from typing import Any

from visitserver.domain.decisions import Decision, Outcome, RuleResult, Words
from visitserver.domain.errors import Invalid
from visitserver.domain.policies import PolicyKey
from visitserver.domain.rules.facts import Facts, SourceMissing

# One pair of sentences for a refusal by the prison, a restriction, a prisoner who has said no or nothing yet, and a
# caller who has stepped back: so nobody learns who is protected from whom, or whose no it was. And another pair for
# everything that stands in the way at one time only: another prisoner, a court, a doctor, another visit.
NOT_POSSIBLE = Words("Visits with this person are not possible at this time.")
ASK_PRISON = Words("If you think this is wrong, ask the prison.")
NOT_AT_THIS_TIME = Words("This visit is not possible at this time.")
OTHER_TIME = Words("Choose another time.")
STAFF_LOOKS = Words("A member of staff looks at this first and then tells you.")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule's check found: an objection, or a remark that goes into the trace. See RuleResult for the fields.

    `unread`: the rule could not say, because a source failed. No reason sets that aside.
    """

    outcome: Outcome
    staff: str
    safe: Words | None = None
    change: Words | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    live: bool = False
    unread: bool = False


def refuse(staff: str, safe: Words, change: Words | None = None, **inputs: Any) -> Finding:
    """The visit cannot be."""
    return Finding(Outcome.REFUSE, staff, safe, change, inputs)


def review(staff: str, safe: Words = STAFF_LOOKS, *, live: bool = False, **inputs: Any) -> Finding:
    """A person must decide."""
    return Finding(Outcome.REVIEW, staff, safe, None, inputs, live=live)


def remark(staff: str, *, live: bool = False, **inputs: Any) -> Finding:
    """Nothing against it, but worth keeping in the trace."""
    return Finding(Outcome.ALLOW, staff, inputs=inputs, live=live)


NOBODY_LOOKS = remark("Nobody has to look at it first.")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: a stable key, its number in the written rules, the policies it reads, and its check.

    The check yields objections and remarks; nothing at all means that the rule is met. `overridable` rules may be set
    aside by staff with a reason. `on_review` rules are asked last, and only when another rule asks for a person.
    """

    key: str
    number: str
    check: Callable[[Facts], Iterator[Finding]]
    uses: tuple[PolicyKey, ...] = ()
    overridable: bool = False
    on_review: bool = False

    @property
    def summary(self) -> str:
        """What the rule says, in a sentence: its check's docstring."""
        return " ".join((self.check.__doc__ or "").split("\n\n")[0].split())


def rule(
    key: str, number: str, *uses: PolicyKey, overridable: bool = False, on_review: bool = False
) -> Callable[[Callable[[Facts], Iterator[Finding]]], Rule]:
    """Makes a check into a Rule."""

    def make(check: Callable[[Facts], Iterator[Finding]]) -> Rule:
        return Rule(key, number, check, uses, overridable, on_review)

    return make


def decide(facts: Facts, rules: Sequence[Rule]) -> Decision:
    """The decision with its whole trace. Every rule is asked, also after a refusal: people want to know all of it."""
    trace = [result for each in rules if not each.on_review for result in _ask(each, facts)]
    to_review = any(result.outcome is Outcome.REVIEW for result in trace)
    for each in rules:
        if each.on_review:
            trace += _ask(each, facts) if to_review else [_result(each, facts, NOBODY_LOOKS)]
    return Decision(tuple(trace))


def _ask(each: Rule, facts: Facts) -> Iterable[RuleResult]:
    try:
        findings = list(each.check(facts)) or [remark("Met.")]
    except SourceMissing as missing:
        findings = [_unread(missing.source, why=missing.why)]
    except Exception as error:
        # A rule that fails has not said yes. The trace, which is kept, names the failure and its line.
        if isinstance(error, Invalid) and error.code == "policy_value":
            findings = [_unread("policies", policy=error.field)]
        else:
            findings = [_unread(f"the rule {each.key}", why=type(error).__name__, at=_raised_at(error))]
    return [_result(each, facts, finding) for finding in findings]


def _unread(source: str, **inputs: Any) -> Finding:
    inputs["source"] = source
    return Finding(
        Outcome.REVIEW, f"Could not be checked: {source} gave no answer.", STAFF_LOOKS, None, inputs, unread=True
    )


def _raised_at(error: Exception) -> str:
    """Module and line in which it was raised."""
    where = extract_tb(error.__traceback__)[-1]
    return f"{PurePath(where.filename).name}:{where.lineno}"


def _result(each: Rule, facts: Facts, finding: Finding) -> RuleResult:
    outcome, staff, set_aside = finding.outcome, finding.staff, None
    objects = outcome is not Outcome.ALLOW and not finding.unread
    if objects and each.overridable and each.key in facts.overrides:
        set_aside = facts.overrides[each.key]
        outcome, staff = Outcome.ALLOW, f"{staff} Set aside by staff: {set_aside}"
    return RuleResult(
        key=each.key,
        outcome=outcome,
        staff_text=staff,
        safe=finding.safe,
        change=finding.change,
        policy_version=facts.policies.used(*each.uses),
        inputs=finding.inputs,
        live_supervision=finding.live,
        set_aside=set_aside,
    )
