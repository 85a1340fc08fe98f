"""Records of prisoners' appointments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signaling.ids import new_id
from visitserver.domain.actors import Actor
from visitserver.domain.appointments import Appointment, AppointmentKind
from visitserver.domain.changes import ChangeKind
from visitserver.domain.importing import ImportKind, Outcome
from visitserver.services.ports.uow import UnitOfWork
from visitserver.services.records import Keeper, Put, refuse


class AppointmentKeeper(Keeper[Appointment]):
    """Appointments. Their identifier is unique within a prison, so a line of the command line names its prisoner."""

    kind = ImportKind.APPOINTMENTS
    fixed = frozenset({"prisoner_external_id"})
    ends = "cancelled"

    async def find(self, u: UnitOfWork, actor: Actor, values: Mapping[str, Any]) -> Appointment | None:
        prison_id = actor.prison_id
        if prison_id is None:
            named = values.get("prisoner_external_id")
            if named is None:
                refuse("prisoner_external_id", "required", "This column must be filled in.")
            prison_id = (await self.own_prisoner(u, actor, named, "prisoner_external_id")).prison_id
        found: Appointment | None = await u.records.find(self.kind, values["external_id"], prison_id=prison_id)
        return found

    async def describe(self, u: UnitOfWork, record: Appointment) -> dict[str, Any]:
        prisoners = await u.records.external_ids(ImportKind.PRISONERS, [record.prisoner_id])
        return {
            "external_id": record.external_id,
            "prisoner_external_id": prisoners[record.prisoner_id],
            "kind": record.kind,
            "starts_at": record.starts_at,
            "ends_at": record.ends_at,
            "note": record.note,
            "cancelled": record.cancelled_at is not None,
        }

    async def create(self, u: UnitOfWork, put: Put, values: Mapping[str, Any]) -> Appointment:
        prisoner = await self.own_prisoner(u, put.actor, values["prisoner_external_id"], "prisoner_external_id")
        assert prisoner.prison_id is not None  # noqa: S101 - own_prisoner gives nobody who is nowhere
        appointment = Appointment(
            id=new_id("apt"),
            prison_id=prisoner.prison_id,
            prisoner_id=prisoner.id,
            kind=AppointmentKind(values["kind"]),
            starts_at=values["starts_at"],
            ends_at=values["ends_at"],
            created_at=self._clock(),
            created_by=put.actor.reference,
            external_id=values["external_id"],
            note=values.get("note"),
            cancelled_at=self._clock() if values.get("cancelled") else None,
        )
        u.offers.add(appointment)
        if appointment.stands:
            self._tell(u, put, appointment, ChangeKind.APPOINTMENT_ADDED)
        return appointment

    async def change(
        self, u: UnitOfWork, put: Put, record: Appointment, before: Mapping[str, Any], fields: Mapping[str, Any]
    ) -> Outcome:
        if fields.get("cancelled"):
            record.cancelled_at = self._clock()
            self._tell(u, put, record, ChangeKind.APPOINTMENT_CANCELLED)
            return Outcome.ENDED
        first, last = record.starts_at, record.ends_at
        record.kind = AppointmentKind(fields.get("kind", record.kind))
        record.starts_at = fields.get("starts_at", record.starts_at)
        record.ends_at = fields.get("ends_at", record.ends_at)
        record.note = fields.get("note", record.note)
        if {"kind", "starts_at", "ends_at"} & set(fields):
            # Visits of the old time are free of it, those of the new one are not.
            span = (min(first, record.starts_at), max(last, record.ends_at))
            self._tell(u, put, record, ChangeKind.APPOINTMENT_CHANGED, span=span)
        return Outcome.CHANGED

    async def prison_of(self, u: UnitOfWork, record: Appointment) -> str | None:
        return record.prison_id

    def _tell(
        self, u: UnitOfWork, put: Put, record: Appointment, kind: ChangeKind, *, span: tuple[Any, Any] | None = None
    ) -> None:
        first, last = span or (record.starts_at, record.ends_at)
        self._changes.note(
            u,
            kind,
            by=put.actor,
            prison_id=record.prison_id,
            prisoner_id=record.prisoner_id,
            from_=first,
            to=last,
            appointment_id=record.id,
        )
