"""What can be imported: the columns of each kind, and how a line's texts become values.

One table serves CSV, JSON lines, the REST bodies and docs/import.md, so the four cannot differ.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Final
from zoneinfo import available_timezones

from visitserver.domain.appointments import AppointmentKind
from visitserver.domain.calls import CallKind
from visitserver.domain.people import IncentiveLevel, LegalStatus
from visitserver.domain.rights import RelationshipState, RestrictionEffect, RestrictionScope

EXTERNAL_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,79}")
EARLIEST: Final = date(1900, 1, 1)
LATEST: Final = date(2200, 1, 1)
LEVELS: Final = 4


class ImportKind(StrEnum):
    """What a file holds."""

    PRISONERS = "prisoners"
    CONTACTS = "contacts"
    RELATIONSHIPS = "relationships"
    RESTRICTIONS = "restrictions"
    ALERTS = "alerts"
    NON_ASSOCIATIONS = "non-associations"
    APPOINTMENTS = "appointments"


class ColumnType(StrEnum):
    """How a value is written."""

    ID = "identifier"
    TEXT = "text"
    LONG = "long text"
    DATE = "date"
    MOMENT = "moment"
    CHOICE = "choice"
    FLAG = "yes or no"
    PATH = "levels"
    EMAIL = "e-mail address"
    ZONE = "time zone"


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `required`: without it nothing new is made. `clearable`: an empty value takes away what was there."""

    name: str
    type: ColumnType
    meaning: str
    example: str
    required: bool = False
    clearable: bool = False
    longest: int = 200
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a line is refused. `message` never repeats what stood in the line: reports may be kept."""

    column: str | None
    code: str
    message: str


class LineRefused(Exception):
    """A line cannot be used, for all of these reasons."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(f"{len(faults)} faults")
        self.faults = faults


class Outcome(StrEnum):
    """What a line did, or would do."""

    CREATED = "created"
    CHANGED = "changed"
    ENDED = "ended"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Change:
    """A line's effect; `fields` has what was and what is now, by column."""

    kind: ImportKind
    external_id: str
    outcome: Outcome
    fields: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)


_ID = ColumnType.ID
_own = "The record's identifier in the prison's own system: letters, digits and `_.@-`, at most 80."

