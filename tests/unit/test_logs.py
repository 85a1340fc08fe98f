"""The log keeps what went wrong and where, never what people typed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from visitserver.logs import set_up_logs


@pytest.fixture
def untouched() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, config = root.handlers[:], root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**config)


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_stack_has_no_local_variables(
    style: Literal["json", "console"], untouched: None, capsys: pytest.CaptureFixture[str]
) -> None:
    set_up_logs(style, "info")
    pin = "".join(["93", "59", "00"])  # not a literal, which the line of code in the stack would show
    try:
        int(pin) / 0
    except ZeroDivisionError:
        structlog.get_logger("test").exception("it failed")
        logging.getLogger("aiohttp.server").exception("a library failed")
    written = capsys.readouterr().err
    assert written.count("ZeroDivisionError") >= 2
    assert pin not in written
