"""What every test shares: the fixtures of tests/fixtures, a kind for each test, and the count by kind.

The kind of a test is the folder it lies in (tests/<kind>/...). It becomes a marker, so `-m "not e2e"` works, and the
last lines of a run say how many of each kind passed, failed and were skipped.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
KINDS = ("unit", "integration", "access", "e2e", "faults", "concurrency", "fuzz", "bench")

pytest_plugins = [
    f"tests.fixtures.{module.stem}"
    for module in sorted((TESTS / "fixtures").glob("*.py"))
    if not module.stem.startswith("_")
]
pytest.register_assert_rewrite(*pytest_plugins)  # before the first of them imports another


def kind_of(path: Path) -> str:
    """Give the kind of the test file at `path`; raises pytest.UsageError where it lies in no kind's folder."""
    folder = path.relative_to(TESTS).parts[0]
    if folder not in KINDS:
        raise pytest.UsageError(f"{path}: a test lies in a folder of its kind: tests/{{{','.join(KINDS)}}}/")
    return folder


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark every test with its kind, and leave out what belongs to the night unless it is asked for by name."""
    for item in items:
        item.add_marker(kind_of(item.path))
    if "nightly" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("nightly")]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]


def kind_of_report(report: pytest.TestReport | pytest.CollectReport) -> str | None:
    """Give the kind of the test that a report is about, None where it is about none."""
    parts = Path(report.nodeid.partition("::")[0]).parts
    return next((part for part in parts[:2] if part in KINDS), None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many tests of each kind passed, failed and were skipped, and how long they took."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    seconds: Counter[str] = Counter()
    for outcome, reports in terminalreporter.stats.items():
        for report in reports:
            if not isinstance(report, pytest.TestReport | pytest.CollectReport):
                continue
            if (kind := kind_of_report(report)) is None:
                continue
            if outcome:  # set-up and tear-down that went well are filed under ""
                counts[kind][outcome] += 1
            if isinstance(report, pytest.TestReport):
                seconds[kind] += round(report.duration * 1000)
    terminalreporter.section("tests by kind")
    for kind in KINDS:
        if total := sum(counts[kind].values()):
            parts = ", ".join(f"{number} {outcome}" for outcome, number in sorted(counts[kind].items()))
            terminalreporter.line(f"{kind:<12} {total:>6}   {seconds[kind] / 1000:>8.1f} s   {parts}")
