"""All rules of a visit, in the order in which they are asked and shown.

The numbers are those of the written rules (docs/contact-rights.md). A further rule is one function and one line here.
Rules 5 and 12 are no functions: a source that fails is the engine's matter, and what privileged calls are free of
stands in each rule that spares them. Rules 8 and 9 are the ledger's own (domain/ledger.py); 13, 17, 22 and 23 are about
what happens to a booking, not about whether it may be: services/booking.py.
"""

from __future__ import annotations

from typing import Final

from visitserver.domain.decisions import Decision
from visitserver.domain.rules.alerts import alerts
from visitserver.domain.rules.allowance import allowance
from visitserver.domain.rules.appointments import appointments
from visitserver.domain.rules.blocks import blocks
from visitserver.domain.rules.callers import callers
from visitserver.domain.rules.discipline import discipline
from visitserver.domain.rules.engine import Rule, decide
from visitserver.domain.rules.facts import Facts
from visitserver.domain.rules.identity import identity
from visitserver.domain.rules.non_association import non_association
from visitserver.domain.rules.prisoner import prisoner_here
from visitserver.domain.rules.reception import reception
from visitserver.domain.rules.relationship import relationship
from visitserver.domain.rules.resources import media_capacity, officer_seat, station
from visitserver.domain.rules.restrictions import restrictions
from visitserver.domain.rules.room import free_place, one_at_a_time
from visitserver.domain.rules.slot_fit import slot_fit
from visitserver.domain.rules.slot_groups import slot_groups
from visitserver.domain.rules.time_to_review import time_to_review
from visitserver.domain.rules.week_limit import week_limit
from visitserver.domain.rules.window import begun, window

RULES: Final[tuple[Rule, ...]] = (
    relationship,
    callers,
    prisoner_here,
    restrictions,
    discipline,
    alerts,
    non_association,
    week_limit,
    reception,
    identity,
    slot_fit,
    slot_groups,
    blocks,
    begun,
    window,
    allowance,
    one_at_a_time,
    appointments,
    free_place,
    station,
    officer_seat,
    media_capacity,
    time_to_review,
)


def decide_visit(facts: Facts) -> Decision:
    """Ask every rule about this visit."""
    return decide(facts, RULES)
