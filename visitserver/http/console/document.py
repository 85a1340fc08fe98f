"""What a document says, line by line beside what the caller typed, each with its checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from visitserver.domain.people import Contact
from visitserver.services.ports.identity_engine import DocumentReading, FieldCheck


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field: `read` off the document, `typed` by the caller (None: not asked), and the checks that concern it."""

    key: str
    read: str
    typed: str | None
    checks: tuple[FieldCheck, ...]


_CHECKS_OF: Final = {
    "family_name": ("family_name_agrees",),
    "given_names": ("given_names_agree",),
    "birth_date": ("check_digit:birth_date", "birth_date_agrees"),
    "number": ("check_digit:number",),
    "expires": ("check_digit:expires", "expiry"),
    "optional": ("check_digit:optional",),
}


def rows_of(reading: DocumentReading | None, contact: Contact) -> list[FieldRow]:
    """The table of an enrolment; empty when nothing was read. Checks of no single field come last, under `zone`."""
    if reading is None or reading.fields is None:
        return []
    fields = reading.fields
    by_code = {check.check: check for check in reading.checks}
    told = {
        "family_name": (fields.family_name, contact.family_name),
        "given_names": (fields.given_names, contact.given_name),
        "birth_date": (
            fields.birth_date.isoformat() if fields.birth_date else "",
            contact.born_on.isoformat(),
        ),
        "number": (fields.number, None),
        "issuer": (fields.issuer, None),
        "nationality": (fields.nationality, None),
        "sex": (fields.sex, None),
        "expires": (fields.expires.isoformat() if fields.expires else "", None),
        "document_code": (fields.document_code, None),
    }
    if fields.optional:
        told["optional"] = (fields.optional, None)
    rows = [
        FieldRow(key, read, typed, tuple(by_code.pop(code) for code in _CHECKS_OF.get(key, ()) if code in by_code))
        for key, (read, typed) in told.items()
    ]
    if by_code:
        rows.append(FieldRow("zone", " / ".join(reading.lines), None, tuple(by_code.values())))
    return rows
