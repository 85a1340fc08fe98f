"""What was looked at before something is done, and lists in parts."""

from __future__ import annotations

import pytest
from multidict import MultiDict

from visitserver.http.console import looked_at
from visitserver.http.console.looked_at import digest, part_of

FORM = MultiDict({"csrf_token": "t", "name": "Daily", "ends_at": "12:00", "seen": "", "empty": " "})
FORM.extend([("weekdays", "1"), ("weekdays", "2")])


def test_the_same_form_is_the_same_word_whatever_its_token_reason_and_part() -> None:
    again = MultiDict(FORM)
    again.update({"csrf_token": "other", "seen": digest(FORM), "part": "3", "reason": "because", "empty": ""})
    assert digest(again) == digest(FORM)


@pytest.mark.parametrize(
    "change", [{"ends_at": "12:30"}, {"name": ""}, {"weekdays": "1"}, {"words": "hello"}], ids=lambda each: str(each)
)
def test_another_matter_is_another_word(change: dict[str, str]) -> None:
    changed = MultiDict(FORM)
    changed.update(change)
    assert digest(changed) != digest(FORM)


def test_fields_beside_the_matter_may_change() -> None:
    changed = MultiDict(FORM)
    changed.add("public_words", "The roof is mended.")
    assert digest(changed, {"public_words"}) == digest(FORM)


def test_a_list_is_shown_in_parts_and_never_beyond_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looked_at, "AT_ONCE", 2)
    parts = [part_of(list("abcde"), number) for number in (0, 1, 2, 9)]
    assert ["".join(part.shown) for part in parts] == ["ab", "cd", "e", "e"]
    assert [(part.first, part.last, part.all) for part in parts[:3]] == [(1, 2, 5), (3, 4, 5), (5, 5, 5)]
    assert [(part.earlier, part.later) for part in parts[:3]] == [(None, 1), (0, 2), (1, None)]
    assert part_of([], 4) == looked_at.Part([], 0, 0, 0, None, None)