_PRISONERS = (
    Column("external_id", _ID, _own, "P-1001", required=True),
    Column("number", ColumnType.TEXT, "The prison service's number, unique.", "A1234BC", required=True, longest=64),
    Column("given_name", ColumnType.TEXT, "Given names.", "Aino", required=True),
    Column("family_name", ColumnType.TEXT, "Family name.", "Aalto", required=True),
    Column("born_on", ColumnType.DATE, "Date of birth.", "1990-05-01", required=True),
    Column("prison", ColumnType.TEXT, "Code of the prison where they are now.", "KUU", required=True, longest=32),
    Column("admitted_at", ColumnType.MOMENT, "When they came into prison.", "2026-02-27T10:00:00Z", required=True),
    Column("wing", ColumnType.TEXT, "Name of a wing of that prison.", "A", clearable=True, longest=100),
    Column("location", ColumnType.PATH, "Up to four levels, outermost first.", "A / 2 / 14", clearable=True),
    Column("legal_status", ColumnType.CHOICE, "Why they are held.", "convicted", choices=tuple(LegalStatus)),
    Column("incentive_level", ColumnType.CHOICE, "The incentive level.", "standard", choices=tuple(IncentiveLevel)),
    Column("category", ColumnType.TEXT, "Security category.", "C", clearable=True, longest=64),
    Column("language", ColumnType.TEXT, "Language code.", "fi", longest=16),
    Column("released_at", ColumnType.MOMENT, "When they were released; empty when they are back.", "", clearable=True),
)
_CONTACTS = (
    Column("external_id", _ID, _own, "C-2001", required=True),
    Column("given_name", ColumnType.TEXT, "Given names.", "Maija", required=True),
    Column("family_name", ColumnType.TEXT, "Family name.", "Aalto", required=True),
    Column("born_on", ColumnType.DATE, "Date of birth.", "1962-11-30", required=True),
    Column("email", ColumnType.EMAIL, "For letters and invitations.", "maija@example.org", clearable=True, longest=254),
    Column("phone", ColumnType.TEXT, "Telephone.", "+358 40 1234567", clearable=True, longest=40),
    Column("timezone", ColumnType.ZONE, "Their own time zone (IANA).", "Europe/Helsinki", clearable=True, longest=64),
    Column("language", ColumnType.TEXT, "Language code.", "fi", longest=16),
)
_RELATIONSHIPS = (
    Column("external_id", _ID, _own, "R-3001", required=True),
    Column("prisoner_external_id", _ID, "The prisoner. Cannot change later.", "P-1001", required=True),
    Column("contact_external_id", _ID, "The contact. Cannot change later.", "C-2001", required=True),
    Column(
        "call_kind",
        ColumnType.CHOICE,
        "The calls it gives a right to. Social cannot become another kind, nor the other way.",
        "social",
        required=True,
        choices=tuple(CallKind),
    ),
    Column("relation", ColumnType.TEXT, "What they are to each other.", "mother", required=True, longest=100),
    Column(
        "state",
        ColumnType.CHOICE,
        "The prison's decision.",
        "approved",
        required=True,
        choices=tuple(RelationshipState),
    ),
    Column("reason", ColumnType.LONG, "Why it was decided so, for staff.", "Checked by phone", longest=2000),
)
_RESTRICTIONS = (
    Column("external_id", _ID, _own, "X-4001", required=True),
    Column(
        "scope",
        ColumnType.CHOICE,
        "Whom it touches. Cannot change later.",
        "person",
        required=True,
        choices=tuple(RestrictionScope),
    ),
    Column("subject_external_id", _ID, "That contact, relationship or prisoner.", "C-2001", required=True),
    Column("type", ColumnType.TEXT, "Type; an unknown one asks for review.", "BAN", required=True, longest=64),
    Column("starts_on", ColumnType.DATE, "First day.", "2026-03-01", required=True),
    Column("ends_on", ColumnType.DATE, "Last day, included.", "2026-03-31", clearable=True),
    Column("authority", ColumnType.TEXT, "Who ordered it.", "Governor", required=True),
    Column(
        "effect",
        ColumnType.CHOICE,
        "Stricter than the type's own effect.",
        "block",
        clearable=True,
        choices=tuple(RestrictionEffect),
    ),
    Column("review_on", ColumnType.DATE, "When it is looked at again.", "2026-03-15", clearable=True),
    Column("note", ColumnType.LONG, "For staff.", "See file", clearable=True, longest=2000),
    Column("lifted", ColumnType.FLAG, "Whether it is lifted. What is lifted stays so.", "no"),
)
_ALERTS = (
    Column("external_id", _ID, _own, "W-5001", required=True),
    Column("prisoner_external_id", _ID, "The prisoner. Cannot change later.", "P-1001", required=True),
    Column("code", ColumnType.TEXT, "The alert's code.", "XCU", required=True, longest=64),
    Column("starts_on", ColumnType.DATE, "First day.", "2026-03-01", required=True),
    Column("ends_on", ColumnType.DATE, "Last day, included.", "2026-04-01", clearable=True),
    Column("note", ColumnType.LONG, "For staff.", "See file", clearable=True, longest=2000),
    Column("closed", ColumnType.FLAG, "Whether it is closed. What is closed stays so.", "no"),
)
_NON_ASSOCIATIONS = (
    Column("external_id", _ID, _own, "N-7001", required=True),
    Column("prisoner_external_id", _ID, "One of the two. Cannot change later.", "P-1001", required=True),
    Column("other_external_id", _ID, "The other one. Cannot change later.", "P-1002", required=True),
    Column("starts_on", ColumnType.DATE, "First day.", "2026-03-01", required=True),
    Column("ends_on", ColumnType.DATE, "Last day, included. A past one ends it.", "2026-06-30", clearable=True),
    Column("reason", ColumnType.LONG, "Why, for staff.", "See file", required=True, longest=2000),
)
_APPOINTMENTS = (
    Column("external_id", _ID, _own, "T-6001", required=True),
    Column("prisoner_external_id", _ID, "The prisoner. Cannot change later.", "P-1001", required=True),
    Column(
        "kind",
        ColumnType.CHOICE,
        "What it is; all but `other` outrank social calls.",
        "court",
        required=True,
        choices=tuple(AppointmentKind),
    ),
    Column("starts_at", ColumnType.MOMENT, "When it begins.", "2026-03-10T09:00:00+02:00", required=True),
    Column("ends_at", ColumnType.MOMENT, "When it ends.", "2026-03-10T11:00:00+02:00", required=True),
    Column("note", ColumnType.LONG, "For staff.", "Escort needed", clearable=True, longest=2000),
    Column("cancelled", ColumnType.FLAG, "Whether it is cancelled. What is cancelled stays so.", "no"),
)

