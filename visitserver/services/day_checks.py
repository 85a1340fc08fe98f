"""The days that staff may name: what lies beyond them is a slip, or another system's word for "for ever"."""

from __future__ import annotations

from datetime import date

from visitserver.domain.errors import Invalid
from visitserver.domain.importing import EARLIEST, LATEST


def need_days(**days: date | None) -> None:
    """Invalid, with the field's name, for a day that no import would take either."""
    for field, day in days.items():
        if day is not None and not EARLIEST <= day < LATEST:
            hint = " Leave the end open if there is none." if field == "ends_on" else ""
            raise Invalid(f"This day is too far away.{hint}", field=field)
