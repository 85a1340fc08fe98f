"""The browser's protocol modules under node's own test runner, and their types under tsc."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.requirements import REPOSITORY, missing, program

TESTS = Path(__file__).parent / "js"
SOURCES = REPOSITORY / "web" / "static" / "js"


@pytest.mark.parametrize("name", sorted(path.name for path in TESTS.glob("*.test.js")))
def test_module(name: str) -> None:
    node = program("node", "nodejs")
    done = subprocess.run(
        [node, "--test", "--test-reporter=tap", TESTS / name], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # A file that registers no test passes in node's eyes.
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed and int(passed[1]) > 1, done.stdout


def test_every_protocol_module_has_its_test() -> None:
    modules = {path.stem for path in (SOURCES / "protocol").glob("*.js")}
    texts = [path.read_text(encoding="utf-8") for path in TESTS.glob("*.test.js")]
    untested = {name for name in modules if not any(f"protocol/{name}.js" in text for text in texts)}
    assert not untested


def test_types() -> None:
    tsc = REPOSITORY / "node_modules" / ".bin" / "tsc"
    if not tsc.is_file():
        missing("TypeScript is not there: run `npm ci`")
    done = subprocess.run([tsc, "-p", REPOSITORY], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout


def test_protocol_knows_no_page() -> None:
    for path in (SOURCES / "protocol").glob("*.js"):
        code = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        code = re.sub(r"(^|\s)//.*", "", code)
        assert not re.search(r"\b(document\.|HTMLElement|querySelector)", code), path.name
