"""The people and places: prisons, wings, prisoners, contacts, staff."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

ADULT_AGE = 18


class LegalStatus(StrEnum):
    """Why a prisoner is held."""

    REMAND = "remand"
    CONVICTED = "convicted"
    CIVIL = "civil"


class IncentiveLevel(StrEnum):
    """The incentive scheme's level, by which credits accrue."""

    BASIC = "basic"
    STANDARD = "standard"
    ENHANCED = "enhanced"


@dataclass(eq=False)
class Prison:
    """A prison; `timezone` is an IANA name in which its days and sessions are told.

    `record_source` names the numbering of its record systems: identifiers (`external_id`) are unique within one.
    Prisons with one national system share a source; the empty one is common to all that have not been given another.
    """

    id: str
    name: str
    timezone: str
    code: str
    record_source: str = ""

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


@dataclass(eq=False)
class Wing:
    """A part of a prison."""

    id: str
    prison_id: str
    name: str


@dataclass(eq=False)
class Prisoner:
    """A person who is held. `number` is the prison service's own number, unique across prisons.

    `prison_id` is where they are now, None after release. `location` is up to four levels, outermost first
    (wing, landing, cell, bed). `merged_into` names the record that took this one's place: a merged record is nobody's.
    """

    id: str
    number: str
    prison_id: str | None
    given_name: str
    family_name: str
    born_on: date
    admitted_at: datetime
    wing_id: str | None = None
    location: tuple[str, ...] = ()
    legal_status: LegalStatus = LegalStatus.CONVICTED
    incentive_level: IncentiveLevel = IncentiveLevel.STANDARD
    category: str | None = None
    language: str = "en"
    released_at: datetime | None = None
    external_id: str | None = None
    external_source: str = ""
    merged_into: str | None = None

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}"


@dataclass(eq=False)
class Contact:
    """A person outside. `timezone` is theirs (IANA), for showing them their own time.

    `home_prison_id`: the prison whose own system registered them, before any relationship says where they are known.
    `merged_into` as in Prisoner.
    """

    id: str
    given_name: str
    family_name: str
    born_on: date
    email: str | None = None
    phone: str | None = None
    timezone: str | None = None
    language: str = "en"
    external_id: str | None = None
    external_source: str = ""
    home_prison_id: str | None = None
    merged_into: str | None = None

    @property
    def name(self) -> str:
        return f"{self.given_name} {self.family_name}"

    def age_on(self, day: date) -> int:
        """Whole years on `day`."""
        return age_on(self.born_on, day)

    def is_adult_on(self, day: date) -> bool:
        return self.age_on(day) >= ADULT_AGE


@dataclass(eq=False)
class Staff:
    """A member of staff at one prison. Their account (accounts.py) carries how they sign in and their roles."""

    id: str
    prison_id: str
    name: str
    email: str | None = None
    active: bool = True


def age_on(born_on: date, day: date) -> int:
    """Whole years from `born_on` to `day`; a birthday on 29 February counts from 1 March in other years."""
    return day.year - born_on.year - ((day.month, day.day) < (born_on.month, born_on.day))
