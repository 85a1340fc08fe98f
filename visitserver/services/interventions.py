"""What officers do to a live call, or to one person in it.

The audit row stands before the command goes out: no audit, no intervention.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from signaling.calls import Actor as CallActor
from signaling.control import RoomControl
from signaling.ids import CallId
from signaling.media.leg import Kind
from signaling.snapshot import RoomSnapshot
from visitserver.domain.actors import Actor
from visitserver.domain.errors import Conflict
from visitserver.services.access_checks import need_reason
from visitserver.services.call_access import call_actor, call_id_of, own_call
from visitserver.services.ports.uow import UnitOfWorkFactory
from visitserver.services.signaling_errors import signaling_errors

MAX_WORDS = 1000


class Interventions:
    """Hold, resume, mute, remove, terminate, bookmark, say: each by a member of staff of the call's prison.

    Each raises NotFound for another prison's call, Invalid without a reason, Conflict when the call's state does not
    allow it, Unavailable when its media node does not answer. Reasons are kept with the call's events, not in the
    audit log.
    """

    def __init__(self, uow: UnitOfWorkFactory, control: RoomControl) -> None:
        self._uow = uow
        self._control = control

    async def hold(
        self,
        actor: Actor,
        call_id: str,
        reason: str,
        *,
        words: str = "",
        participant_id: str | None = None,
        request_id: str | None = None,
    ) -> RoomSnapshot:
        """Pause the call, or one participant. `words` are shown to whom it concerns, `reason` is not."""
        reason, words = _reason(reason), _words(words)
        return await self._do(
            "call.hold",
            actor,
            call_id,
            _whom(participant_id),
            request_id,
            lambda id, who: self._control.hold(id, who, reason, words, participant_id=participant_id),
        )

    async def resume(
        self,
        actor: Actor,
        call_id: str,
        reason: str,
        *,
        participant_id: str | None = None,
        request_id: str | None = None,
    ) -> RoomSnapshot:
        """Lift the pause of the call, or of one participant."""
        reason = _reason(reason)
        return await self._do(
            "call.resume",
            actor,
            call_id,
            _whom(participant_id),
            request_id,
            lambda id, who: self._control.resume(id, who, reason, participant_id=participant_id),
        )

    async def remove(
        self,
        actor: Actor,
        call_id: str,
        participant_id: str,
        reason: str,
        words: str = "",
        *,
        request_id: str | None = None,
    ) -> RoomSnapshot:
        """Take one participant out of the call for good. `words` are shown to them alone, `reason` is not."""
        reason, words = _reason(reason), _words(words)
        return await self._do(
            "call.remove",
            actor,
            call_id,
            _whom(participant_id),
            request_id,
            lambda id, who: self._control.remove(id, participant_id, who, reason, words),
        )

    async def mute(
        self,
        actor: Actor,
        call_id: str,
        participant_id: str,
        kind: Kind,
        muted: bool,
        reason: str,
        *,
        request_id: str | None = None,
    ) -> RoomSnapshot:
        """Mute or unmute one participant's audio or video for everybody."""
        reason = _reason(reason)
        data = {"participant": participant_id, "kind": kind.value, "muted": muted}
        return await self._do(
            "call.mute",
            actor,
            call_id,
            data,
            request_id,
            lambda id, who: self._control.mute(id, participant_id, kind, muted, who, reason),
        )

    async def terminate(
        self, actor: Actor, call_id: str, reason: str, words: str, *, request_id: str | None = None
    ) -> RoomSnapshot:
        """End the call. `words` are shown to the participants, `reason` is not."""
        reason, words = _reason(reason), _words(words)
        return await self._do(
            "call.terminate",
            actor,
            call_id,
            {},
            request_id,
            lambda id, who: self._control.terminate(id, who, reason, words),
        )

    async def bookmark(
        self, actor: Actor, call_id: str, note: str = "", *, request_id: str | None = None
    ) -> RoomSnapshot:
        """Mark this moment in the recording, with a note or without."""
        note = _words(note)
        return await self._do(
            "call.bookmark", actor, call_id, {}, request_id, lambda id, who: self._control.bookmark(id, who, note)
        )

    async def say(self, actor: Actor, call_id: str, text: str, *, request_id: str | None = None) -> RoomSnapshot:
        """Write to the participants."""
        text = need_reason(text, longest=MAX_WORDS)
        return await self._do(
            "call.say", actor, call_id, {}, request_id, lambda id, who: self._control.say(id, who, text)
        )

    async def _do(
        self,
        action: str,
        actor: Actor,
        call_id: str,
        data: Mapping[str, Any],
        request_id: str | None,
        command: Callable[[CallId, CallActor], Awaitable[RoomSnapshot]],
    ) -> RoomSnapshot:
        who = call_actor(actor)
        async with self._uow() as u:
            call = await own_call(u, actor, call_id)
            if call.over:
                raise Conflict("The call is over.", code="call_over")
            u.audit.append(action, actor, call_id, data, request_id, prison_id=call.prison_id)
            await u.commit()
        with signaling_errors():
            return await command(call_id_of(call_id), who)


def _whom(participant_id: str | None) -> dict[str, str]:
    return {} if participant_id is None else {"participant": participant_id}


def _reason(text: str) -> str:
    return need_reason(text, longest=500)


def _words(text: str) -> str:
    return need_reason(text, longest=MAX_WORDS) if text.strip() else ""
