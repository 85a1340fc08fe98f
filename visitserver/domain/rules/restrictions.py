"""Rule 4: restrictions in force on the day of the visit."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from visitserver.domain.decisions import Words
from visitserver.domain.rights import EFFECT_OF_TYPE, Restriction, RestrictionEffect, RestrictionScope
from visitserver.domain.rules.engine import ASK_PRISON, NOT_POSSIBLE, Finding, refuse, remark, review, rule
from visitserver.domain.rules.facts import Facts


@rule("restrictions", "4")
def restrictions(facts: Facts) -> Iterator[Finding]:
    """BLOCK refuses, LIVE_SUPERVISED needs an officer watching, REVIEW (and every unknown type) asks a person."""
    for each in facts.restrictions.need():
        if not each.applies_on(facts.slot.day) or not _touches(each, facts):
            continue
        inputs: dict[str, Any] = {"restriction": each.id, "type": each.type, "scope": each.scope, "day": facts.slot.day}
        match each.effective:
            case RestrictionEffect.BLOCK:
                yield _blocked(each, facts, inputs)
            case RestrictionEffect.LIVE_SUPERVISED if facts.kind.privileged:
                yield review(f"{each.type} asks for an officer, and this call cannot be watched.", **inputs)
            case RestrictionEffect.LIVE_SUPERVISED:
                yield remark(f"{each.type}: an officer must watch this call live.", live=True, **inputs)
            case RestrictionEffect.REVIEW:
                known = each.type.upper().replace("_", "-") in EFFECT_OF_TYPE
                yield review(f"{each.type}: {'to be looked at' if known else 'a type nobody has described'}.", **inputs)


def needs_officer(facts: Facts) -> bool:
    """Whether a restriction in force asks for an officer watching live."""
    return any(
        each.applies_on(facts.slot.day)
        and _touches(each, facts)
        and each.effective is RestrictionEffect.LIVE_SUPERVISED
        for each in facts.restrictions.need()
    )


def _touches(each: Restriction, facts: Facts) -> bool:
    match each.scope:
        case RestrictionScope.PRISONER:
            return each.prisoner_id == facts.prisoner.id
        case RestrictionScope.PERSON:
            return any(each.contact_id == caller.contact.id for caller in facts.callers)
        case RestrictionScope.RELATIONSHIP:
            return any(each.relationship_id == caller.relationship.id for caller in facts.callers)


def _blocked(each: Restriction, facts: Facts, inputs: dict[str, Any]) -> Finding:
    lead = facts.lead
    own_ban = each.type.upper() == "BAN" and (
        each.contact_id == lead.contact.id or each.relationship_id == lead.relationship.id
    )
    if own_ban and each.ends_on is not None:
        return refuse(
            f"Banned through {each.ends_on}.",
            Words("You cannot visit until {day}.", {"day": each.ends_on}),
            Words("You can book visits for {day} and later.", {"day": each.ends_on + timedelta(days=1)}),
            **inputs,
        )
    return refuse(f"{each.type} blocks this visit.", NOT_POSSIBLE, ASK_PRISON, **inputs)
