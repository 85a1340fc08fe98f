"""Rules of the house that no linter knows: who may see the composition root, and how long a module may be."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

from tests.fixtures.requirements import REPOSITORY

PACKAGES = ("visitserver", "signaling", "recorder")
ROOT_OF_ALL = "visitserver.bootstrap"
MAY_SEE_IT = (
    "visitserver.bootstrap",
    "visitserver.admin",
    "visitserver.cli",
    "visitserver.import_command",
    "visitserver.why_command",
    "visitserver.demo",
    "visitserver.__main__",
)
MEDIAN_LINES = 150
MOST_LINES = 400
LONGER_FOR_A_REASON = {
    "recorder/standalone_verify.py": "one file on purpose: a court's expert reads and runs it alone",
    "signaling/room.py": "who is told what, and in which order, is right or wrong as a whole",
    "signaling/monitored_room.py": "the same for those who watch: watches, walls and the recorder end together",
    "signaling/call_machine.py": "what may follow what in a call is read, and checked, in one place",
    "visitserver/bootstrap.py": "the one list of what is put together; a second one would hide gaps",
    "signaling/media/forwarder.py": "start, catching up, switching and repair share one slot's numbers",
}


def modules(root: Path, *packages: str) -> Iterator[Path]:
    """Give every Python file of the packages, generated migrations left out."""
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            if "versions" not in path.parts:
                yield path


def imported(path: Path, root: Path) -> set[str]:
    """Give the dotted names that a file imports, wherever in it, relative ones resolved."""
    package = list(path.relative_to(root).parent.parts)
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return names


def who_sees(name: str, root: Path, *packages: str) -> set[str]:
    """Give the modules that import `name` or something inside it."""
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        for path in modules(root, *packages)
        if any(one == name or one.startswith(f"{name}.") for one in imported(path, root))
    }


def test_only_the_command_line_sees_the_composition_root() -> None:
    others = {
        module
        for module in who_sees(ROOT_OF_ALL, REPOSITORY, *PACKAGES)
        if not any(module == allowed or module.startswith(f"{allowed}.") for allowed in MAY_SEE_IT)
    }
    assert not others, f"{sorted(others)} import {ROOT_OF_ALL}: take what you need as an argument"


def test_the_check_finds_each_way_of_importing(tmp_path: Path) -> None:
    package = tmp_path / "visitserver"
    (package / "services").mkdir(parents=True)
    (package / "services" / "absolute.py").write_text("import visitserver.bootstrap\n")
    (package / "services" / "member.py").write_text("def late():\n    from visitserver import bootstrap\n")
    (package / "services" / "relative.py").write_text("from ..bootstrap import wire\n")
    (package / "services" / "innocent.py").write_text("from visitserver.services import bootstrapping\n")
    (package / "sibling.py").write_text("from . import bootstrap\n")
    assert who_sees(ROOT_OF_ALL, tmp_path, "visitserver") == {
        "visitserver.services.absolute",
        "visitserver.services.member",
        "visitserver.services.relative",
        "visitserver.sibling",
    }


def test_modules_are_short() -> None:
    lines = {
        str(path.relative_to(REPOSITORY)): len(path.read_text().splitlines())
        for path in modules(REPOSITORY, *PACKAGES)
        if path.read_text().strip()
    }
    assert statistics.median(lines.values()) < MEDIAN_LINES
    too_long = {name: count for name, count in lines.items() if count > MOST_LINES and name not in LONGER_FOR_A_REASON}
    assert not too_long, f"over {MOST_LINES} lines: divide it, or give the reason in LONGER_FOR_A_REASON"
