"""Where to go on after signing in: only to a page of ours, of the same audience."""

from __future__ import annotations

import re
from typing import Final

_PATH: Final = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,500}")


def onward(wanted: str, start: str, *, under: str = "/", not_under: tuple[str, ...] = ()) -> str:
    """`wanted` if it is a plain path below `under`, else `start`. Never another host, whatever was typed."""
    if not _PATH.fullmatch(wanted) or not wanted.startswith(under) or wanted.startswith(not_under):
        return start
    return wanted
