"""All rules of a visit, in the order in which they are asked and shown.

The numbers are those of the written rules. Each further rule is one function in a module of its own and one line here.
Still to come, with their places:
  6 non-association (after restrictions) · 7 remand, under-18s, reception (after prisoner_here) · 11 floors, reception
  and compassionate credits (with allowance) · 14 category, incentive level, conviction status (slot_fit) · 15 media
  capacity (free_place) · 19 appointments that outrank (after one_at_a_time) · 20 blocked dates and stations (after
  slot_fit) · 24 overbooking with permission (free_place).
Rules 13, 17, 21 to 23 are about what happens to a booking, not about whether it may be: services/booking.py.
"""

from __future__ import annotations

from typing import Final

from visitserver.domain.decisions import Decision
from visitserver.domain.rules.allowance import allowance
from visitserver.domain.rules.callers import callers
from visitserver.domain.rules.engine import Rule, decide
from visitserver.domain.rules.facts import Facts
from visitserver.domain.rules.identity import identity
from visitserver.domain.rules.prisoner import prisoner_here
from visitserver.domain.rules.relationship import relationship
from visitserver.domain.rules.restrictions import restrictions
from visitserver.domain.rules.room import free_place, one_at_a_time
from visitserver.domain.rules.slot_fit import slot_fit
from visitserver.domain.rules.window import begun, window

RULES: Final[tuple[Rule, ...]] = (
    relationship,
    callers,
    prisoner_here,
    restrictions,
    identity,
    slot_fit,
    begun,
    window,
    allowance,
    one_at_a_time,
    free_place,
)


def decide_visit(facts: Facts) -> Decision:
    """Ask every rule about this visit."""
    return decide(facts, RULES)
