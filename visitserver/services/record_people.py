"""Records of prisoners and contacts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from signaling.ids import new_id
from visitserver.domain.actors import Actor
from visitserver.domain.changes import ChangeKind
from visitserver.domain.importing import ImportKind, Outcome
from visitserver.domain.people import Contact, IncentiveLevel, LegalStatus, Prison, Prisoner
from visitserver.services.clock import today_at
from visitserver.services.ports.uow import UnitOfWork
from visitserver.services.records import Keeper, Put, holds, knows_contact, not_here, refuse

_PLACE: Final = ("prison", "wing", "location")
_STATUS: Final = frozenset(
    {"legal_status", "incentive_level", "category", "wing", "location", "born_on", "admitted_at", "released_at"}
)
"""What rules rest on: bookings are looked at again."""
_PRISONER: Final = (
    *("external_id", "number", "given_name", "family_name", "born_on", "admitted_at", "location"),
    *("legal_status", "incentive_level", "category", "language", "released_at"),
)
_CONTACT: Final = (*("external_id", "given_name", "family_name", "born_on", "email", "phone", "timezone", "language"),)


class PrisonerKeeper(Keeper[Prisoner]):
    """Prisoners. Who holds a prisoner hands them over: a record moves them out of the actor's prison, never into it
    from another one; from nowhere (new, or released) it may, when it is about the same person."""

    kind = ImportKind.PRISONERS

    async def find(self, u: UnitOfWork, actor: Actor, values: Mapping[str, Any]) -> Prisoner | None:
        found: Prisoner | None = await u.records.find(self.kind, values["external_id"])
        if found is None and "number" in values:
            same = await u.people.find_prisoner_by_number(values["number"])
            if same is not None and self._unnamed(u, actor, same, values):
                return same  # known here already, and now under the prison's own identifier
            if same is not None:
                refuse("number", "taken", "This number belongs to another record.")
        if found is None:
            return None
        if found.merged_into is not None:
            refuse("external_id", "merged", "This record was merged into another one.")
        if found.prison_id is not None and not holds(actor, found.prison_id):
            not_here()
        if found.prison_id is None and not actor.is_system:
            _same_person(found, values)
        return found

    async def describe(self, u: UnitOfWork, record: Prisoner) -> dict[str, Any]:
        values = {name: getattr(record, name) for name in _PRISONER} | {"external_id": self.identifier(u, record)}
        prison = None if record.prison_id is None else await u.people.get_prison(record.prison_id)
        wing = None
        if prison is not None and record.wing_id is not None:
            wing = next((each.name for each in await u.people.wings(prison.id) if each.id == record.wing_id), None)
        return {**values, "prison": None if prison is None else prison.code, "wing": wing}

    def settle(self, values: dict[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
        """A released person is nowhere, whatever the line says of prison and wing."""
        released = values["released_at"] if "released_at" in values else before.get("released_at")
        if released is None:
            return values
        gone = {name: value for name, value in values.items() if name not in _PLACE}
        return gone if before else {**gone, "prison": values.get("prison")}

    async def create(self, u: UnitOfWork, put: Put, values: Mapping[str, Any]) -> Prisoner:
        prison = await self._prison(u, values["prison"])
        if not holds(put.actor, prison.id):
            refuse("prison", "other_prison", "A new prisoner can be registered at your own prison only.")
        self._born(values, prison)
        wing_id = await self._wing(u, prison, values.get("wing"))
        released_at = values.get("released_at")
        prisoner = Prisoner(
            id=new_id("psn"),
            number=values["number"],
            prison_id=prison.id if released_at is None else None,
            given_name=values["given_name"],
            family_name=values["family_name"],
            born_on=values["born_on"],
            admitted_at=values["admitted_at"],
            wing_id=wing_id if released_at is None else None,
            location=values.get("location", ()),
            legal_status=LegalStatus(values.get("legal_status", LegalStatus.CONVICTED)),
            incentive_level=IncentiveLevel(values.get("incentive_level", IncentiveLevel.STANDARD)),
            category=values.get("category"),
            language=values.get("language", "en"),
            released_at=released_at,
            external_id=values["external_id"],
            external_source=u.records.source,
        )
        u.people.add(prisoner)
        return prisoner

    async def change(
        self, u: UnitOfWork, put: Put, record: Prisoner, before: Mapping[str, Any], fields: Mapping[str, Any]
    ) -> Outcome:
        wanted = {**before, **fields}
        released = fields.get("released_at") is not None and before["released_at"] is None
        moved = "prison" in fields
        prison = None
        if wanted["released_at"] is None:
            if wanted["prison"] is None:
                refuse("prison", "required", "Say at which prison they are now.")
            prison = await self._prison(u, wanted["prison"])
            if moved and record.prison_id is None and not holds(put.actor, prison.id):
                refuse("prison", "other_prison", "A prisoner can be taken in at your own prison only.")
            self._born(fields, prison)
        if "number" in fields:
            same = await u.people.find_prisoner_by_number(fields["number"])
            if same is not None and same.id != record.id:
                refuse("number", "taken", "This number belongs to another record.")
        wing_id = record.wing_id
        if prison is not None and (moved or "wing" in fields):
            wing_id = await self._wing(u, prison, fields.get("wing"))

        here, status = record.prison_id, (record.legal_status, record.incentive_level)
        for name in set(fields) - set(_PLACE):
            setattr(record, name, fields[name])
        if "external_id" in fields:
            record.external_source = u.records.source
        if prison is not None and moved and prison.record_source != record.external_source:
            # There the identifier means somebody else, or nobody: that prison's system names them by their number.
            record.external_id, record.external_source = None, ""
        record.legal_status = LegalStatus(record.legal_status)
        record.incentive_level = IncentiveLevel(record.incentive_level)
        record.prison_id = None if prison is None else prison.id
        record.wing_id = None if prison is None else wing_id
        if prison is None or moved or "location" in fields:
            record.location = () if prison is None else fields.get("location", ())

        def note(kind: ChangeKind, **attributes: Any) -> None:
            self._changes.note(u, kind, by=put.actor, prison_id=here, prisoner_id=record.id, **attributes)

        if released:
            note(ChangeKind.PRISONER_RELEASED)
            return Outcome.ENDED
        if moved and here is not None:
            note(ChangeKind.PRISONER_TRANSFERRED, to_prison=record.prison_id)
        elif _STATUS & set(fields):
            note(
                ChangeKind.PRISONER_STATUS_CHANGED,
                fields=sorted(_STATUS & set(fields)),
                legal_status_before=str(status[0]),
                legal_status=str(record.legal_status),
            )
        return Outcome.CHANGED

    async def prison_of(self, u: UnitOfWork, record: Prisoner) -> str | None:
        return record.prison_id

    def _unnamed(self, u: UnitOfWork, actor: Actor, same: Prisoner, values: Mapping[str, Any]) -> bool:
        """Whether the actor may give their own identifier to the prisoner of this number: one of theirs who has none of
        this source, or somebody released of the same birth date whom another source named."""
        if same.merged_into is not None or self.identifier(u, same) is not None:
            return False
        if actor.is_system:
            return same.external_id is None
        if same.prison_id is None:
            return same.external_id is not None and values.get("born_on") == same.born_on
        return holds(actor, same.prison_id)

    async def _prison(self, u: UnitOfWork, code: str) -> Prison:
        found = await u.people.find_prison_by_code(code)
        if found is None:
            refuse("prison", "reference", "There is no prison with this code.")
        return found

    async def _wing(self, u: UnitOfWork, prison: Prison, name: str | None) -> str | None:
        if name is None:
            return None
        found = await u.records.wing(prison.id, name)
        if found is None:
            refuse("wing", "reference", "The prison has no wing of this name.")
        return found

    def _born(self, values: Mapping[str, Any], prison: Prison) -> None:
        if "born_on" in values and values["born_on"] > today_at(prison, self._clock()):
            refuse("born_on", "range", "This day is yet to come.")


def _same_person(record: Prisoner, values: Mapping[str, Any]) -> None:
    """Refuse what says another number and another birth date than the record of somebody who is at no prison: two
    systems have given one identifier twice, and with the record whom they may call would become somebody else's."""
    agrees = [values[name] == getattr(record, name) for name in ("number", "born_on") if name in values]
    if agrees and not any(agrees):
        refuse("external_id", "another_person", "Somebody else was registered under this identifier. Use another one.")


