"""The people of the demo prison. All of them are made up; no name is a real person's on purpose."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Final

from visitserver.domain.access import Role
from visitserver.domain.people import IncentiveLevel, LegalStatus
from visitserver.domain.rights import RelationshipKind

PRISON_NAME: Final = "Harjula Prison (demo)"
PRISON_CODE: Final = "HAR"
PRISON_ZONE: Final = "Europe/Helsinki"
WINGS: Final = ("North", "South")
STATIONS: Final = (
    ("North terminal 1", "North"),
    ("North terminal 2", "North"),
    ("North terminal 3", "North"),
    ("South terminal 1", "South"),
    ("South terminal 2", "South"),
    ("South legal room", "South"),
)


@dataclass(frozen=True, slots=True)
class DemoStaff:
    """A member of staff: sign-in name, name, roles."""

    login: str
    name: str
    roles: frozenset[Role]


@dataclass(frozen=True, slots=True)
class DemoPrisoner:
    """A prisoner. `credits` are given once, at the first start; one more comes by the calendar."""

    number: str
    given_name: str
    family_name: str
    born_on: date
    wing: str
    level: IncentiveLevel = IncentiveLevel.STANDARD
    status: LegalStatus = LegalStatus.CONVICTED
    credits: int = 2


@dataclass(frozen=True, slots=True)
class DemoRestriction:
    """A restriction on the contact, `days` from today on (None: no end)."""

    type: str
    authority: str
    days: int | None


@dataclass(frozen=True, slots=True)
class DemoContact:
    """A contact and what links them to a prisoner. `story` is what the printed table says of them."""

    given_name: str
    family_name: str
    born_on: date
    prisoner: str
    relation: str
    story: str
    kind: RelationshipKind = RelationshipKind.SOCIAL
    approved: bool = True
    accepted: bool | None = True
    identity: bool = True
    zone: str | None = None
    restrictions: tuple[DemoRestriction, ...] = field(default_factory=tuple)

    @property
    def email(self) -> str:
        """A reserved name (RFC 2606): no mail can ever reach anybody."""
        return f"{self.given_name}.{self.family_name}@family.example".lower().replace(" ", "-")


STAFF: Final = (
    DemoStaff("officer", "Outi Officer", frozenset({Role.OFFICER})),
    DemoStaff("supervisor", "Sami Supervisor", frozenset({Role.SUPERVISOR})),
    DemoStaff("scheduler", "Siiri Scheduler", frozenset({Role.SCHEDULER})),
    DemoStaff("administrator", "Aki Administrator", frozenset({Role.ADMINISTRATOR})),
    DemoStaff("auditor", "Aino Auditor", frozenset({Role.AUDITOR})),
)

PRISONERS: Final = (
    DemoPrisoner("A1001", "Mikko", "Aalto", date(1988, 4, 2), "North", credits=3),
    DemoPrisoner("A1002", "Jonas", "Berg", date(1979, 11, 23), "North"),
    DemoPrisoner("A1003", "Petri", "Collin", date(1995, 7, 14), "North", level=IncentiveLevel.ENHANCED),
    DemoPrisoner("A1004", "Risto", "Dahl", date(1969, 1, 30), "North", level=IncentiveLevel.BASIC, credits=0),
    DemoPrisoner("A1005", "Elias", "Eklund", date(2001, 9, 9), "North", status=LegalStatus.REMAND),
    DemoPrisoner("A1006", "Viktor", "Forss", date(1984, 12, 1), "North"),
    DemoPrisoner("B2001", "Sanna", "Grahn", date(1990, 6, 18), "South", level=IncentiveLevel.ENHANCED),
    DemoPrisoner("B2002", "Tiina", "Harju", date(1982, 3, 5), "South"),
    DemoPrisoner("B2003", "Leena", "Isaksson", date(1974, 8, 27), "South"),
    DemoPrisoner("B2004", "Maria", "Jansson", date(1998, 2, 11), "South", status=LegalStatus.REMAND),
    DemoPrisoner("B2005", "Katja", "Korpi", date(1987, 10, 16), "South"),
    DemoPrisoner("B2006", "Nadia", "Lind", date(1993, 5, 21), "South", level=IncentiveLevel.BASIC, credits=0),
)

CONTACTS: Final = (
    DemoContact("Anna", "Aalto", date(1990, 2, 3), "A1001", "partner", "approved: can book now"),
    DemoContact(
        "Elsa", "Aalto", date(1958, 5, 17), "A1001", "mother", "approved, lives in New York", zone="America/New_York"
    ),
    DemoContact("Otto", "Aalto", date(2014, 8, 30), "A1001", "son", "a child: comes along with Anna", identity=False),
    DemoContact(
        "Laura",
        "Lehto",
        date(1980, 1, 12),
        "A1001",
        "lawyer",
        "legal visits: nobody can watch or record",
        kind=RelationshipKind.OFFICIAL,
    ),
    DemoContact(
        "Nina",
        "Berg",
        date(1981, 3, 8),
        "A1002",
        "sister",
        "waits for an officer's decision",
        approved=False,
        accepted=None,
    ),
    DemoContact(
        "Oskar",
        "Berg",
        date(1955, 9, 1),
        "A1002",
        "father",
        "banned for 20 days",
        restrictions=(DemoRestriction("BAN", "prison governor", 20),),
    ),
    DemoContact(
        "Pia",
        "Collin",
        date(1996, 12, 24),
        "A1003",
        "partner",
        "CLOSED: an officer must be watching",
        restrictions=(DemoRestriction("CLOSED", "security department", None),),
    ),
    DemoContact("Rolf", "Collin", date(1960, 6, 6), "A1003", "father", "approved: can book now"),
    DemoContact("Saga", "Dahl", date(1972, 4, 19), "A1004", "sister", "one visit credit: a second booking is refused"),
    DemoContact(
        "Tomas",
        "Dahl",
        date(1999, 10, 2),
        "A1004",
        "son",
        "NON-CONTACT by a court: never bookable",
        restrictions=(DemoRestriction("NON-CONTACT", "district court", None),),
    ),
    DemoContact("Ulla", "Eklund", date(1978, 7, 7), "A1005", "mother", "approved: remand prisoner"),
    DemoContact(
        "Vera",
        "Forss",
        date(1986, 1, 25),
        "A1006",
        "partner",
        "a restriction of unknown type: a person decides",
        restrictions=(DemoRestriction("LOCAL-7", "wing manager", None),),
    ),
    DemoContact("Yrsa", "Forss", date(1962, 11, 3), "A1006", "mother", "identity not proven yet", identity=False),
    DemoContact("Aron", "Grahn", date(1989, 9, 15), "B2001", "partner", "approved: can book now"),
    DemoContact("Bea", "Grahn", date(1964, 2, 28), "B2001", "mother", "the prisoner has not answered", accepted=None),
    DemoContact("Carl", "Harju", date(1980, 5, 5), "B2002", "brother", "the prisoner refused", accepted=False),
    DemoContact(
        "Doris",
        "Isaksson",
        date(1948, 3, 20),
        "B2003",
        "mother",
        "PRE-INFORM: a person decides",
        restrictions=(DemoRestriction("PRE-INFORM", "victim support", 90),),
    ),
    DemoContact("Erik", "Jansson", date(1994, 8, 8), "B2004", "partner", "approved: can book now"),
    DemoContact("Frida", "Holm", date(1985, 10, 10), "B2004", "lawyer", "legal visits", kind=RelationshipKind.OFFICIAL),
    DemoContact(
        "Greta",
        "Korpi",
        date(1991, 12, 12),
        "B2005",
        "sister",
        "waits for an officer's decision",
        approved=False,
        accepted=None,
    ),
)
