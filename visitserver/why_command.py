"""`visitserver why`: the whole trace of a decision on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from visitserver.config import Settings
from visitserver.domain.actors import Actor, ActorKind
from visitserver.domain.decisions import Decision, Outcome
from visitserver.domain.errors import Invalid
from visitserver.domain.rules.order import RULES
from visitserver.services.desk_why import Answer

EXIT_CODES: Final[Mapping[Outcome, int]] = {Outcome.ALLOW: 0, Outcome.REVIEW: 10, Outcome.REFUSE: 11}
"""What the command ends with; 1 is an error, 2 a wrong use."""

_SAYS = {Outcome.ALLOW: "allowed", Outcome.REVIEW: "a person decides", Outcome.REFUSE: "refused"}
_NUMBERS = {rule.key: rule.number for rule in RULES}


async def ask(
    settings: Settings,
    *,
    prisoner: str | None,
    contact: str | None,
    at: str | None,
    also: Sequence[str],
    session: str | None,
    booking: str | None,
) -> Answer:
    """Ask the rules, over the database of the settings. Nothing is written. Errors as WhyService.ask."""
    from visitserver.bootstrap import House
    from visitserver.keyring import KeyPaths, load_keys

    house = House(settings, load_keys(KeyPaths.of(settings)))
    actor = Actor(ActorKind.SYSTEM, "why")
    try:
        if booking is not None:
            return await house.services.why.booking(actor, booking)
        if prisoner is None or contact is None or at is None:
            raise Invalid("Name --prisoner, --contact and --at, or a --booking.", code="usage")
        return await house.services.why.ask(actor, prisoner, contact, at, also=also, session=session)
    finally:
        await house.close()


def as_text(answer: Answer, decision: Decision) -> Iterator[str]:
    """The answer in lines: what it is about, what each rule says and rests on, what the family hears."""
    zone = answer.prison.zone
    starts, ends = answer.slot.starts_at.astimezone(zone), answer.slot.ends_at.astimezone(zone)
    yield f"prisoner  {answer.prisoner.number} {answer.prisoner.name} ({answer.prisoner.id})"
    yield f"contact   {answer.lead.name} ({answer.lead.id})"
    yield f"time      {starts:%A %Y-%m-%d %H:%M}–{ends:%H:%M} {answer.prison.timezone}, {answer.slot.key}"
    yield f"session   {answer.template.name} ({answer.template.id}, version {answer.template.version})"
    yield ""
    for result in decision.trace:
        yield f"{result.outcome.upper():<7} {_NUMBERS.get(result.key, ''):<9} {result.key:<16} {result.staff_text}"
        if result.live_supervision:
            yield _more("watch", "an officer must watch live")
        if result.outcome is not Outcome.ALLOW or result.inputs:
            yield from _rests_on(result.as_data())
    yield ""
    yield f"answer    {_SAYS[decision.outcome]}"
    yield from (f"family    {sentence}" for sentence in decision.safe_words)
    yield from (f"change    {sentence}" for sentence in decision.what_would_change)


def as_json(answer: Answer, decision: Decision) -> str:
    """The same as one JSON object."""
    trace = [{"number": _NUMBERS.get(result.key), **result.as_data()} for result in decision.trace]
    data = {
        "prisoner": answer.prisoner.id,
        "contact": answer.lead.id,
        "slot": answer.slot.key,
        "template_version": answer.template.version,
        "outcome": decision.outcome.value,
        "family_hears": decision.safe_words,
        "what_would_change": decision.what_would_change,
        "trace": trace,
    }
    return json.dumps(data, ensure_ascii=False, indent=2)


def _rests_on(data: Mapping[str, Any]) -> Iterator[str]:
    if data["inputs"]:
        yield _more("inputs", " ".join(f"{key}={value}" for key, value in data["inputs"].items()))
    if data["policy_version"]:
        yield _more("policies", data["policy_version"])
    if data["outcome"] != Outcome.ALLOW.value:
        for name, key in (("family", "safe_text"), ("change", "what_would_change")):
            if data[key]:
                yield _more(name, data[key])


def _more(name: str, text: str) -> str:
    return f"{'':<18}{name:<9}{text}"
