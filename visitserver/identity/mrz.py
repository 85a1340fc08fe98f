"""Reading the text of a machine-readable zone: ICAO Doc 9303 parts 3 (common), 4 (TD3), 5 (TD1), 6 (TD2), 7 (visas).

Pure: lines in, fields and checks out. Nothing is repaired: a character that a field does not admit is a problem,
never a guess. Check digits work modulo 10, so `0 < A K U`, `1 B L V`, `6 G Q` and `8 I S` can stand for one another
unseen; names, nationality and sex have no check digit at all. `MrzReading.consistent` therefore says "nothing
contradicts", not "right".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from visitserver.identity import countries


class MrzKind(StrEnum):
    """The layouts of Doc 9303 by size of document."""

    TD1 = "TD1"
    TD2 = "TD2"
    TD3 = "TD3"
    VISA_A = "MRV-A"
    VISA_B = "MRV-B"


LENGTHS: Final = {MrzKind.TD1: 30, MrzKind.TD2: 36, MrzKind.TD3: 44, MrzKind.VISA_A: 44, MrzKind.VISA_B: 36}
FILLER: Final = "<"
_FIRST: Final = {
    MrzKind.TD1: "ACI",
    MrzKind.TD2: "ACIP",
    MrzKind.TD3: "P",
    MrzKind.VISA_A: "V",
    MrzKind.VISA_B: "V",
}
_WEIGHTS: Final = (7, 3, 1)
_ALPHABET: Final = re.compile(r"[A-Z0-9<]*")


class MrzError(ValueError):
    """The lines are not a zone. `code` is `line_count`, `line_length` or `characters`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Check:
    """One check digit: the field it guards, the character printed and the digit computed."""

    field: str
    printed: str
    computed: str

    @property
    def ok(self) -> bool:
        """Whether the printed character is the computed digit."""
        return self.printed == self.computed


@dataclass(frozen=True, slots=True)
class MrzReading:
    """What a zone says. Names have spaces for fillers; codes are without fillers; a date is None when it is none."""

    kind: MrzKind
    lines: tuple[str, ...]
    document_code: str
    issuer: str
    number: str
    family_name: str
    given_names: str
    names_cut: bool
    nationality: str
    sex: str
    birth_date: date | None
    expires: date | None
    optional: str
    checks: tuple[Check, ...]
    problems: tuple[str, ...]

    @property
    def consistent(self) -> bool:
        """Whether every check digit is right and every field has only characters that it admits."""
        return not self.problems and all(check.ok for check in self.checks)


def check_digit(text: str) -> str:
    """The check digit of `text`, weights 7 3 1, modulo 10 (Doc 9303-3, 4.9). Raises KeyError for a foreign
    character.
    """
    return str(sum(_VALUES[char] * _WEIGHTS[place % 3] for place, char in enumerate(text)) % 10)


