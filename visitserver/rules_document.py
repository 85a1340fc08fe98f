"""The tables of docs/contact-rights.md: every rule and every policy, from the code itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from visitserver.domain.policies import KEYS, PolicyKey
from visitserver.domain.rules.order import RULES

_MARK: Final = re.compile(
    r"(?P<start><!-- (?P<name>[a-z]+): made by `visitserver rules` -->\n).*?(?P<end><!-- end of (?P=name) -->)",
    re.DOTALL,
)


def rules_table() -> str:
    """Each rule in the order in which it is asked."""
    rows = (
        (
            rule.number,
            f"`{rule.key}`",
            rule.summary,
            "yes, with a reason" if rule.overridable else "no",
            ", ".join(f"`{key.name}`" for key in rule.uses) or "none",
        )
        for rule in RULES
    )
    return _table(("No.", "Key", "What it says", "Can staff set it aside?", "Policies"), rows)


def policies_table() -> str:
    """Each policy with its default and what else it may be."""
    readers = {name: [rule.key for rule in RULES if any(key.name == name for key in rule.uses)] for name in KEYS}
    rows = (
        (
            f"`{key.name}`",
            key.summary,
            _value(key.default),
            _range(key),
            ", ".join(f"`{rule}`" for rule in readers[key.name]) or "no rule",
        )
        for key in KEYS.values()
    )
    return _table(("Policy", "What it is", "Default", "May be", "Read by"), rows)


TABLES: Final = {"rules": rules_table, "policies": policies_table}


def renewed(document: str) -> str:
    """The document with its tables made anew. ValueError when one of the tables has no place in it."""
    missing = set(TABLES) - {match["name"] for match in _MARK.finditer(document)}
    if missing:
        raise ValueError(f"there is no place for: {', '.join(sorted(missing))}")
    return _MARK.sub(lambda match: f"{match['start']}\n{TABLES[match['name']]()}\n\n{match['end']}", document)


def renew(path: Path) -> bool:
    """Write the tables into the file; whether anything changed."""
    before = path.read_text()
    after = renewed(before)
    path.write_text(after)
    return after != before


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "(empty)"
    return str(value)


def _range(key: PolicyKey) -> str:
    if isinstance(key.default, bool):
        return "yes, no"
    if isinstance(key.default, int):
        return f"{key.lowest} to {key.highest}"
    return "a set of texts"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    def lines() -> Iterator[str]:
        yield f"| {' | '.join(head)} |"
        yield f"|{'|'.join(' --- ' for _ in head)}|"
        for row in rows:
            yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"

    return "\n".join(lines())
