"""Whether a name as typed and a name in a machine-readable zone can be the same."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# ICAO Doc 9303-3 section 6.A, for the letters whose written-out form is not the bare letter.
_WRITTEN_OUT: Final = {
    "Ä": "AE", "Æ": "AE", "Å": "AA", "Ö": "OE", "Ø": "OE", "Œ": "OE", "Ü": "UE", "ß": "SS", "ẞ": "SS", "Þ": "TH",
    "Ð": "D", "Đ": "D", "Ł": "L", "Ħ": "H", "Ŧ": "T", "Ŋ": "N", "Ĳ": "IJ", "İ": "I", "ı": "I",
}  # fmt: skip
# States that do not write out print the bare letter.
_BARE: Final = {"Æ": "AE", "Ø": "O", "Œ": "OE", "ß": "SS", "ẞ": "SS", "Þ": "TH", "Ð": "D", "Đ": "D", "Ł": "L", "ı": "I"}
_ENDS_OR_JOINS: Final = re.compile(r"[^A-Z ]+")


def forms(name: str) -> frozenset[str]:
    """How `name` may stand in a zone, fillers as single spaces: written out after ICAO, with bare letters, and
    joined.
    """
    upper = unicodedata.normalize("NFC", name).upper().replace("ß".upper(), "SS")
    found = set()
    for table in (_WRITTEN_OUT, _BARE):
        replaced = "".join(table.get(char, char) for char in upper)
        plain = unicodedata.normalize("NFKD", replaced)
        letters = "".join(char for char in plain if not unicodedata.combining(char))
        for joint in (" ", ""):
            # A hyphen becomes a filler, an apostrophe nothing (9303-3, 4.6); some states leave both out.
            spaced = letters.replace("-", joint).replace("'", "").replace("’", "")
            found.add(" ".join(_ENDS_OR_JOINS.sub(" ", spaced).split()))
    return frozenset(found)


def family_agrees(typed: str, printed: str, *, cut: bool) -> bool:
    """Whether the family name can be the same; `cut` says that the zone had no room for all of it."""
    bare = printed.replace(" ", "")
    for form in forms(typed):
        joined = form.replace(" ", "")
        if joined == bare or (cut and bare and joined.startswith(bare)):
            return True
    return False


def given_agrees(typed: str, printed: str, *, cut: bool) -> bool:
    """Whether every given name typed stands in the zone, in any order: people leave out names, documents do not.

    With `cut` the last one in the zone may be the beginning of one that was typed.
    """
    there = printed.split()
    joined = printed.replace(" ", "")
    for form in forms(typed):
        wanted = form.split()
        if not wanted:
            continue
        if form.replace(" ", "") == joined:
            return True
        missing = [name for name in wanted if name not in there]
        if not missing:
            return True
        if cut and there and len(missing) < len(wanted) + (len(there) == 1):
            last = there[-1]
            if any(name.startswith(last) for name in missing):
                return True
    return False