_VALUES: Final = {FILLER: 0} | {char: int(char, 36) for char in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def kind_of(lines: Sequence[str]) -> MrzKind:
    """The layout that `lines` have. Raises MrzError when their number or lengths fit none."""
    lengths = {len(line) for line in lines}
    visa = bool(lines) and lines[0].startswith("V")
    match (len(lines), *sorted(lengths)):
        case (3, 30):
            return MrzKind.TD1
        case (2, 44):
            return MrzKind.VISA_A if visa else MrzKind.TD3
        case (2, 36):
            return MrzKind.VISA_B if visa else MrzKind.TD2
        case (2 | 3, *_):
            raise MrzError("line_length", f"lines of {', '.join(str(len(line)) for line in lines)} characters")
        case _:
            raise MrzError("line_count", f"{len(lines)} lines")


def parse(lines: Sequence[str], *, today: date) -> MrzReading:
    """The fields and checks of the zone `lines`; `today` decides the century of its two-digit years.

    Raises MrzError when they are not lines of a zone. Wrong check digits and inadmissible characters do not raise: they
    are in `checks` and `problems`.
    """
    for line in lines:
        if not _ALPHABET.fullmatch(line):
            raise MrzError("characters", "a character that no zone has")
    kind = kind_of(lines)
    return _Parser(kind, tuple(lines), today).reading()


class _Parser:
    """Takes the fields of one zone apart, collecting checks and problems."""

    def __init__(self, kind: MrzKind, lines: tuple[str, ...], today: date) -> None:
        self.kind = kind
        self.lines = lines
        self.today = today
        self.checks: list[Check] = []
        self.problems: list[str] = []

    def reading(self) -> MrzReading:
        """All fields, by the layout of this kind."""
        if self.kind is MrzKind.TD1:
            return self._td1()
        return self._two_lines()

    def _two_lines(self) -> MrzReading:
        first, second = self.lines
        length = LENGTHS[self.kind]
        number = self._checked("number", second[0:9], second[9])
        optional = second[28:length]
        if self.kind is MrzKind.TD3:
            # An empty personal number may carry a filler for a check digit (9303-4, 4.2.2.2).
            personal, printed = second[28:42], second[42]
            if personal.strip(FILLER) or printed != FILLER:
                self._check("optional", personal, printed)
            optional = personal
        birth, expires = second[13:19], second[21:27]
        self._check("birth_date", birth, second[19])
        self._check("expires", expires, second[27])
        if self.kind is MrzKind.TD2:
            if second[9] == FILLER and second[28:35].strip(FILLER):
                number, optional = self._long_number(second[0:9], second[28:35])
            else:
                optional = second[28:35]
        if self.kind in (MrzKind.TD2, MrzKind.TD3):
            self._check("composite", second[0:10] + second[13:20] + second[21 : length - 1], second[length - 1])
        return self._assemble(
            first[0:2], first[2:5], number, first[5:], second[10:13], second[20], birth, expires, optional
        )

    def _td1(self) -> MrzReading:
        first, second, third = self.lines
        if first[14] == FILLER and first[15:30].strip(FILLER):
            number, optional = self._long_number(first[5:14], first[15:30])
        else:
            number, optional = self._checked("number", first[5:14], first[14]), first[15:30]
        birth, expires = second[0:6], second[8:14]
        self._check("birth_date", birth, second[6])
        self._check("expires", expires, second[14])
        self._check("composite", first[5:30] + second[0:7] + second[8:15] + second[18:29], second[29])
        optional = optional.rstrip(FILLER) + (" " + second[18:29] if second[18:29].strip(FILLER) else "")
        return self._assemble(
            first[0:2], first[2:5], number, third, second[15:18], second[7], birth, expires, optional.strip()
        )

    def _long_number(self, start: str, rest: str) -> tuple[str, str]:
        """A number of more than nine characters goes on in the optional field, then its check digit, then a filler."""
        continued, _, optional = rest.partition(FILLER)
        number = start + continued[:-1]
        self._check("number", number, continued[-1:] or FILLER)
        return number, optional

    def _checked(self, field: str, text: str, printed: str) -> str:
        self._check(field, text, printed)
        return text

    def _check(self, field: str, text: str, printed: str) -> None:
        self.checks.append(Check(field, printed, check_digit(text)))

    def _assemble(
        self,
        code: str,
        issuer: str,
        number: str,
        names: str,
        nationality: str,
        sex: str,
        birth: str,
        expires: str,
        optional: str,
    ) -> MrzReading:
        family, given = self._names(names)
        return MrzReading(
            kind=self.kind,
            lines=self.lines,
            document_code=self._code(code),
            issuer=self._country("issuer", issuer),
            number=number.rstrip(FILLER),
            family_name=family,
            given_names=given,
            names_cut=not names.endswith(FILLER),
            nationality=self._country("nationality", nationality),
            sex=self._sex(sex),
            birth_date=self._date("birth_date", birth, future=False),
            expires=self._date("expires", expires, future=True),
            optional=optional.strip(FILLER),
            checks=tuple(self.checks),
            problems=tuple(self.problems),
        )

    def _code(self, text: str) -> str:
        """The first letter says what the document is: P a passport, V a visa, A, C or I a card (9303-4, -5, -6, -7)."""
        if text[0] not in _FIRST[self.kind]:
            self.problems.append("document_code:unknown")
        return text.rstrip(FILLER)

    def _letters(self, field: str, text: str) -> str:
        if any(char.isdigit() for char in text):
            self.problems.append(f"{field}:digit")
        return text.rstrip(FILLER)

    def _country(self, field: str, text: str) -> str:
        code = self._letters(field, text)
        if not countries.is_known(code):
            self.problems.append(f"{field}:unknown")
        return code

    def _sex(self, char: str) -> str:
        if char not in ("M", "F", "X", FILLER):
            self.problems.append("sex:unknown")
        return "X" if char == FILLER else char

    def _names(self, text: str) -> tuple[str, str]:
        if any(char.isdigit() for char in text):
            self.problems.append("names:digit")
        if text.startswith(FILLER) or not text.strip(FILLER):
            self.problems.append("names:missing")
        primary, _, secondary = text.rstrip(FILLER).partition(FILLER * 2)
        return primary.replace(FILLER, " ").strip(), " ".join(secondary.replace(FILLER, " ").split())

    def _date(self, field: str, text: str, *, future: bool) -> date | None:
        """A date without its century. A birth is the latest that is not after today; an expiry the nearest to today."""
        if FILLER in text:
            self.problems.append(f"{field}:incomplete")
            return None
        if not text.isdigit():
            self.problems.append(f"{field}:letter")
            return None
        year, month, day = int(text[0:2]), int(text[2:4]), int(text[4:6])
        century = self.today.year - self.today.year % 100
        candidates = [
            found for start in (century - 100, century, century + 100) if (found := _day(start + year, month, day))
        ]
        if not future:
            candidates = [found for found in candidates if found <= self.today]
        if not candidates:
            self.problems.append(f"{field}:no_such_day")
            return None
        return min(candidates, key=lambda found: abs((found - self.today).days)) if future else max(candidates)


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
