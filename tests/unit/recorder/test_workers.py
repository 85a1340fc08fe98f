"""The processes that make recordings playable: Ctrl-C is not theirs, and they end with the application."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.fixtures.waiting import wait_until

APPLICATION = """
import asyncio, multiprocessing, os, signal, sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from recorder.blobs import FolderStore
from recorder.derive import Deriver
from recorder.keys import LocalKeyRing

def deriver(folder):
    public = Ed25519PrivateKey.generate().public_key()
    return Deriver(FolderStore(folder / "store"), LocalKeyRing({"one": bytes(32)}, "one"), public, folder / "cache")

async def main(folder):
    first = deriver(folder)
    await first.warm()
    print("warm", flush=True)
    if sys.stdin.readline() == "one more\\n":
        second = deriver(folder)
        warming = asyncio.create_task(second.warm())
        old = set(multiprocessing.active_children())
        await asyncio.sleep(0)
        (worker,) = set(multiprocessing.active_children()) - old
        os.kill(worker.pid, signal.SIGINT)
        await warming
        second.close()
    await first.warm()
    first.close()
    print("closed", flush=True)

if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.fixture
def application(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """An application in a process group of its own, with a worker that is ready."""
    script = tmp_path / "application.py"
    script.write_text(APPLICATION)
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "warm\n"
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The spawned workers of the application (multiprocessing also has a process that tracks semaphores)."""
    return [one for one in psutil.Process(process.pid).children() if "spawn_main" in " ".join(one.cmdline())]


def test_ctrl_c_is_left_to_the_application(application: subprocess.Popen[str]) -> None:
    (worker,) = workers(application)
    os.kill(worker.pid, signal.SIGINT)
    said, complaints = application.communicate("go on\n", timeout=60)
    assert (said, application.returncode) == ("closed\n", 0)
    # The second warm-up was answered, by the same worker: neither a trace nor a semaphore left behind.
    assert complaints == ""


def test_ctrl_c_while_a_worker_starts(application: subprocess.Popen[str]) -> None:
    """The signal comes as soon as there is a process, which has hardly begun to import then."""
    said, complaints = application.communicate("one more\n", timeout=60)
    assert (said, application.returncode) == ("closed\n", 0)
    assert complaints == ""


def test_a_worker_ends_with_an_application_that_was_killed(application: subprocess.Popen[str]) -> None:
    (worker,) = workers(application)
    application.kill()
    application.wait()
    wait_until(lambda: not worker.is_running(), "the worker has ended")
