"""Rule 4: restrictions in force on the day of the visit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final

from visitserver.domain.decisions import Words
from visitserver.domain.policies import COURT_TYPES, DISCIPLINARY_TYPES, code
from visitserver.domain.rights import EFFECT_OF_TYPE, Restriction, RestrictionEffect, RestrictionScope
from visitserver.domain.rules.engine import ASK_PRISON, NOT_POSSIBLE, Finding, refuse, remark, review, rule
from visitserver.domain.rules.scope import DAY, OfDay, OfParty

# What no policy can take out of the list.
ALWAYS_COURT: Final = frozenset({"NON-CONTACT", "COURT-ORDER"})


@rule("restrictions", "4", COURT_TYPES, DISCIPLINARY_TYPES, of=DAY)
def restrictions(facts: OfDay) -> Iterator[Finding]:
    """BLOCK refuses, LIVE_SUPERVISED needs an officer watching, REVIEW (and every unknown type) asks a person.

    A court's order refuses whatever effect the row names; nobody can set it aside. What the prison itself lays on a
    prisoner does not take a privileged call away: a person looks. Punishments are left to the rule `discipline`.
    """
    for each in in_force(facts):
        if is_punishment(each, facts):
            continue
        inputs: dict[str, Any] = {"restriction": each.id, "type": each.type, "scope": each.scope, "day": facts.slot.day}
        if each.review_on is not None and each.review_on < facts.today:
            inputs["review_was_due"] = each.review_on
        if is_court_order(each, facts):
            yield refuse(f"{each.type}: an order that nobody here can set aside.", NOT_POSSIBLE, ASK_PRISON, **inputs)
            continue
        match each.effective:
            case RestrictionEffect.BLOCK if facts.kind.privileged and each.scope is RestrictionScope.PRISONER:
                yield review(f"{each.type} blocks the prisoner's visits, and this call is privileged.", **inputs)
            case RestrictionEffect.BLOCK:
                yield _blocked(each, facts, inputs)
            case RestrictionEffect.LIVE_SUPERVISED if facts.kind.privileged:
                yield review(f"{each.type} asks for an officer, and this call cannot be watched.", **inputs)
            case RestrictionEffect.LIVE_SUPERVISED:
                yield remark(f"{each.type}: an officer must watch this call live.", live=True, **inputs)
            case RestrictionEffect.REVIEW:
                known = code(each.type) in EFFECT_OF_TYPE
                why = f"{each.type}: {'to be looked at' if known else 'a type nobody has described'}."
                watch = each.needs_officer and not facts.kind.privileged
                yield review(f"{why} An officer must watch." if watch else why, live=watch, **inputs)


def needs_officer(facts: OfDay) -> bool:
    """Whether a restriction in force asks for an officer watching live."""
    return any(each.needs_officer and not is_punishment(each, facts) for each in in_force(facts))


def in_force(facts: OfDay) -> Iterator[Restriction]:
    """The restrictions that hold on the day of the visit and touch somebody on it."""
    for each in facts.restrictions.need():
        if each.applies_on(facts.slot.day) and _touches(each, facts):
            yield each


def is_court_order(each: Restriction, facts: OfParty) -> bool:
    """Whether it is one that always refuses: NON-CONTACT, a court's order, and what policy adds to them."""
    return code(each.type) in ALWAYS_COURT or code(each.type) in facts.policies.texts(COURT_TYPES)


def is_punishment(each: Restriction, facts: OfParty) -> bool:
    """Whether it is a disciplinary one on the prisoner. A court's order never is."""
    return (
        each.scope is RestrictionScope.PRISONER
        and code(each.type) in facts.policies.texts(DISCIPLINARY_TYPES)
        and not is_court_order(each, facts)
    )


def _touches(each: Restriction, facts: OfDay) -> bool:
    match each.scope:
        case RestrictionScope.PRISONER:
            return each.prisoner_id == facts.prisoner.id
        case RestrictionScope.PERSON:
            return any(each.contact_id == caller.contact.id for caller in facts.callers)
        case RestrictionScope.RELATIONSHIP:
            return any(each.relationship_id == caller.relationship.id for caller in facts.callers)


def _blocked(each: Restriction, facts: OfDay, inputs: dict[str, Any]) -> Finding:
    lead = facts.lead
    own_ban = code(each.type) == "BAN" and (
        each.contact_id == lead.contact.id or each.relationship_id == lead.relationship.id
    )
    if own_ban and each.ends_on is not None:
        return refuse(
            f"Banned through {each.ends_on}.",
            Words("You cannot visit until {day}.", {"day": each.ends_on}),
            # There is no day after the last one of the calendar, by which some systems mean "for ever".
            Words("You can book visits for {day} and later.", {"day": each.ends_on + timedelta(days=1)})
            if each.ends_on < date.max
            else None,
            **inputs,
        )
    return refuse(f"{each.type} blocks this visit.", NOT_POSSIBLE, ASK_PRISON, **inputs)
