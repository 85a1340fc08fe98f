"""The lock files say everything that is installed, and nothing of the machine they were made on."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.fixtures.requirements import REPOSITORY

LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements/build.lock")
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[[a-z,]+\])?==(?P<version>[^\s;]+)", re.MULTILINE)


def pins(lock: str) -> dict[str, str]:
    """Give the versions that a lock file names, by canonical name."""
    text = (REPOSITORY / lock).read_text()
    return {canonicalize_name(match["name"]): match["version"] for match in PIN.finditer(text)}


def project() -> dict[str, Any]:
    """Give the parsed pyproject.toml."""
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash_and_no_host_is_named(lock: str) -> None:
    text = (REPOSITORY / lock).read_text()
    blocks = re.split(r"\n(?=\S)", text)
    pinned = [block for block in blocks if PIN.match(block)]
    assert pinned
    for block in pinned:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block.splitlines()[0]
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host|\s@\s", text)


def test_lock_satisfies_what_the_project_asks_for() -> None:
    locked = pins("requirements.lock")
    for line in project()["project"]["dependencies"]:
        requirement = Requirement(line)
        version = locked.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is not in requirements.lock: run make lock"
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement} but {version} is locked"


def test_development_lock_holds_the_production_lock() -> None:
    production, development = pins("requirements.lock"), pins("requirements-dev.lock")
    assert {name: development.get(name) for name in production} == production


def test_dlib_comes_as_a_wheel() -> None:
    locked = pins("requirements.lock")
    assert "dlib-bin" in locked
    assert "dlib" not in locked


def test_tools_of_development_stay_out_of_production() -> None:
    assert not {"pytest", "mypy", "playwright", "ruff", "hypothesis", "uv"} & set(pins("requirements.lock"))


def test_the_build_uses_the_locked_setuptools() -> None:
    assert pins("requirements/build.lock")["setuptools"] == pins("requirements.lock")["setuptools"]