COLUMNS: Final[Mapping[ImportKind, tuple[Column, ...]]] = {
    ImportKind.PRISONERS: _PRISONERS,
    ImportKind.CONTACTS: _CONTACTS,
    ImportKind.RELATIONSHIPS: _RELATIONSHIPS,
    ImportKind.RESTRICTIONS: _RESTRICTIONS,
    ImportKind.ALERTS: _ALERTS,
    ImportKind.NON_ASSOCIATIONS: _NON_ASSOCIATIONS,
    ImportKind.APPOINTMENTS: _APPOINTMENTS,
}


def parse_record(kind: ImportKind, raw: Mapping[str, object]) -> dict[str, Any]:
    """The values of the columns that `raw` has (texts of a CSV line, or values of a JSON object).

    An empty text or null: None where the column is clearable, else as if the column were not there. `external_id` is
    always there. Raises LineRefused with every fault at once.
    """
    columns = {column.name: column for column in COLUMNS[kind]}
    values: dict[str, Any] = {}
    faults = [Fault(None, "column_unknown", "There is a column that is not known.")] if set(raw) - set(columns) else []
    for name, column in columns.items():
        if name not in raw:
            continue
        try:
            value = _value(column, raw[name])
        except ValueError as error:
            code, message = error.args
            faults.append(Fault(name, code, message))
            continue
        if value is not None:
            values[name] = value
        elif column.clearable:
            values[name] = () if column.type is ColumnType.PATH else None
    if "external_id" not in values and not any(fault.column == "external_id" for fault in faults):
        faults.append(Fault("external_id", "required", "This column must be filled in."))
    faults += _together(kind, values)
    if faults:
        raise LineRefused(*faults)
    return values


def missing(kind: ImportKind, values: Mapping[str, Any]) -> list[Fault]:
    """What is lacking for making a new record of `values`."""
    return [
        Fault(column.name, "required", "This column must be filled in for a new record.")
        for column in COLUMNS[kind]
        if column.required and values.get(column.name) is None
    ]


def in_order(values: Mapping[str, Any]) -> list[Fault]:
    """Faults of first and last days, or of moments, that stand the wrong way round."""
    faults = []
    if values.get("starts_on") and values.get("ends_on") and values["ends_on"] < values["starts_on"]:
        faults.append(Fault("ends_on", "order", "The last day comes before the first."))
    if values.get("starts_at") and values.get("ends_at") and values["ends_at"] <= values["starts_at"]:
        faults.append(Fault("ends_at", "order", "The end does not come after the beginning."))
    if values.get("admitted_at") and values.get("released_at") and values["released_at"] < values["admitted_at"]:
        faults.append(Fault("released_at", "order", "The release comes before the admission."))
    return faults


