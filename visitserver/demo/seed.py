"""Fills an empty database with the demo prison, through the same services that people use wherever there is one."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from signaling.ids import new_id
from visitserver.demo import people as cast
from visitserver.domain import policies
from visitserver.domain.access import Role
from visitserver.domain.accounts import Account
from visitserver.domain.actors import SYSTEM, Actor, ActorKind
from visitserver.domain.allowance import CreditType
from visitserver.domain.calls import CallKind
from visitserver.domain.people import Contact, Prison, Prisoner, Wing
from visitserver.domain.rights import RelationshipKind, RestrictionScope
from visitserver.domain.scheduling import Station, StationKind

if TYPE_CHECKING:
    from visitserver.bootstrap import House

REASON: Final = "demonstration"

# A slot of the demo can be booked the same day, and until shortly before its end: "an open slot right now". No calls
# besides those that a credit pays for, so that one can see what is said when there is none left.
DEMO_POLICIES: Final[dict[str, int]] = {
    policies.NOTICE_DAYS_MIN.name: 0,
    policies.LATE_START_MINUTES.name: 25,
    policies.NOTICE_MINUTES_PRIVILEGED.name: 0,
    policies.FLOOR_STANDARD.name: 0,
}


@dataclass
class SignIns:
    """What is printed and kept in `signins.json` (0600): who can sign in with what."""

    password: str
    staff: dict[str, str] = field(default_factory=dict)
    families: dict[str, str] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)
    prison_id: str = ""
    administrator_id: str = ""
    scheduler_id: str = ""
    stations: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Keep them for the next start, for the owner alone."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(asdict(self), file, indent=1)

    @classmethod
    def read(cls, path: Path) -> SignIns | None:
        """Those of an earlier start, or None."""
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            return None


async def seed(house: House) -> SignIns:
    """Make the prison and everybody in it. The database must be empty."""
    seeding = _Seeding(house)
    await seeding.places()
    await seeding.staff()
    await seeding.rules()
    await seeding.prisoners()
    await seeding.contacts()
    return seeding.sign_ins


class _Seeding:
    def __init__(self, house: House) -> None:
        self._house = house
        self._services = house.services
        words = secrets.token_hex(6)
        self.sign_ins = SignIns(password=f"demo-{words[:4]}-{words[4:8]}-{words[8:]}")
        self._prison = Prison(new_id("prs"), cast.PRISON_NAME, cast.PRISON_ZONE, cast.PRISON_CODE)
        self._wings = {name: Wing(new_id("wng"), self._prison.id, name) for name in cast.WINGS}
        self._prisoners: dict[str, Prisoner] = {}
        self._actors: dict[Role, Actor] = {}

    async def places(self) -> None:
        """Prison, wings, stations."""
        async with self._house.uow() as u:
            u.people.add(self._prison)
            await u.flush()
            for wing in self._wings.values():
                u.people.add(wing)
            await u.flush()
            for name, wing_name in cast.STATIONS:
                kind = StationKind.ROOM if "room" in name else StationKind.TERMINAL
                station = Station(new_id("stn"), self._prison.id, name, kind, self._wings[wing_name].id)
                u.scheduling.add(station)
                self.sign_ins.stations[name] = station.id
            u.audit.append("demo.seed", SYSTEM, self._prison.id, {"stations": len(cast.STATIONS)}, None)
            await u.commit()
        self.sign_ins.prison_id = self._prison.id

    async def staff(self) -> None:
        """Everybody of `cast.STAFF`; the first is made by the system, as `visitserver user` would."""
        maker = Actor(ActorKind.SYSTEM, "demo", self._prison.id)
        for member in cast.STAFF:
            account, _ = await self._services.accounts.create_staff(
                maker, member.name, member.login, member.roles, self.sign_ins.password
            )
            self.sign_ins.staff[member.login] = ", ".join(sorted(member.roles))
            for role in member.roles:
                self._actors[role] = _actor(account)
        self.sign_ins.administrator_id = self._actors[Role.ADMINISTRATOR].id
        self.sign_ins.scheduler_id = self._actors[Role.SCHEDULER].id

    async def rules(self) -> None:
        """Policies that make a demonstration possible; everything else keeps its default."""
        for key, value in DEMO_POLICIES.items():
            await self._services.policies.set(self._actors[Role.ADMINISTRATOR], self._prison.id, key, value, REASON)

    async def prisoners(self) -> None:
        """Prisoners with their PINs and first credits."""
        now = self._house.clock()
        async with self._house.uow() as u:
            for number, one in enumerate(cast.PRISONERS):
                prisoner = Prisoner(
                    id=new_id("psn"),
                    number=one.number,
                    prison_id=self._prison.id,
                    given_name=one.given_name,
                    family_name=one.family_name,
                    born_on=one.born_on,
                    admitted_at=now - timedelta(days=40 + 10 * number),
                    wing_id=self._wings[one.wing].id,
                    location=(one.wing, str(1 + number % 3), str(101 + number)),
                    legal_status=one.status,
                    incentive_level=one.level,
                )
                u.people.add(prisoner)
                self._prisoners[one.number] = prisoner
            await u.commit()
        officer = self._actors[Role.OFFICER]
        for one in cast.PRISONERS:
            pin = _pin()
            await self._services.pins.set_pin(officer, one.number, pin)
            self.sign_ins.pins[one.number] = pin
            if one.credits:
                await self._services.allowance.grant(
                    self._actors[Role.SUPERVISOR],
                    self._prisoners[one.number].id,
                    CreditType.STANDARD,
                    REASON,
                    count=one.credits,
                    event_key=f"demo:{one.number}",
                )

    async def contacts(self) -> None:
        """Contacts with accounts, relationships, answers, identities and restrictions."""
        today = self._house.clock().astimezone(self._prison.zone).date()
        for one in cast.CONTACTS:
            contact = Contact(
                id=new_id("con"),
                given_name=one.given_name,
                family_name=one.family_name,
                born_on=one.born_on,
                email=one.email,
                timezone=one.zone,
            )
            async with self._house.uow() as u:
                u.people.add(contact)
                await u.commit()
            family = Actor(ActorKind.FAMILY, contact.id)
            if contact.is_adult_on(today):
                await self._services.accounts.provision_family(SYSTEM, contact.id, one.email, self.sign_ins.password)
                self.sign_ins.families[one.email] = f"{one.relation} of {one.prisoner}: {one.story}"
            relationship_id = await self._relationship(one, family)
            if one.identity:
                await self._services.enrolment.approve_attended(
                    self._actors[Role.OFFICER], contact.id, reason="identity seen in person: demonstration"
                )
            for restriction in one.restrictions:
                await self._services.restrictions.add(
                    self._actors[Role.SUPERVISOR],
                    scope=RestrictionScope.RELATIONSHIP,
                    subject_id=relationship_id,
                    type=restriction.type,
                    authority=restriction.authority,
                    starts_on=today,
                    ends_on=None if restriction.days is None else today + timedelta(days=restriction.days),
                )

    async def _relationship(self, one: cast.DemoContact, family: Actor) -> str:
        prisoner = self._prisoners[one.prisoner]
        official = one.kind is RelationshipKind.OFFICIAL
        made = await self._services.relationships.request(
            family,
            prisoner_number=one.prisoner,
            prisoner_family_name=prisoner.family_name,
            relation=one.relation,
            call_kind=CallKind.LEGAL if official else CallKind.SOCIAL,
        )
        if one.accepted is not None:
            inside = Actor(ActorKind.PRISONER, prisoner.id, self._prison.id)
            await self._services.relationships.answer(inside, made.id, accept=one.accepted)
        if one.approved:
            await self._services.relationships.approve(self._actors[Role.OFFICER], made.id, REASON)
        relationship_id: str = made.id
        return relationship_id


def _actor(account: Account) -> Actor:
    return Actor(ActorKind.STAFF, account.person_id, account.prison_id, frozenset(account.roles))


def _pin() -> str:
    """Six digits that the rules for PINs take: no run and no repetition."""
    while True:
        pin = f"{secrets.randbelow(1_000_000):06d}"
        if len(set(pin)) >= 4 and pin not in "01234567890" and pin not in "09876543210":
            return pin
