"""A document's reading as JSON and back: how it is kept, sealed, beside the picture."""

from __future__ import annotations

from datetime import date
from typing import Any

from visitserver.services.ports.identity_engine import DocumentFields, DocumentReading, FieldCheck

_TEXTS = (*("document_code", "issuer", "number", "family_name", "given_names", "nationality", "sex", "optional"),)


def plain_of(reading: DocumentReading) -> dict[str, Any]:
    """The reading without its pictures, as JSON."""
    fields = reading.fields
    return {
        "fields": None
        if fields is None
        else {
            **{name: getattr(fields, name) for name in _TEXTS},
            "birth_date": fields.birth_date.isoformat() if fields.birth_date else None,
            "expires": fields.expires.isoformat() if fields.expires else None,
        },
        "mrz_type": reading.mrz_type,
        "lines": list(reading.lines),
        "doubtful": [list(place) for place in reading.doubtful],
        "checks": [[check.check, check.ok, check.detail] for check in reading.checks],
        "problems": list(reading.problems),
        "portrait_found": reading.portrait_found,
        "pixels_per_char": reading.pixels_per_char,
    }


def reading_of(plain: dict[str, Any], *, page: bytes = b"", portrait: bytes = b"") -> DocumentReading:
    """The reading in JSON. Raises KeyError, TypeError or ValueError for anything that `plain_of` did not make."""
    fields = plain["fields"]
    if fields is not None:
        fields = DocumentFields(
            **{name: str(fields[name]) for name in _TEXTS},
            birth_date=_day(fields["birth_date"]),
            expires=_day(fields["expires"]),
        )
    return DocumentReading(
        fields=fields,
        mrz_type=plain["mrz_type"],
        lines=tuple(str(line) for line in plain["lines"]),
        doubtful=tuple((int(line), int(place)) for line, place in plain["doubtful"]),
        checks=tuple(
            FieldCheck(str(check), None if ok is None else bool(ok), str(detail))
            for check, ok, detail in plain["checks"]
        ),
        problems=tuple(str(problem) for problem in plain["problems"]),
        portrait_found=bool(plain["portrait_found"]),
        pixels_per_char=plain["pixels_per_char"],
        page=page,
        portrait=portrait,
    )


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
