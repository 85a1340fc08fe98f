"""Every kept input, and some thousands of changed ones, through every fuzz target. `make fuzz` looks for longer."""

from __future__ import annotations

import os
import random
import subprocess
import sys

import pytest

from tests.fixtures.requirements import REPOSITORY
from tests.fuzz.targets import TARGETS, Target

CHANGED = int(os.environ.get("FUZZ_CHANGED", "1000"))  # inputs per target; a number of inputs, not of seconds


@pytest.fixture(params=TARGETS.values(), ids=TARGETS)
def target(request: pytest.FixtureRequest) -> Target:
    found: Target = request.param
    return found


def test_kept_inputs(target: Target) -> None:
    kept = list(target.kept())
    assert len(kept) >= 3
    for name, data in kept:
        try:
            target.run(data)
        except Exception as error:
            raise AssertionError(f"tests/fuzz/corpus/{target.name}/{name}") from error


def test_changed_inputs(target: Target) -> None:
    """The same changes in every run: a failure here is repeated by running it again."""
    randomness = random.Random(target.name)
    kept = [data for _, data in target.kept()]
    for _ in range(CHANGED):
        data = changed(randomness, kept)[: target.longest]
        try:
            target.run(data)
        except Exception as error:
            raise AssertionError(f"{target.name}: {data!r}") from error


def changed(randomness: random.Random, kept: list[bytes]) -> bytes:
    """One of the kept inputs with a few things changed, or two of them put together."""
    data = bytearray(randomness.choice(kept))
    for _ in range(randomness.choice((1, 1, 2, 4, 8))):
        at = randomness.randrange(len(data) + 1)
        match randomness.randrange(7):
            case 0:
                data[at : at + 1] = bytes([randomness.randrange(256)])
            case 1:
                data[at : at + randomness.randrange(9)] = b""
            case 2:
                data[at:at] = randomness.randbytes(randomness.randrange(1, 9))
            case 3:
                data[at : at + 1] = bytes([data[at] ^ 1 << randomness.randrange(8)]) if at < len(data) else b""
            case 4:
                data[at : at + 2] = randomness.choice((b"\0\0", b"\xff\xff", b"\x7f\xff", b"\0\1"))
            case 5:
                other = randomness.choice(kept)
                start = randomness.randrange(len(other) + 1)
                data[at:] = other[start:]
            case _:
                length = randomness.randrange(1, 33)
                data[at:at] = data[max(0, at - length) : at]
    return bytes(data)


@pytest.mark.timeout(300)  # it imports everything anew and instruments it
def test_the_fuzzer_itself_runs_and_finds() -> None:
    """atheris reaches new code from the kept inputs: the harness is alive. One target does for all."""
    command = [sys.executable, "-m", "tests.fuzz.run", "fragment", "--runs", "2000", "--seconds", "200"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "NEW" in done.stderr, "nothing new was reached: is the code instrumented?"
