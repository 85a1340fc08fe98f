"""Lines of machine-readable zones made from fields (ICAO Doc 9303 parts 3 to 7): the *writing* side.

It shares no code with `visitserver.identity.mrz`, which reads, so a mistake in one does not hide in the other.
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass, replace
from datetime import date

WEIGHTS = (7, 3, 1)
LENGTHS = {"TD1": 30, "TD2": 36, "TD3": 44, "MRV-A": 44, "MRV-B": 36}


@dataclass(frozen=True)
class DocumentFields:
    """What is printed on a document. Names are Latin letters, spaces, hyphens and apostrophes; countries ISO 3166-1
    alpha-3.
    """

    family_name: str = "Eriksson"
    given_names: str = "Anna Maria"
    birth_date: date = date(1974, 8, 12)
    expires: date = date(2032, 4, 15)
    sex: str = "F"
    number: str = "L898902C3"
    country: str = "UTO"
    nationality: str = "UTO"
    optional: str = ""
    document_code: str | None = None

    def with_(self, **changes: object) -> DocumentFields:
        """The same fields with some of them changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


def check_digit(text: str) -> str:
    """The 7-3-1 check digit of `text` (Doc 9303-3, 4.9)."""
    total = 0
    for place, char in enumerate(text):
        value = 0 if char == "<" else int(char, 36)
        total += value * WEIGHTS[place % 3]
    return str(total % 10)


def _fill(text: str, length: int) -> str:
    return text[:length].ljust(length, "<")


def _date(value: date) -> str:
    return value.strftime("%y%m%d")


def _latin(name: str) -> str:
    kept = name.upper().replace("'", "").replace("-", " ")
    return "<".join(kept.split())


def name_field(fields: DocumentFields, length: int) -> str:
    """Primary and secondary identifier, filled or cut to `length` (9303-3, 4.6)."""
    return _fill(f"{_latin(fields.family_name)}<<{_latin(fields.given_names)}", length)


def zone_lines(kind: str, fields: DocumentFields) -> list[str]:
    """The two or three lines of a zone of `kind` (a key of LENGTHS)."""
    number = _fill(fields.number, 9)
    number_check = number + check_digit(number)
    birth = _date(fields.birth_date) + check_digit(_date(fields.birth_date))
    expiry = _date(fields.expires) + check_digit(_date(fields.expires))
    country, nationality = _fill(fields.country, 3), _fill(fields.nationality, 3)
    sex = fields.sex if fields.sex in "MF" else "<"
    if kind == "TD3":
        code = _fill(fields.document_code or "P", 2)
        personal = _fill(fields.optional, 14)
        personal_check = "<" if not fields.optional else check_digit(personal)
        composite = check_digit(number_check + birth + expiry + personal + personal_check)
        return [
            code + country + name_field(fields, 39),
            number_check + nationality + birth + sex + expiry + personal + personal_check + composite,
        ]
    if kind == "TD1":
        code = _fill(fields.document_code or "I", 2)
        first = code + country + number_check + _fill(fields.optional, 15)
        second = birth + sex + expiry + nationality + _fill("", 11)
        composite = check_digit(first[5:30] + birth + expiry + second[18:29])
        return [first, second + composite, name_field(fields, 30)]
    if kind == "TD2":
        code = _fill(fields.document_code or "I", 2)
        optional = _fill(fields.optional, 7)
        composite = check_digit(number_check + birth + expiry + optional)
        return [
            code + country + name_field(fields, 31),
            number_check + nationality + birth + sex + expiry + optional + composite,
        ]
    if kind in ("MRV-A", "MRV-B"):
        length = LENGTHS[kind]
        code = _fill(fields.document_code or "V", 2)
        return [
            code + country + name_field(fields, length - 5),
            number_check + nationality + birth + sex + expiry + _fill(fields.optional, length - 28),
        ]
    raise ValueError(f"not a kind of zone: {kind}")


FAMILY_NAMES = (
    "Virtanen", "Korhonen", "Makinen", "Nieminen", "Lindqvist", "Axelsson", "Kowalska", "Novak", "Jovanovic",
    "Petrov", "Okafor", "Abdi", "Hassan", "Nguyen", "Tran", "Kim", "Park", "Sato", "Yamada", "Garcia",
    "Fernandez", "Rossi", "Bianchi", "Muller", "Schmidt", "Dubois", "Lefebvre", "Xavier", "Quispe", "Zhang",
    "Wu", "O'Brien", "Ali", "Oyj", "Smith-Jones", "Van-der-Berg", "Iqbal", "Jax", "Bo", "Ng",
)  # fmt: skip
GIVEN_NAMES = (
    "Anna", "Maria", "Juhani", "Olavi", "Elina", "Sofia", "Mohamed", "Fatima", "Ivan", "Olga", "Xin", "Wei",
    "Jose", "Luis", "Zoe", "Quentin", "Bjorn", "Ingrid", "Kofi", "Ama", "Yuki", "Hiro", "Max", "Felix",
    "Alexandra", "Ilse", "Otto", "Ida", "Eino", "Uuno", "Bob", "Gigi", "Jo", "Li",
)  # fmt: skip
COUNTRIES = (
    "FIN", "SWE", "NOR", "DNK", "EST", "LVA", "LTU", "POL", "DEU", "FRA", "ESP", "ITA", "GBR", "IRL", "USA",
    "CAN", "AUS", "NZL", "CHN", "JPN", "KOR", "IND", "NGA", "SOM", "IRQ", "SYR", "UKR", "RUS", "TUR", "BRA",
    "UTO", "D<<",
)  # fmt: skip


def random_fields(rng: random.Random) -> DocumentFields:
    """Fields drawn from `rng`: many shapes of names and numbers, dates that a person of 18 to 90 can have."""
    letters = string.ascii_uppercase + string.digits
    country = rng.choice(COUNTRIES)
    return DocumentFields(
        family_name=" ".join(rng.sample(FAMILY_NAMES, rng.choice((1, 1, 1, 2)))),
        given_names=" ".join(rng.sample(GIVEN_NAMES, rng.choice((1, 1, 2, 3)))),
        birth_date=date(rng.randint(1936, 2006), rng.randint(1, 12), rng.randint(1, 28)),
        expires=date(rng.randint(2027, 2035), rng.randint(1, 12), rng.randint(1, 28)),
        sex=rng.choice("MFX"),
        number="".join(rng.choices(letters, k=rng.choice((7, 8, 9, 9)))),
        country=country.rstrip("<"),
        nationality=rng.choice((country, rng.choice(COUNTRIES))).rstrip("<"),
        optional="".join(rng.choices(letters, k=rng.choice((0, 0, 5, 7)))),
    )
