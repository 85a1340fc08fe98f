"""Rule 5: a source that fails never means "allowed"."""

from __future__ import annotations

from tests.unit.domain.rights.world import (
    ALLOW,
    NO_CREDIT,
    NO_FLOOR,
    PUNISHED,
    REVIEW,
    STAFF_LOOKS,
    Row,
    both,
    day,
    facts_with,
    failing,
    identity,
    legal,
    on,
    policy,
    session,
)
from visitserver.domain.scheduling import SupervisionLevel

CASES = [
    # 5 · a source that fails never means "allowed"
    Row("restrictions", "cannot be read", facts_with(restrictions=failing("restrictions")), REVIEW, STAFF_LOOKS),
    Row("identity", "cannot be read", identity(failing("identity")), REVIEW, STAFF_LOOKS),
    Row("allowance", "the ledger cannot be read", facts_with(ledger=failing("ledger")), REVIEW, STAFF_LOOKS),
    Row("one_at_a_time", "occupancy cannot be read", facts_with(room=failing("occupancy")), REVIEW, STAFF_LOOKS),
    Row("free_place", "occupancy cannot be read", facts_with(room=failing("occupancy")), REVIEW, STAFF_LOOKS),
    Row("alerts", "cannot be read", facts_with(alerts=failing("alerts")), REVIEW, STAFF_LOOKS),
    Row(
        "non_association", "cannot be read", facts_with(non_associated=failing("non_associations")), REVIEW, STAFF_LOOKS
    ),
    Row("week_limit", "the other visits cannot be read", facts_with(visits=failing("visits")), REVIEW, STAFF_LOOKS),
    Row("reception", "the other visits cannot be read", facts_with(visits=failing("visits")), REVIEW, STAFF_LOOKS),
    Row(
        "discipline",
        "a punishment, and the other visits cannot be read",
        both(PUNISHED, facts_with(visits=failing("visits"))),
        REVIEW,
        STAFF_LOOKS,
    ),
    Row(
        "discipline",
        "restrictions cannot be read",
        facts_with(restrictions=failing("restrictions")),
        REVIEW,
        STAFF_LOOKS,
    ),
    Row("appointments", "cannot be read", facts_with(appointments=failing("appointments")), REVIEW, STAFF_LOOKS),
    Row("blocks", "cannot be read", facts_with(blocks=failing("blocks")), REVIEW, STAFF_LOOKS),
    Row("station", "occupancy cannot be read", facts_with(room=failing("occupancy")), REVIEW, STAFF_LOOKS),
    Row("media_capacity", "occupancy cannot be read", facts_with(room=failing("occupancy")), REVIEW, STAFF_LOOKS),
    Row(
        "officer_seat",
        "restrictions cannot be read: whether an officer is needed is not known",
        facts_with(restrictions=failing("restrictions")),
        REVIEW,
        STAFF_LOOKS,
    ),
    Row(
        "officer_seat",
        "a watched session, and occupancy cannot be read",
        both(session(supervision=SupervisionLevel.LIVE), facts_with(room=failing("occupancy"))),
        REVIEW,
        STAFF_LOOKS,
    ),
    Row(
        "allowance",
        "no credit, and the minutes owed cannot be read",
        both(NO_FLOOR, NO_CREDIT, facts_with(owed_minutes=failing("owed_minutes"))),
        REVIEW,
        STAFF_LOOKS,
    ),
    Row(
        "allowance",
        "a credit, and the minutes owed cannot be read",
        facts_with(owed_minutes=failing("owed_minutes")),
        ALLOW,
    ),
    Row(
        "window",
        "tomorrow, and the ledger cannot be read: it may be a compassionate visit",
        both(on(day("03-03")), facts_with(ledger=failing("ledger"))),
        REVIEW,
        STAFF_LOOKS,
    ),
    Row("window", "in time, and the ledger cannot be read", facts_with(ledger=failing("ledger")), ALLOW),
    Row("callers", "a policy has a value that cannot be", policy(callers__max=99), REVIEW, STAFF_LOOKS),
    Row(
        "restrictions",
        "a lawyer, and restrictions cannot be read",
        legal(facts_with(restrictions=failing("restrictions"))),
        REVIEW,
        STAFF_LOOKS,
    ),
    Row(
        "allowance",
        "a lawyer, and the ledger cannot be read: it is not asked",
        legal(facts_with(ledger=failing("ledger"))),
        ALLOW,
    ),
    Row(
        "week_limit",
        "a lawyer, and the other visits cannot be read: they are not asked",
        legal(facts_with(visits=failing("visits"))),
        ALLOW,
    ),
    Row(
        "free_place",
        "occupancy cannot be read, and staff overbook: nobody knows what they set aside",
        both(facts_with(room=failing("occupancy")), facts_with(overrides={"free_place": "x"})),
        REVIEW,
        STAFF_LOOKS,
    ),
]
