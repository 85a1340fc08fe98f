"""Keeping decisions."""

from __future__ import annotations

from datetime import datetime

from signaling.ids import new_id
from visitserver.domain.actors import Actor
from visitserver.domain.decisions import Decision, DecisionRecord
from visitserver.services.ports.uow import UnitOfWork


def keep_decision(
    u: UnitOfWork,
    decision: Decision,
    *,
    at: datetime,
    purpose: str,
    actor: Actor,
    prison_id: str | None = None,
    prisoner_id: str | None = None,
    booking_id: str | None = None,
    slot_key: str | None = None,
) -> None:
    """Write the decision with its whole trace into this transaction. `purpose` is the operation: "hold", "confirm"."""
    u.rights.add(
        DecisionRecord(
            id=new_id("dec"),
            at=at,
            purpose=purpose,
            actor=actor.reference,
            outcome=decision.outcome,
            trace=decision.as_data()["trace"],
            prison_id=prison_id,
            prisoner_id=prisoner_id,
            booking_id=booking_id,
            slot_key=slot_key,
            deciding=() if decision.allowed else tuple(dict.fromkeys(result.key for result in decision.deciding)),
        )
    )
