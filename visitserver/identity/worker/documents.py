"""What a picture of a document says, what can be checked about it, and the face on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Final

import numpy as np

from visitserver.identity import mrz, names
from visitserver.identity.worker import light
from visitserver.identity.worker.encode import Face, FaceEncoder, look
from visitserver.identity.worker.faces import FaceDetector
from visitserver.identity.worker.images import jpeg
from visitserver.identity.worker.ocr import Picture
from visitserver.identity.worker.zone import Zone, ZoneReader
from visitserver.services.ports.identity_engine import (
    Claim,
    DocumentFields,
    DocumentReading,
    FieldCheck,
    Purpose,
)

PIXELS_PER_CHAR: Final = 18.0
"""Below this the reading is not to be relied on: ask for a picture from closer."""


def read_document(
    picture: Picture,
    zones: ZoneReader,
    detector: FaceDetector,
    encoder: FaceEncoder,
    *,
    today: date,
    claim: Claim | None,
) -> tuple[DocumentReading, Face | None]:
    """The reading of a BGR picture, and its face for comparing."""
    zone = zones.read(picture)
    upright = np.ascontiguousarray(np.rot90(picture, -zone.quarter_turns)) if zone and zone.quarter_turns else picture
    face = look(upright, detector, encoder)
    problems = [hint.code for hint in light.hints(picture, Purpose.DOCUMENT) if hint.code != "too_small"]
    portrait = face if isinstance(face, Face) else None
    # The back of a card has a zone and no face: that is no fault of the picture.
    if portrait is None and not (zone and len(zone.lines) == 3):
        problems.append("no_portrait")
    reading = _read_zone(zone, today, claim)
    return (
        replace(
            reading,
            problems=tuple(dict.fromkeys([*reading.problems, *problems])),
            portrait_found=portrait is not None,
            page=jpeg(upright),
            portrait=jpeg(portrait.crop()) if portrait else b"",
        ),
        portrait,
    )


def _read_zone(zone: Zone | None, today: date, claim: Claim | None) -> DocumentReading:
    nothing = DocumentReading(None, None, (), (), (), ("no_zone",), portrait_found=False)
    if zone is None:
        return nothing
    base = replace(nothing, lines=zone.lines, doubtful=zone.doubtful, pixels_per_char=zone.pixels_per_char)
    problems = ["zone_too_small"] if zone.pixels_per_char < PIXELS_PER_CHAR else []
    try:
        reading = mrz.parse(zone.lines, today=today)
    except mrz.MrzError as error:
        return replace(base, problems=(*problems, "zone_unclear", error.code))
    # What a wrong check digit or an inadmissible character means first of all is that it was misread.
    if zone.doubtful or not reading.consistent:
        problems.append("zone_unclear")
    checks = [*_own_checks(reading), *_expiry(reading, today), *(_agreement(reading, claim) if claim else ())]
    return replace(
        base,
        fields=DocumentFields(
            document_code=reading.document_code,
            issuer=reading.issuer,
            number=reading.number,
            family_name=reading.family_name,
            given_names=reading.given_names,
            nationality=reading.nationality,
            sex=reading.sex,
            birth_date=reading.birth_date,
            expires=reading.expires,
            optional=reading.optional,
        ),
        mrz_type=reading.kind.value,
        checks=tuple(checks),
        problems=tuple(problems),
    )


def _own_checks(reading: mrz.MrzReading) -> list[FieldCheck]:
    digits = [FieldCheck(f"check_digit:{check.field}", check.ok) for check in reading.checks]
    return [*digits, *(FieldCheck(f"content:{problem}", False) for problem in reading.problems)]


def _expiry(reading: mrz.MrzReading, today: date) -> list[FieldCheck]:
    if reading.expires is None:
        return [FieldCheck("expiry", None)]
    return [FieldCheck("expiry", reading.expires >= today, reading.expires.isoformat())]


def _agreement(reading: mrz.MrzReading, claim: Claim) -> list[FieldCheck]:
    cut = reading.names_cut
    born = None if reading.birth_date is None else reading.birth_date == claim.born_on
    return [
        FieldCheck("family_name_agrees", names.family_agrees(claim.family_name, reading.family_name, cut=cut)),
        FieldCheck("given_names_agree", names.given_agrees(claim.given_name, reading.given_names, cut=cut)),
        FieldCheck("birth_date_agrees", born),
    ]
