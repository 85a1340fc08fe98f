"""The console's modules say nothing that the server has not written: every key they use stands in a words block."""

from __future__ import annotations

import re

import pytest

from signaling.calls import EventType, Phase
from signaling.media.leg import Side
from tests.fixtures.requirements import REPOSITORY

ELEMENTS = REPOSITORY / "web" / "static" / "js" / "elements"
TEMPLATES = REPOSITORY / "web" / "templates" / "staff"
BLOCKS = {
    "monitor": ("words_events.html", "words_monitor.html"),
    "recording": ("words_events.html", "words_player.html"),
}
# Keys that are put together; the words for every value of the part in braces must be there.
PHASES = [phase.value for phase in Phase]
MADE_UP = {
    "monitor": [
        *(f"event_{kind.value}" for kind in EventType if kind.value not in ("ready", "not_ready", "clock", "muted")),
        *(f"event_{what}_{kind}" for what in ("muted", "unmuted") for kind in ("audio", "video")),
        *(f"phase_{phase}" for phase in PHASES),
        *(f"{what}_{kind}" for what in ("mute", "unmute", "muted") for kind in ("audio", "video")),
        *(f"{device}_{state}" for device in ("microphone", "camera") for state in ("on", "off", "missing", "unknown")),
        *(f"side_{side.value}" for side in Side),
        *("connecting", "interrupted", "minutes_one", "minutes_other", "error_general"),
        *(f"speaking_{to}" for to in ("all", "prisoner", "family")),
        *(f"error_{code}" for code in ("microphone", "sound", "wall_full", "room_full", "expired", "voice_taken")),
    ],
    "recording": [
        *(f"side_{side.value}" for side in Side),
        *(f"gap_{kind}_{form}" for kind in ("audio", "video") for form in ("one", "other")),
        *("play", "frame_back", "frame_forward", "back_ten", "forward_ten", "next_talk", "error_general"),
    ],
}


def used_by(prefix: str) -> set[str]:
    """The literal keys in the modules whose name begins with `prefix`."""
    keys = set()
    for path in ELEMENTS.glob(f"{prefix}-*.js"):
        code = re.sub(r"`[^`]*`", "``", path.read_text(encoding="utf-8"))  # keys that are put together: MADE_UP
        for call in re.findall(r"\.say\(([^()]*)", code):
            keys |= set(re.findall(r'"([a-z_]+)"', call))
        keys |= set(re.findall(r'"((?:flag|done)_[a-z_]+)"', code))
    return keys


def written_for(prefix: str) -> set[str]:
    """The keys of the words block."""
    text = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in BLOCKS[prefix])
    return set(re.findall(r"^  ([a-z_]+)=_\(", text, re.MULTILINE))


@pytest.mark.parametrize("prefix", sorted(BLOCKS))
def test_every_key_has_its_words(prefix: str) -> None:
    used = used_by(prefix)
    assert len(used) > 8
    missing = sorted((used | set(MADE_UP[prefix])) - written_for(prefix) - _VALUES)
    assert not missing, missing


# Literals inside a call of say() that are compared with, or stand for values, and are no keys.
_VALUES = {"held", "off", "unknown"}


def test_every_dialog_that_a_module_asks_is_in_the_page() -> None:
    dialogs = (TEMPLATES / "dialogs.html").read_text(encoding="utf-8")
    code = (ELEMENTS / "monitor-actions.js").read_text(encoding="utf-8")
    asked = set(re.findall(r'dialogOf\("([a-z-]+)"\)', code))
    assert len(asked) > 5
    assert asked <= set(re.findall(r"frame\('([a-z-]+)'", dialogs))


def test_no_template_of_the_console_has_inline_script_or_style() -> None:
    """The Content-Security-Policy would silently drop them."""
    for path in TEMPLATES.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\sstyle=|\son[a-z]+=", text), path.name
        for tag in re.findall(r"<script[^>]*>", text):
            assert "src=" in tag or 'type="application/json"' in tag, (path.name, tag)
