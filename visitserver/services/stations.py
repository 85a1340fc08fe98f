"""Terminals: a browser becomes a station by a one-time code, and only there can a prisoner sign in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from visitserver.domain.accounts import CodePurpose, OneTimeCode, StationDevice
from visitserver.domain.errors import Invalid, NotFound
from visitserver.services.access_checks import need_reason
from visitserver.services.changes import ChangeKind, Changes
from visitserver.services.tokens import code_hash, new_code, new_token, token_hash

if TYPE_CHECKING:
    from visitserver.domain.actors import Actor
    from visitserver.domain.clock import Clock
    from visitserver.domain.scheduling import Station
    from visitserver.services.ports.uow import UnitOfWork, UnitOfWorkFactory


@dataclass(frozen=True, slots=True)
class StationStatus:
    """A station and the browser that stands for it, if there is one."""

    station: Station
    device: StationDevice | None


class StationService:
    """Issues codes, enrols and revokes devices. `code_lasts` is how long a code can be used."""

    def __init__(
        self,
        uow: UnitOfWorkFactory,
        clock: Clock,
        new_id: Callable[[str], str],
        code_lasts: timedelta,
        changes: Changes | None = None,
    ) -> None:
        self._uow = uow
        self._changes = changes or Changes(clock)
        self._clock = clock
        self._new_id = new_id
        self.code_lasts = code_lasts

    async def statuses(self, actor: Actor) -> list[StationStatus]:
        """Every station of the actor's prison (tens at most: one page), by name."""
        async with self._uow(read_only=True) as u:
            prison = actor.prison_id or ""
            devices = {device.station_id: device for device in await u.accounts.live_devices(prison)}
            return [StationStatus(s, devices.get(s.id)) for s in await u.scheduling.stations(prison)]

    async def issue_code(self, actor: Actor, station_id: str, request_id: str | None = None) -> str:
        """A code to type at the station; older codes of it are void. Raises NotFound."""
        code, now = new_code(), self._clock()
        async with self._uow() as u:
            station = await _own_station(u, actor, station_id)
            await u.accounts.delete_codes_for(station.id, CodePurpose.ENROL_STATION)
            await u.accounts.add_code(
                OneTimeCode(
                    code_hash=code_hash(code),
                    purpose=CodePurpose.ENROL_STATION,
                    subject_id=station.id,
                    prison_id=station.prison_id,
                    created_by=actor.id,
                    created_at=now,
                    expires_at=now + self.code_lasts,
                )
            )
            u.audit.append("station.code_issued", actor, station.id, {}, request_id)
            await u.commit()
        return code

    async def enrol(self, actor: Actor, code: str, request_id: str | None = None) -> str:
        """Bind this browser to the code's station; the token for its cookie. The browser before it is out.

        Raises Invalid (`code_invalid`) for a wrong, used or old code: the same words for each.
        """
        token, now = new_token(), self._clock()
        async with self._uow() as u:
            found = await u.accounts.code(code_hash(code), CodePurpose.ENROL_STATION, lock=True)
            station = None if found is None else await u.scheduling.get_station(found.subject_id)
            if found is None or station is None or not station.active or not found.good(now):
                raise Invalid("This code is wrong, used up or too old.", code="code_invalid", field="code")
            found.used_at = now
            await _retire(u, station.id, now)
            device = StationDevice(
                id=self._new_id("dev"),
                token_hash=token_hash(token),
                station_id=station.id,
                prison_id=station.prison_id,
                enrolled_at=now,
            )
            await u.accounts.add_device(device)
            data = {"device": device.id, "issued_by": found.created_by}
            u.audit.append("station.enrolled", actor, station.id, data, request_id)
            await u.commit()
        return token

    async def resolve(self, token: str) -> StationDevice | None:
        """The device behind a cookie; None when it was revoked or never was."""
        async with self._uow(read_only=True) as u:
            return await u.accounts.device_by_token(token_hash(token))

    async def set_active(
        self, actor: Actor, station_id: str, active: bool, reason: str, *, request_id: str | None = None
    ) -> Station:
        """Take the station out of service, or put it back. Bookings at it are flagged, or no longer.

        Raises NotFound, Invalid without a reason. Doing it twice changes nothing.
        """
        reason = need_reason(reason, longest=500)
        async with self._uow() as u:
            station = await _own_station(u, actor, station_id)
            if station.active is active:
                return station
            station.active = active
            u.audit.append(
                "station.in_service" if active else "station.out_of_service",
                actor,
                station.id,
                {"reason": reason},
                request_id,
                prison_id=station.prison_id,
            )
            kind = ChangeKind.STATION_BACK if active else ChangeKind.STATION_OUT
            self._changes.note(u, kind, by=actor, prison_id=station.prison_id, station_id=station.id)
            await u.commit()
        await self._changes.after_commit()
        return station

    async def revoke(self, actor: Actor, station_id: str, request_id: str | None = None) -> None:
        """The station's browser is no station any more, and who was signed in there is out. Raises NotFound."""
        async with self._uow() as u:
            station = await _own_station(u, actor, station_id)
            await u.accounts.delete_codes_for(station.id, CodePurpose.ENROL_STATION)
            await _retire(u, station.id, self._clock())
            u.audit.append("station.revoked", actor, station.id, {}, request_id)
            await u.commit()


async def _retire(u: UnitOfWork, station_id: str, now: datetime) -> None:
    device = await u.accounts.live_device(station_id, lock=True)
    if device is not None:
        device.revoked_at = now
        await u.accounts.delete_sessions_at(station_id)
        # The index of live devices allows one per station: the old one goes first.
        await u.flush()


async def _own_station(u: UnitOfWork, actor: Actor, station_id: str) -> Station:
    station = await u.scheduling.get_station(station_id)
    if station.prison_id != actor.prison_id:
        raise NotFound("There is no such station.")
    return station
