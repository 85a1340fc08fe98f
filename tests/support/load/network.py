"""Where the measured servers live: a network namespace at the end of a veth pair, and one core."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# RFC 2544 sets 198.18.0.0/15 aside for benchmarks.
_OUTSIDE, _INSIDE = "198.18.77.1", "198.18.77.2"


@dataclass(frozen=True, slots=True)
class Network:
    """`generator` and `server` are the two IP addresses; `prefix` is put before a server's command line."""

    generator: str
    server: str
    prefix: tuple[str, ...]
    description: str


LOOPBACK = Network("127.0.0.1", "127.0.0.1", (), "loopback")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=20)


def pinned(core: int | None) -> tuple[str, ...]:
    """What is put before a command line to keep it on one core."""
    return () if core is None or shutil.which("taskset") is None else ("taskset", "--cpu-list", str(core))


def go_first(process: int | str, nice: int = -20) -> None:
    """Let a process's session go before others, where that is allowed: what else runs must not decide the figures.

    Linux shares the processor between sessions first (sched(7), autogroups): a process's own nice value would do
    nothing against work in another session.
    """
    try:
        Path(f"/proc/{process}/autogroup").write_text(str(nice))
    except OSError:
        pass


def cores() -> tuple[int | None, int | None]:
    """A core for the server and another one for the generator; None, None on a machine with one."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """This process on one core, before others there where that is allowed; afterwards as it was."""
    allowed = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
        go_first("self")
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)
        go_first("self", 0)


@contextmanager
def namespace() -> Iterator[Network]:
    """A namespace for servers with a veth pair to it, taken away afterwards. Raises OSError if it cannot be made."""
    name, near, far = f"visitbench{os.getpid()}", f"vb{os.getpid()}a", f"vb{os.getpid()}b"
    steps: Sequence[Sequence[str]] = (
        ("netns", "add", name),
        ("link", "add", near, "type", "veth", "peer", "name", far, "netns", name),
        ("addr", "add", f"{_OUTSIDE}/30", "dev", near),
        ("link", "set", near, "up"),
        ("-n", name, "addr", "add", f"{_INSIDE}/30", "dev", far),
        ("-n", name, "link", "set", far, "up"),
        ("-n", name, "link", "set", "lo", "up"),
    )
    try:
        for step in steps:
            _ip(*step)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        _remove(name)
        detail = (
            error.stderr.decode(errors="replace").strip() if isinstance(error, subprocess.CalledProcessError) else ""
        )
        raise OSError(f"no network namespace: {detail or error}") from error
    try:
        yield Network(_OUTSIDE, _INSIDE, ("ip", "netns", "exec", name), "veth pair to a network namespace")
    finally:
        _remove(name)


def _remove(name: str) -> None:
    """The veth pair goes with the namespace that one end is in."""
    try:
        _ip("netns", "delete", name)
    except (subprocess.CalledProcessError, FileNotFoundError):
        pass
