"""The names that booking locks, and what has to be as it was once they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from visitserver.domain.errors import Conflict
from visitserver.domain.rights import NonAssociation, Relationship
from visitserver.domain.slots import parse_slot_key
from visitserver.services.ports.facts import LinkRows, PlaceRows
from visitserver.services.ports.uow import UnitOfWork


@dataclass(frozen=True, slots=True)
class Locked:
    """Relationships as they were before the locks were taken, and whose names were. `prisoners`: these among them."""

    links: tuple[Relationship, ...]
    prison_id: str | None
    prisoners: frozenset[str]
    starts_at: datetime

    def only(self, contact_ids: Sequence[str]) -> Locked:
        """Without those who have declined meanwhile."""
        return replace(self, links=tuple(each for each in self.links if each.contact_id in contact_ids))

    def still_all(self, rows: PlaceRows) -> None:
        """Conflict (`changed_meanwhile`) when what was read under the locks concerns others than those locked.

        Names are taken in one call and one order, so one that is missing cannot be taken now.
        """
        prisoner = rows.prisoner
        same = all(
            (new.prisoner_id, new.contact_id) == (old.prisoner_id, old.contact_id)
            for new, old in zip(rows.links, self.links, strict=True)
        )
        wanted = _prisoners_to_lock(prisoner.id, rows.non_associations, self.starts_at)
        if not same or prisoner.prison_id != self.prison_id or not wanted <= self.prisoners:
            raise Conflict("Something about this prisoner has just been changed. Try again.", code="changed_meanwhile")


async def lock_names(u: UnitOfWork, rows: LinkRows, slot_key: str, *template_ids: str) -> Locked:
    """Hold the names of all whom a visit concerns, in one call, and the sessions' shared."""
    template_id, starts_at = parse_slot_key(slot_key)
    lead = rows.links[0]
    prisoners = _prisoners_to_lock(lead.prisoner_id, rows.non_associations, starts_at)
    await u.lock(
        *(f"prisoner:{each}" for each in prisoners),
        *(f"contact:{each.contact_id}" for each in rows.links),
        shared=[f"template:{each}" for each in (template_id, *template_ids)],
    )
    return Locked(rows.links, rows.prison_id, prisoners, starts_at)


def _prisoners_to_lock(
    prisoner_id: str, non_associations: Sequence[NonAssociation], starts_at: datetime
) -> frozenset[str]:
    """The prisoner, and whom they must not meet around that day: the prison's days are at most a day off UTC's."""
    first, last = starts_at.date() - timedelta(days=1), starts_at.date() + timedelta(days=1)
    apart = [
        each.other(prisoner_id)
        for each in non_associations
        if each.starts_on <= last and (each.ends_on is None or each.ends_on >= first)
    ]
    return frozenset({prisoner_id, *apart})