class ContactKeeper(Keeper[Contact]):
    """Contacts: people outside. They belong to no prison; the one that registered them, and those that know them, may
    change what is written about them; birth date and address only where somebody may meet them."""

    kind = ImportKind.CONTACTS

    async def find(self, u: UnitOfWork, actor: Actor, values: Mapping[str, Any]) -> Contact | None:
        found: Contact | None = await u.records.find(self.kind, values["external_id"])
        if found is None:
            return None
        if not await knows_contact(u, actor, found):
            not_here()
        if found.merged_into is not None:
            refuse("external_id", "merged", "This record was merged into another one.")
        return found

    async def describe(self, u: UnitOfWork, record: Contact) -> dict[str, Any]:
        return {name: getattr(record, name) for name in _CONTACT} | {"external_id": self.identifier(u, record)}

    async def create(self, u: UnitOfWork, put: Put, values: Mapping[str, Any]) -> Contact:
        self._born(values)
        contact = Contact(
            id=new_id("con"),
            given_name=values["given_name"],
            family_name=values["family_name"],
            born_on=values["born_on"],
            email=values.get("email"),
            phone=values.get("phone"),
            timezone=values.get("timezone"),
            language=values.get("language", "en"),
            external_id=values["external_id"],
            external_source=u.records.source,
            home_prison_id=put.actor.prison_id,
        )
        u.people.add(contact)
        return contact

    async def change(
        self, u: UnitOfWork, put: Put, record: Contact, before: Mapping[str, Any], fields: Mapping[str, Any]
    ) -> Outcome:
        self._born(fields)
        await self._may_write(u, put.actor, record, fields)
        for name, value in fields.items():
            setattr(record, name, value)
        if "born_on" in fields:
            self._changes.note(u, ChangeKind.CONTACT_CHANGED, by=put.actor, contact_id=record.id, fields=["born_on"])
        return Outcome.CHANGED

    async def prison_of(self, u: UnitOfWork, record: Contact) -> str | None:
        return None

    async def _may_write(self, u: UnitOfWork, actor: Actor, record: Contact, fields: Mapping[str, Any]) -> None:
        """By birth date and address people are told apart and written to, at every prison: not on a mere request."""
        told = sorted({"born_on", "email"} & set(fields))
        if not told or actor.is_system or record.home_prison_id == actor.prison_id:
            return
        if not await u.records.contact_approved_at(record.id, actor.prison_id or ""):
            refuse(told[0], "not_approved", "Nobody at your prison has an approved relationship with this contact.")

    def _born(self, values: Mapping[str, Any]) -> None:
        if "born_on" in values and values["born_on"] > self._clock().date():
            refuse("born_on", "range", "This day is yet to come.")
