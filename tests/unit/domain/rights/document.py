"""The table of cases as a document: run as a module, it writes docs/contact-rights-cases.md."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from tests.fixtures.requirements import REPOSITORY
from tests.unit.domain.rights.table import CASES
from tests.unit.domain.rights.world import Row, fine
from visitserver.domain.decisions import Decision, Outcome
from visitserver.domain.rules.order import RULES, decide_visit

PATH = REPOSITORY / "docs" / "contact-rights-cases.md"
SAYS = {Outcome.ALLOW: "allowed", Outcome.REVIEW: "a person decides", Outcome.REFUSE: "**refused**"}
HEAD = """# Contact rights, case by case

Every row changes one thing about a visit that is otherwise fine: a mother of 46 who is approved, accepted and known
visits her daughter, a convicted adult at the standard level who was admitted on 27 February, at Kuura prison on
Friday 6 March 2026 at nine in the morning, for half an hour, paid by a standard credit; she asks on Monday 2 March.
*A lawyer*, *a consul*, *an inspector* and *a social worker* make such a visit of their own kind instead. The decision
is that of the rule in question alone. What the family hears stands as it is said, in English; staff read the other
text.

Made from the tests by `python -m tests.unit.domain.rights.document`.
"""


def document() -> str:
    """The whole document."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield HEAD
    rules = {rule.key: rule for rule in RULES}
    for key, rows in groupby(CASES, key=lambda row: row.rule):
        yield f"## {rules[key].number} · `{key}`\n"
        yield f"{rules[key].summary}\n"
        yield "| Situation | Decision | The family hears | What would change it | Staff read |"
        yield "| --- | --- | --- | --- | --- |"
        for row in rows:
            yield _row(row)
        yield ""


def _row(row: Row) -> str:
    decision = decide_visit(row.make(fine()))
    said = Decision(tuple(result for result in decision.trace if result.key == row.rule))
    staff = " ".join(dict.fromkeys(result.staff_text for result in said.deciding))
    cells = (row.situation, SAYS[said.outcome], " ".join(said.safe_words), " ".join(said.what_would_change), staff)
    watched = " An officer watches." if said.live_supervision else ""
    return f"| {' | '.join(cell or '–' for cell in cells)}{watched} |".replace("–", "·")


if __name__ == "__main__":
    PATH.write_text(document())
