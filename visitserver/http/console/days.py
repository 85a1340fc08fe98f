"""Days as people give them: none so far away that a week before or after it is no day any more."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final

from pydantic import Field

FIRST: Final = date(2000, 1, 1)
LAST: Final = date(2199, 12, 31)

Day = Annotated[date, Field(ge=FIRST, le=LAST)]
"""A day from 2000 to 2199."""
