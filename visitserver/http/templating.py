"""Pages: Jinja with autoescape, gettext catalogues read from .po files, static files by content hash."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import date, datetime, timedelta
from gettext import NullTranslations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import aiohttp_jinja2
import jinja2
from aiohttp import web
from babel import Locale, negotiate_locale
from babel.dates import format_date, format_datetime, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

from visitserver.http.assets import Assets

if TYPE_CHECKING:
    from visitserver.http.ctx import Ctx

DEFAULT_LOCALE: Final = "en"
DOMAIN: Final = "messages"
_DATES_AS: Final = {"en": "en_GB"}
"""English dates are the European kind: day before month, 24 hours."""

_locale: ContextVar[str] = ContextVar("locale", default=DEFAULT_LOCALE)


class Templates:
    """The templates of one application, in every language for which web/locale has a catalogue."""

    def __init__(self, app: web.Application, directory: Path, assets: Assets) -> None:
        self._app = app
        self._assets = assets
        self._catalogues = load_catalogues(directory / "locale")
        environment = aiohttp_jinja2.setup(
            app,
            loader=jinja2.FileSystemLoader(directory / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
        )
        environment.install_gettext_callables(  # type: ignore[attr-defined]  # added by jinja2.ext.i18n
            lambda text: self._catalogue().gettext(text),
            lambda one, many, n: self._catalogue().ngettext(one, many, n),
            newstyle=True,
            pgettext=lambda context, text: self._catalogue().pgettext(context, text),
        )
        environment.globals["static"] = assets.url
        environment.filters |= {"datetime": _datetime, "date": _date, "time": _time, "minutes": _minutes}
        self.environment = environment

    @property
    def locales(self) -> tuple[str, ...]:
        """The languages there are, English first."""
        return tuple(self._catalogues)

    def choose_locale(self, preferred: str | None, accept_language: str) -> str:
        """The best of our languages: the person's own choice, then the browser's list, then English."""
        wanted = [preferred] if preferred else []
        wanted += [part.split(";")[0].strip().replace("-", "_") for part in accept_language[:200].split(",")]
        return negotiate_locale([tag for tag in wanted if tag], self.locales, sep="_") or DEFAULT_LOCALE

    def translate(self, locale: str, message: str) -> str:
        """`message` from the catalogue of `locale`; itself where that has none."""
        return self._catalogues.get(locale, self._catalogues[DEFAULT_LOCALE]).gettext(message)

    def render(self, template: str, ctx: Ctx, data: Mapping[str, Any]) -> str:
        """The page's text. `data` may hide none of the names that every page has."""
        always = {
            "ctx": ctx,
            "principal": ctx.principal,
            "csrf_token": ctx.csrf_token,
            "request_id": ctx.request_id,
            "path": ctx.request.path,
            "locale": ctx.locale,
            "locales": self.locales,
            "text_direction": Locale.parse(ctx.locale).text_direction,
            "now": ctx.clock(),
        }
        if clash := always.keys() & data.keys():
            raise ValueError(f"{template}: {', '.join(sorted(clash))} are taken")
        token = _locale.set(ctx.locale)
        try:
            return aiohttp_jinja2.render_string(template, ctx.request, {**always, **data})
        finally:
            _locale.reset(token)

    def _catalogue(self) -> NullTranslations:
        return self._catalogues.get(_locale.get(), self._catalogues[DEFAULT_LOCALE])


def load_catalogues(directory: Path) -> dict[str, NullTranslations]:
    """Every `<locale>/LC_MESSAGES/messages.po` below `directory`. English needs none: message ids are English."""
    catalogues: dict[str, NullTranslations] = {DEFAULT_LOCALE: NullTranslations()}
    for path in sorted(directory.glob(f"*/LC_MESSAGES/{DOMAIN}.po")):
        locale = path.parent.parent.name
        with path.open("rb") as file:
            catalogue = read_po(file, locale=locale)
        compiled = io.BytesIO()
        write_mo(compiled, catalogue)
        compiled.seek(0)
        catalogues[locale] = Translations(compiled, domain=DOMAIN)
    return catalogues


def _zone(zone: str | ZoneInfo) -> ZoneInfo:
    return zone if isinstance(zone, ZoneInfo) else ZoneInfo(zone)


def date_locale(locale: str) -> str:
    """The locale in which dates are written for readers of `locale`."""
    return _DATES_AS.get(locale, locale)


def _datetime(moment: datetime, zone: str | ZoneInfo, style: str = "medium") -> str:
    """`moment` in `zone` (IANA name), in the reader's language."""
    return format_datetime(moment, format=style, tzinfo=_zone(zone), locale=date_locale(_locale.get()))


def _date(day: date | datetime, zone: str | ZoneInfo = "UTC", style: str = "full") -> str:
    """A day in words; of a moment, the day it is in `zone`."""
    if isinstance(day, datetime):
        day = day.astimezone(_zone(zone)).date()
    return format_date(day, format=style, locale=date_locale(_locale.get()))


def _time(moment: datetime, zone: str | ZoneInfo, style: str = "short") -> str:
    """The time of day of `moment` in `zone`."""
    return format_time(moment, format=style, tzinfo=_zone(zone), locale=date_locale(_locale.get()))


def _minutes(duration: timedelta) -> int:
    """Whole minutes of a duration, rounded down."""
    return int(duration.total_seconds() // 60)
