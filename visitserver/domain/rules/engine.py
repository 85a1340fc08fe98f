"""Asks every rule and keeps what each one said."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from pathlib import PurePath
from traceback import extract_tb
from typing import Any, Final, TypeVar

from visitserver.domain.decisions import Decision, Outcome, RuleResult, Words
from visitserver.domain.errors import Invalid
from visitserver.domain.policies import PolicyKey
from visitserver.domain.rules.facts import Facts, SourceMissing
from visitserver.domain.rules.scope import VISIT, Scope

F = TypeVar("F")

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


MET: Final = remark("Met.")
NOBODY_LOOKS: Final = remark("Nobody has to look at it first.")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: a stable key, its number in the written rules, the policies it reads, and its check.

    The check yields objections and remarks; nothing at all means that the rule is met. It looks at nothing but the
    facts, and of them at no more than its scope `of` has. `overridable` rules may be set aside by staff with a reason.
    `on_review` rules are asked last, and only when another rule asks for a person.
    """

    key: str
    number: str
    check: Callable[[Any], Iterator[Finding]]
    uses: tuple[PolicyKey, ...] = ()
    overridable: bool = False
    on_review: bool = False
    of: Scope[Any] = VISIT

    @property
    def summary(self) -> str:
        """What the rule says, in a sentence: its check's docstring."""
        return " ".join((self.check.__doc__ or "").split("\n\n")[0].split())


def rule(
    key: str, number: str, *uses: PolicyKey, of: Scope[F], overridable: bool = False, on_review: bool = False
) -> Callable[[Callable[[F], Iterator[Finding]]], Rule]:
    """Makes a check into a Rule. The check takes the facts of the scope `of`, and so can look at nothing else."""

    def make(check: Callable[[F], Iterator[Finding]]) -> Rule:
        return Rule(key, number, check, uses, overridable, on_review, of)

    return make


def decide(facts: Facts, rules: Sequence[Rule]) -> Decision:
    """The decision with its whole trace. Every rule is asked, also after a refusal: people want to know all of it."""
    return Hearing(rules).decide(facts)


Answer = tuple[RuleResult, ...]
"""All that one rule said."""

_of_party: Final = attrgetter(*(each.name for each in fields(Facts) if each.name not in ("slot", "room")))


@dataclass(slots=True)
class _Chapter:
    """The rules of one scope, and what they have said: by the scope's key, in their order."""

    scope: Scope[Any]
    rules: list[Rule] = field(default_factory=list)
    said: dict[Hashable, tuple[list[Answer], bool]] = field(default_factory=dict)


class Hearing:
    """Asks the rules about any number of visits that one party could have, each as seldom as its scope allows.

    The decisions are those that asking every rule about every visit would give; parts of their traces are the same
    objects. When a visit of another party, or of the same at another moment, is asked about, everything is asked anew.
    What the facts consist of must not change meanwhile: a hearing lives no longer than the transaction that read them.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._chapters: list[_Chapter] = []
        self._order: list[tuple[int, int]] = []  # of the trace: the chapter, and the place of the rule in it
        self._late = [_Chapter(each.of, [each]) for each in rules if each.on_review]
        self._party: tuple[Any, ...] = ()
        self._met: dict[str, Answer] = {}
        self._used: dict[str, str] = {}
        for each in rules:
            if not each.on_review:
                number = self._chapter_of(each.of)
                self._order.append((number, len(self._chapters[number].rules)))
                self._chapters[number].rules.append(each)

    def _chapter_of(self, scope: Scope[Any]) -> int:
        for number, chapter in enumerate(self._chapters):
            if chapter.scope is scope:
                return number
        self._chapters.append(_Chapter(scope))
        return len(self._chapters) - 1

    def decide(self, facts: Facts) -> Decision:
        """The decision about one visit, with its whole trace."""
        party = _of_party(facts)
        if party != self._party:
            self._begin(party)
        said, to_review = [], False
        for chapter in self._chapters:
            answers, reviews = self._hear(chapter, facts)
            said.append(answers)
            to_review = to_review or reviews
        trace: list[RuleResult] = []
        for number, place in self._order:
            trace += said[number][place]
        for chapter in self._late:
            if to_review:
                trace += self._hear(chapter, facts)[0][0]
            else:
                trace.append(self._result(chapter.rules[0], facts, NOBODY_LOOKS))
        return Decision(tuple(trace))

    def _begin(self, party: tuple[Any, ...]) -> None:
        self._party = party
        self._met.clear()
        self._used.clear()
        for chapter in (*self._chapters, *self._late):
            chapter.said.clear()

    def _hear(self, chapter: _Chapter, facts: Facts) -> tuple[list[Answer], bool]:
        """What the chapter's rules say, and whether one of them asks for a person."""
        if chapter.scope.key is None:
            return self._ask_all(chapter.rules, facts)
        key = chapter.scope.key(facts)
        known = chapter.said.get(key)
        if known is None:
            known = chapter.said[key] = self._ask_all(chapter.rules, facts)
        return known

    def _ask_all(self, rules: Sequence[Rule], facts: Facts) -> tuple[list[Answer], bool]:
        answers, to_review = [], False
        for each in rules:
            answer = self._ask(each, facts)
            answers.append(answer)
            for result in answer:
                if result.outcome is Outcome.REVIEW:
                    to_review = True
        return answers, to_review

    def _ask(self, each: Rule, facts: Facts) -> Answer:
        try:
            findings = list(each.check(facts))
        except SourceMissing as missing:
            findings = [_unread(missing.source, why=missing.why)]
        except Exception as error:
            # A rule that fails has not said yes. The trace, which is kept, names the failure and its line.
            if isinstance(error, Invalid) and error.code == "policy_value":
                findings = [_unread("policies", policy=error.field)]
            else:
                findings = [_unread(f"the rule {each.key}", why=type(error).__name__, at=_raised_at(error))]
        if not findings:
            met = self._met.get(each.key)
            if met is None:
                met = self._met[each.key] = (self._result(each, facts, MET),)
            return met
        return tuple([self._result(each, facts, finding) for finding in findings])

    def _result(self, each: Rule, facts: Facts, finding: Finding) -> RuleResult:
        outcome, staff, set_aside = finding.outcome, finding.staff, None
        objects = outcome is not Outcome.ALLOW and not finding.unread
        if objects and each.overridable and each.key in facts.overrides:
            set_aside = facts.overrides[each.key]
            outcome, staff = Outcome.ALLOW, f"{staff} Set aside by staff: {set_aside}"
        used = self._used.get(each.key)
        if used is None:
            used = self._used[each.key] = facts.policies.used(*each.uses)
        return RuleResult(
            key=each.key,
            outcome=outcome,
            staff_text=staff,
            safe=finding.safe,
            change=finding.change,
            policy_version=used,
            inputs=finding.inputs,
            live_supervision=finding.live,
            set_aside=set_aside,
        )


def _unread(source: str, **inputs: Any) -> Finding:
    inputs["source"] = source
    return Finding(
        Outcome.REVIEW, f"Could not be checked: {source} gave no answer.", STAFF_LOOKS, None, inputs, unread=True
    )


def _raised_at(error: Exception) -> str:
    """Module and line in which it was raised."""
    where = extract_tb(error.__traceback__)[-1]
    return f"{PurePath(where.filename).name}:{where.lineno}"
