"""The documents of the contact rights say what the code says."""

from __future__ import annotations

import pytest

from tests.fixtures.requirements import REPOSITORY
from tests.unit.domain.rights import document
from tests.unit.domain.rights.table import CASES
from visitserver.domain.policies import KEYS
from visitserver.domain.rules.order import RULES
from visitserver.rules_document import renewed

RIGHTS = REPOSITORY / "docs" / "contact-rights.md"


def test_the_tables_of_rules_and_policies_are_up_to_date() -> None:
    """If not: visitserver rules --write docs/contact-rights.md."""
    text = RIGHTS.read_text()
    assert renewed(text) == text
    assert all(f"`{rule.key}`" in text for rule in RULES)
    assert all(f"`{name}`" in text for name in KEYS)


def test_the_cases_are_up_to_date() -> None:
    """If not: python -m tests.unit.domain.rights.document."""
    text = document.PATH.read_text()
    assert document.document() == text
    assert text.count("\n| ") == len(CASES) + 2 * len(RULES)


def test_a_document_without_a_place_for_a_table_is_refused() -> None:
    with pytest.raises(ValueError, match="policies"):
        renewed("<!-- rules: made by `visitserver rules` -->\n<!-- end of rules -->")
