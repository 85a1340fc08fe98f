"""Which characters can stand at each place of a zone (ICAO Doc 9303 parts 4 to 7)."""

from __future__ import annotations

from typing import Final

LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS: Final = "0123456789"
_ANY: Final = LETTERS + DIGITS + "<"
_NAME: Final = LETTERS + "<"
_FIGURES: Final = DIGITS + "<"
_SEX: Final = "MFX<"


def _spans(*spans: tuple[int, str]) -> tuple[str, ...]:
    return tuple(characters for length, characters in spans for _ in range(length))


_TD1: Final = (
    _spans((1, "ACI"), (1, _ANY), (3, _NAME), (9, _ANY), (1, _FIGURES), (15, _ANY)),
    _spans((7, _FIGURES), (1, _SEX), (7, _FIGURES), (3, _NAME), (11, _ANY), (1, DIGITS)),
    _spans((30, _NAME)),
)
_HEAD: Final = ((1, _ANY), (3, _NAME))
_BODY: Final = ((9, _ANY), (1, _FIGURES), (3, _NAME), (7, _FIGURES), (1, _SEX), (7, _FIGURES))
_TD2: Final = (_spans((1, "ACIP"), *_HEAD, (31, _NAME)), _spans(*_BODY, (7, _ANY), (1, DIGITS)))
_TD3: Final = (_spans((1, "P"), *_HEAD, (39, _NAME)), _spans(*_BODY, (14, _ANY), (1, _FIGURES), (1, DIGITS)))
_VISA_B: Final = (_spans((1, "V"), *_HEAD, (31, _NAME)), _spans(*_BODY, (8, _ANY)))
_VISA_A: Final = (_spans((1, "V"), *_HEAD, (39, _NAME)), _spans(*_BODY, (16, _ANY)))


def admitted(kind: tuple[int, int], line: int, place: int, visa: bool) -> str:
    """The characters that can stand at `place` of `line` in a zone of `kind` (lines, characters a line)."""
    layout: tuple[tuple[str, ...], ...]
    if kind == (3, 30):
        layout = _TD1
    elif kind == (2, 36):
        layout = _VISA_B if visa else _TD2
    elif kind == (2, 44):
        layout = _VISA_A if visa else _TD3
    else:
        return _ANY
    return layout[line][place]
