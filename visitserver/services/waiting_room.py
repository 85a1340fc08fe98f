"""What somebody in the waiting room may know: is it open, who is there, and how does their own check stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from signaling.calls import BrokenHistory, replay
from signaling.media.leg import Side
from visitserver.domain.actors import Actor
from visitserver.domain.calls import Call, StoredCallEvent
from visitserver.domain.identity import IdentityCheck
from visitserver.domain.scheduling import SupervisionLevel
from visitserver.services.call_history import event_of, removed_from
from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory
from visitserver.services.visits import Visit, VisitService


@dataclass(frozen=True, slots=True)
class Lobby:
    """A moment of the waiting room.

    `call` is None before it opens. `here` are the sides of which somebody is there, `people` those who are.
    `officer_awaited` is None where policy does not say who watches; `check` is the actor's own newest check (families).
    `removed`: an officer has taken the actor out of the call.
    """

    visit: Visit
    call: Call | None
    here: frozenset[Side]
    officer_awaited: bool | None
    check: IdentityCheck | None
    removed: bool = False
    people: frozenset[str] = frozenset()

    @property
    def may_enter(self) -> bool:
        """Whether a ticket would be given, as far as the call goes: its room is open and it is not over."""
        return self.call is not None and not self.call.over and not self.removed


class WaitingRoomService:
    """Looks, and changes nothing."""

    def __init__(self, uow: UnitOfWorkFactory, visits: VisitService) -> None:
        self._uow = uow
        self._visits = visits

    async def look(self, actor: Actor, booking_id: str) -> Lobby:
        """For a caller or the prisoner of the booking; NotFound for anybody else."""
        visit = await self._visits.get(actor, booking_id)
        async with self._uow(read_only=True) as u:
            call = await u.calls.find_of_booking(booking_id)
            rows = [] if call is None else await u.calls.events(call.id)
            here, people, officers = _present(rows)
            check = await _own_check(u, actor, booking_id) if actor.is_family else None
        awaited = None
        if call is not None and call.watch_banner and call.supervision == SupervisionLevel.LIVE.value:
            awaited = not officers
        return Lobby(visit, call, here, awaited, check, removed=actor.id in removed_from(rows), people=people)


async def _own_check(u: UnitOfWork, actor: Actor, booking_id: str) -> IdentityCheck | None:
    own = [check for check in await u.identity.checks_of_booking(booking_id) if check.contact_id == actor.id]
    return own[-1] if own else None


def _present(rows: Iterable[StoredCallEvent]) -> tuple[frozenset[Side], frozenset[str], bool]:
    """The sides with somebody present, who that is, and whether an officer watches, by the events stored so far."""
    try:
        state = replay(event_of(row) for row in rows)
    except BrokenHistory:
        # Events are stored as they come in; a moment's hole in them must not keep anybody from waiting.
        return frozenset(), frozenset(), False
    present = {name: person.side for name, person in state.people.items() if person.present}
    return frozenset(present.values()), frozenset(present), bool(state.monitors)
