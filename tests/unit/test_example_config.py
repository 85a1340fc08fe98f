"""configs/visitserver.example.toml says what the settings are, and a file made from it loads."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fixtures.requirements import REPOSITORY
from visitserver.config import Settings, load_settings

CLUSTER = REPOSITORY / "configs" / "cluster"
EXAMPLE = REPOSITORY / "configs" / "visitserver.example.toml"
SETTING = re.compile(r"^# (\w+ = .*)$", re.MULTILINE)


def test_the_example_is_what_the_settings_say() -> None:
    made = subprocess.run(
        [sys.executable, REPOSITORY / "scripts" / "example-config"], capture_output=True, text=True, check=True
    ).stdout
    assert EXAMPLE.read_text() == made, "run: make example-config"


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "configs" / "cluster").glob("*.toml")), ids=lambda path: path.stem
)
def test_the_settings_of_each_role_load_and_media_knows_no_database(path: Path) -> None:
    settings = load_settings(path, environ={})
    assert path.stem.startswith(settings.cluster.role) and settings.cluster.redis_url is not None
    assert ("database" in settings.model_fields_set) == (settings.cluster.role != "media")


def test_the_example_with_every_line_taken_up_gives_the_defaults(tmp_path: Path) -> None:
    text, taken_up = SETTING.subn(r"\1", EXAMPLE.read_text())
    assert taken_up > 20
    written = tmp_path / "visitserver.toml"
    written.write_text(text)
    loaded = load_settings(written, environ={})
    defaults = load_settings(environ={})
    assert loaded.model_dump() == defaults.model_dump()


def test_every_setting_explains_itself() -> None:
    for section in Settings.model_fields.values():
        for name, info in section.annotation.model_fields.items():
            assert info.description, f"{section.annotation.__name__}.{name} says nothing of what it is"
