"""Rule 20: blocked dates and stations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from visitserver.domain.blocks import Block, closing_block
from visitserver.domain.decisions import Words
from visitserver.domain.rules.engine import NOT_AT_THIS_TIME, OTHER_TIME, Finding, refuse, remark, rule
from visitserver.domain.rules.facts import Facts
from visitserver.domain.rules.scope import VISIT

PRISON_SAYS = Words("This visit is not possible at this time: {words}")


@rule("blocks", "20", of=VISIT)
def blocks(facts: Facts) -> Iterator[Finding]:
    """No call, of whatever kind, while the prison has blocked the time or every station of the session."""
    slot = facts.slot
    standing = [each for each in facts.blocks.need() if each.touches(slot.template_id, slot.starts_at, slot.ends_at)]
    if not standing:
        return
    closing = closing_block(standing, slot.template_id, slot.starts_at, slot.ends_at)
    if closing is not None:
        yield refuse(f"Blocked: {closing.reason}", _words(closing), OTHER_TIME, block=closing.id)
        return
    at_stations = sorted(
        (each for each in standing if each.station_ids.intersection(slot.station_ids)), key=lambda each: each.id
    )
    shut = frozenset[str]().union(*(each.station_ids for each in at_stations))
    inputs: dict[str, Any] = {
        "blocks": [each.id for each in at_stations],
        "stations": sorted(shut.intersection(slot.station_ids)),
    }
    if at_stations and shut.issuperset(slot.station_ids):
        yield refuse("Every station of the session is blocked.", _words(*at_stations), OTHER_TIME, **inputs)
    elif at_stations:
        yield remark("Some stations of the session are blocked.", **inputs)


def _words(*closing: Block) -> Words:
    """What the prison wants families to read, where all the blocks say the same; or nothing but that it cannot be."""
    said = {each.public_words for each in closing}
    words = said.pop() if len(said) == 1 else None
    return Words(PRISON_SAYS.template, {"words": words}) if words else NOT_AT_THIS_TIME
