"""Whatever a service tells the outbox has a letter in every language, or is known to need none."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from babel.messages.pofile import read_po

from tests.fixtures.requirements import REPOSITORY
from tests.unit.notify.emitted import emitted
from visitserver.domain.webhooks import TOPIC as WEBHOOK
from visitserver.notify.letters import (
    ACCOUNT_LETTERS,
    BOOKING_LETTERS,
    IDENTITY_LETTERS,
    PREFERENCE_LETTERS,
    RELATIONSHIP_LETTERS,
    SILENT,
)

BY_TOPIC: Mapping[str, tuple[str, str]] = {
    **BOOKING_LETTERS,
    **RELATIONSHIP_LETTERS,
    **PREFERENCE_LETTERS,
    **IDENTITY_LETTERS,
}


def test_every_topic_has_a_letter_or_is_silent() -> None:
    found = list(emitted())
    topics = {one.topic for one in found}
    assert {"booking.confirmed", "identity.approved", "relationship.ended", "mail", "door.review"} <= topics
    # "mail" is a letter from a template; "webhook" is an event on its way, which notify/webhooks.py carries.
    assert topics - set(BY_TOPIC) - SILENT == {"mail", WEBHOOK}
    assert {one.template for one in found if one.topic == "mail"} == set(ACCOUNT_LETTERS)


def test_no_letter_is_for_something_that_nobody_tells() -> None:
    assert set(BY_TOPIC) | SILENT <= {one.topic for one in emitted()}
    assert not set(BY_TOPIC) & SILENT


@pytest.mark.parametrize("locale", ["fi", "sv"])
def test_letters_speak_the_readers_language(locale: str) -> None:
    path = REPOSITORY / "web" / "locale" / locale / "LC_MESSAGES" / "messages.po"
    with path.open("rb") as file:
        words = read_po(file, locale=locale)
    texts = [text for letters in (BY_TOPIC, ACCOUNT_LETTERS) for letter in letters.values() for text in letter]
    assert [text for text in texts if (found := words.get(text)) is None or not found.string] == []
