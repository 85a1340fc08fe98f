"""Days as people give them: none so far away that a week before or after it is no day any more."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from visitserver.services.clock import FIRST_DAY, LAST_DAY

Day = Annotated[date, Field(ge=FIRST_DAY, le=LAST_DAY)]
"""A day from 2000 to 2199."""
