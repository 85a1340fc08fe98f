"""The threat model names tests; each of them exists."""

from __future__ import annotations

import ast
import re

from tests.fixtures.requirements import REPOSITORY

NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_test_that_the_threat_model_names_exists() -> None:
    text = (REPOSITORY / "docs" / "threat-model.md").read_text("utf-8")
    named = set(NAMED.findall(text))
    assert len(named) > 50
    missing = []
    for path, name in sorted(named):
        file = REPOSITORY / path
        defined = set()
        if file.is_file():
            tree = ast.parse(file.read_text("utf-8"))
            defined = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
        if name not in defined:
            missing.append(f"{path}::{name}")
    assert not missing, "\n".join(missing)


def test_no_countermeasure_waits_for_its_tests_to_be_named() -> None:
    text = (REPOSITORY / "docs" / "threat-model.md").read_text("utf-8")
    assert "to be named" not in text
