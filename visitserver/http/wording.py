"""Values inside sentences: dates and moments as the reader's language writes them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from babel.dates import format_date, format_datetime

from visitserver.http.templating import date_locale


def shown_in(locale: str, zone: tzinfo = UTC) -> Callable[[Any], str]:
    """A writer of values for `Decision.say`: days as days, moments in `zone`, everything else as its text."""
    locale = date_locale(locale)

    def show(value: Any) -> str:
        if isinstance(value, datetime):
            return format_datetime(value, "d MMMM y HH:mm", tzinfo=zone, locale=locale)
        if isinstance(value, date):
            return format_date(value, "d MMMM y", locale=locale)
        return str(value)

    return show