def _together(kind: ImportKind, values: Mapping[str, Any]) -> list[Fault]:
    faults = in_order(values)
    ending = values.get("state") in (RelationshipState.REFUSED, RelationshipState.ENDED)
    if kind is ImportKind.RELATIONSHIPS and ending and not values.get("reason"):
        faults.append(Fault("reason", "required", "A refusal or an end needs a reason."))
    return faults


def _value(column: Column, raw: object) -> Any:
    """The value, or None for an empty one. ValueError(code, message) when it does not fit."""
    if raw is None:
        return None
    if column.type is ColumnType.FLAG:
        return _flag(raw)
    if column.type is ColumnType.PATH:
        return _path(raw)
    if not isinstance(raw, str):
        raise ValueError("type", "This must be a text.")
    text = unicodedata.normalize("NFC", raw).strip()
    if not text:
        return None
    _check_characters(text, long=column.type is ColumnType.LONG)
    if len(text) > column.longest:
        raise ValueError("too_long", f"This has at most {column.longest} characters.")
    match column.type:
        case ColumnType.ID:
            if EXTERNAL_ID.fullmatch(text) is None:
                raise ValueError("identifier", "An identifier has letters, digits and _ . @ - only, at most 80.")
            return text
        case ColumnType.DATE:
            return _date(text)
        case ColumnType.MOMENT:
            return _moment(text)
        case ColumnType.CHOICE:
            if text.lower() not in column.choices:
                raise ValueError("choice", f"This must be one of: {', '.join(column.choices)}.")
            return text.lower()
        case ColumnType.EMAIL:
            if re.fullmatch(r"[^@\s]+@[^@\s]+", text) is None:
                raise ValueError("email", "This is no e-mail address.")
            return text.lower()
        case ColumnType.ZONE:
            if text not in available_timezones():
                raise ValueError("timezone", "There is no such time zone.")
            return text
        case _:
            return text


def _check_characters(text: str, *, long: bool) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("encoding", "This is not UTF-8.")
    allowed = "\n\t\r" if long else ""
    if any(unicodedata.category(character) == "Cc" and character not in allowed for character in text):
        raise ValueError("characters", "This has characters that cannot be used.")


def _date(text: str) -> date:
    try:
        found = date.fromisoformat(text) if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) else None
    except ValueError:
        found = None
    if found is None:
        raise ValueError("date", "A date is year-month-day, for example 1980-12-31.")
    if not EARLIEST <= found < LATEST:
        raise ValueError("range", "This date is too far away.")
    return found


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or "T" not in text:
        raise ValueError("moment", "A moment is like 2026-03-10T09:00:00+02:00.") from None
    if found.tzinfo is None:
        raise ValueError("offset", "A moment needs its offset from UTC, for example +02:00 or Z.")
    if not EARLIEST <= found.date() < LATEST:
        raise ValueError("range", "This moment is too far away.")
    return found.astimezone(UTC)


def _flag(raw: object) -> bool | None:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str):
        text = raw.strip().lower()
        if not text:
            return None
        if text in ("yes", "true", "1"):
            return True
        if text in ("no", "false", "0"):
            return False
    raise ValueError("flag", "This must be yes or no.")


def _path(raw: object) -> tuple[str, ...] | None:
    parts = [part.strip() for part in raw.split("/")] if isinstance(raw, str) else raw
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ValueError("type", "This must be a text, or a list of texts.")
    levels = [unicodedata.normalize("NFC", part).strip() for part in parts]
    if not any(levels):
        return None
    if not all(levels) or len(levels) > LEVELS or any(len(level) > 40 for level in levels):
        raise ValueError("levels", f"This has at most {LEVELS} levels of at most 40 characters.")
    for level in levels:
        _check_characters(level, long=False)
    return tuple(levels)
