"""What booking asks of identity: does an approval hold for these contacts?"""

from __future__ import annotations

from collections.abc import Sequence

from visitserver.domain.rules.facts import IdentityStanding
from visitserver.services.ports.uow import UnitOfWork


async def identity_standings(u: UnitOfWork, contact_ids: Sequence[str]) -> dict[str, IdentityStanding]:
    """The port services/ports/identity_standing.py over enrolments. The rule compares `expires_at` with the visit."""
    approved = await u.identity.approved_enrolments(contact_ids)
    return {
        contact_id: IdentityStanding(True, enrolment.expires_at, enrolment.id)
        for contact_id, enrolment in approved.items()
    }
