"""Finnish and Swedish: everything that families and prisoners read has words, with the same places for values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from tests.fixtures.requirements import REPOSITORY

LOCALE = REPOSITORY / "web" / "locale"
READ_BY_EVERYBODY = ("family", "terminal", "partials")
PLACE = re.compile(r"%\((\w+)\)[sd]|(?<!\{)\{(\w+)\}(?!\})")


def catalogue(locale: str) -> Catalog:
    with (LOCALE / locale / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=locale)


def texts(entry: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return (entry,) if isinstance(entry, str) else tuple(entry)


def wanted() -> Iterator[str | tuple[str, ...]]:
    """The messages of the pages that families and prisoners see, and of the frame around them."""
    templates = REPOSITORY / "web" / "templates"
    options = {"**.html": {"newstyle_gettext": "true", "silent": "false"}}
    for name, _, message, *_ in extract_from_dir(templates, [("**.html", "jinja2")], options):
        folder = Path(name).parts[0] if len(Path(name).parts) > 1 else ""
        if folder in READ_BY_EVERYBODY or name in ("base.html", "calm.html", "macros.html", "parts.html", "error.html"):
            yield message


@pytest.mark.parametrize("locale", ["fi", "sv"])
def test_families_and_prisoners_have_every_word(locale: str) -> None:
    words = catalogue(locale)
    asked = {message if isinstance(message, str) else message[0] for message in wanted()}
    assert len(asked) > 300
    missing = [text for text in asked if (found := words.get(text)) is None or not all(texts(found.string))]
    assert missing == []


@pytest.mark.parametrize("locale", ["fi", "sv"])
def test_places_for_values_are_the_same(locale: str) -> None:
    wrong = []
    for message in catalogue(locale):
        if not message.id or not any(texts(message.string)):
            continue
        expected = set(PLACE.findall(texts(message.id)[-1]))
        for said in texts(message.string):
            if set(PLACE.findall(said)) != expected:
                wrong.append((message.id, said))
    assert wrong == []
