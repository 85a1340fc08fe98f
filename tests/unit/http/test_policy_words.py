"""Policies as their page shows and reads them."""

from __future__ import annotations

import pytest

from visitserver.domain.errors import Invalid
from visitserver.domain.policies import KEYS, PolicyKey
from visitserver.http.console import policy_words as words


def test_every_policy_has_a_heading_a_group_and_a_unit() -> None:
    assert set(words.TITLES) == set(KEYS)
    for key in KEYS.values():
        assert words.group(key)
        assert bool(words.unit(key)) is (words.kind(key) != "yes_no"), key.name


@pytest.mark.parametrize("key", KEYS.values(), ids=lambda key: key.name)
def test_what_a_form_shows_it_reads_back(key: PolicyKey) -> None:
    fields = words.filled_in(key, key.stored(key.default))
    assert words.read(key, fields) == key.default


@pytest.mark.parametrize(
    ("name", "texts", "read"),
    [
        ("callers.max", [" 3 "], 3),
        ("identity.required_to_book", ["no"], False),
        ("alerts.ignored_codes", ["diet, hearing_aid\r\nX"], frozenset({"DIET", "HEARING-AID", "X"})),
        ("alerts.ignored_codes", [""], frozenset()),
        ("review.working_weekdays", ["MON", "SUN"], frozenset({"MON", "SUN"})),
        ("review.holidays", ["2026-12-24; 2026-12-25"], frozenset({"2026-12-24", "2026-12-25"})),
    ],
)
def test_values_are_read(name: str, texts: list[str], read: object) -> None:
    assert words.read(KEYS[name], texts) == read


@pytest.mark.parametrize(
    ("name", "texts", "said"),
    [
        ("callers.max", [], "from 1 to 4"),
        ("callers.max", ["5"], "from 1 to 4"),
        ("callers.max", ["3", "4"], "from 1 to 4"),
        ("callers.max", ["٣"], "from 1 to 4"),
        ("callers.max", ["-1"], "from 1 to 4"),
        ("identity.required_to_book", ["maybe"], "yes or no"),
        ("identity.required_to_book", [], "yes or no"),
        ("review.working_weekdays", ["FUNDAY"], "days of the week"),
        ("review.holidays", ["24.12.2026"], "year-month-day"),
        ("alerts.review_codes", ["*"], "Write codes"),
    ],
)
def test_what_is_no_value_is_said_in_plain_words(name: str, texts: list[str], said: str) -> None:
    with pytest.raises(Invalid, match=said) as caught:
        words.read(KEYS[name], texts)
    assert caught.value.field == "value"


def test_values_are_shown_with_their_unit() -> None:
    officers = KEYS["supervision.officers"]
    assert (words.shown(officers, 1), words.unit(officers, 1), words.unit(officers, 2)) == ("1", "officer", "officers")
    assert words.shown(KEYS["review.working_weekdays"], ["SUN", "MON"]) == "Mon, Sun"
    assert words.shown(KEYS["alerts.ignored_codes"], []) == "none"
