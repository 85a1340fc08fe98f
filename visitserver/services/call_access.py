"""Whose call is it, and who acts on it: the checks and translations that the services of calls share."""

from __future__ import annotations

from signaling.calls import Actor as CallActor
from signaling.calls import ActorKind as CallActorKind
from signaling.ids import CallId, OrdinaryCallId, parse_call_id
from visitserver.domain.actors import Actor
from visitserver.domain.calls import Call
from visitserver.domain.errors import Forbidden, NotFound
from visitserver.services.access_checks import own_prison
from visitserver.services.ports.uow import UnitOfWork


def call_id_of(text: str) -> CallId:
    """The identifier; NotFound for anything that is none."""
    try:
        return parse_call_id(text)
    except ValueError:
        raise NotFound("There is no such call.") from None


def ordinary_call_id(text: str) -> OrdinaryCallId:
    """The identifier of a call that may be watched. Forbidden (code `privileged_call`) for a privileged one."""
    call_id = call_id_of(text)
    if not isinstance(call_id, OrdinaryCallId):
        raise Forbidden("A privileged call is never watched or recorded.", code="privileged_call")
    return call_id


async def own_call(u: UnitOfWork, actor: Actor, call_id: str) -> Call:
    """The call, for staff of its prison. NotFound for everybody else."""
    call = await u.calls.get(call_id)
    own_prison(actor, call.prison_id)
    return call


def call_actor(actor: Actor) -> CallActor:
    """A member of staff as the media nodes name him. Forbidden for anybody else: only staff intervene."""
    if not actor.is_staff:
        raise Forbidden("Only staff intervene in a call.")
    return CallActor(CallActorKind.STAFF, actor.id)
