"""Rule 2: who sits in front of the camera."""

from __future__ import annotations

from collections.abc import Iterator

from visitserver.domain.decisions import Words
from visitserver.domain.people import ADULT_AGE
from visitserver.domain.policies import ADULTS_MAX, CALLERS_MAX
from visitserver.domain.rules.engine import Finding, refuse, rule
from visitserver.domain.rules.scope import DAY, OfDay


@rule("callers", "2", CALLERS_MAX, ADULTS_MAX, of=DAY)
def callers(facts: OfDay) -> Iterator[Finding]:
    """The lead is an adult on the day (so a minor always has an adult); no more callers and adults than fit."""
    day = facts.slot.day
    if not facts.lead.contact.is_adult_on(day):
        turns = facts.lead.contact.born_on
        yield refuse(
            f"The lead caller is under {ADULT_AGE} on the day.",
            Words("The person who books must be {age} or older on the day of the visit.", {"age": ADULT_AGE}),
            Words("An adult on the list can book and bring the child along."),
            contact=facts.lead.contact.id,
            day=day,
            born_in=turns.year,
        )
    most = facts.policies.number(CALLERS_MAX)
    if len(facts.callers) > most:
        yield refuse(
            f"{len(facts.callers)} callers.",
            Words("At most {count} people can be on the call.", {"count": most}),
            Words("Leave somebody out of this visit."),
            callers=len(facts.callers),
        )
    adults = sum(caller.contact.is_adult_on(day) for caller in facts.callers)
    most_adults = facts.policies.number(ADULTS_MAX)
    if adults > most_adults:
        yield refuse(
            f"{adults} adults.",
            Words("At most {count} adults can be on the call.", {"count": most_adults}),
            Words("Leave an adult out of this visit."),
            adults=adults,
        )
