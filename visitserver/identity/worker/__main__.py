"""The identity process: `python -m visitserver.identity.worker FD OPTIONS`, started by engine.py and nobody else.

FD is one end of a socket pair; OPTIONS a JSON object (`yunet_model`, `threads`). It says `{"ready": true}` once every
model is loaded, or `{"unfit": why}`, then answers one job after the other, and ends when the socket does.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
from typing import Any, BinaryIO

from visitserver.identity import frames
from visitserver.identity.worker.weights import missing_packages
from visitserver.services.ports.identity_engine import ImageRefused


def main(fd: int, options: dict[str, Any]) -> None:
    """Serve the socket `fd` until its other end closes."""
    # A terminal's Ctrl-C reaches every process; the application, which stops in its own order, ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold faces
    os.nice(5)  # calls come first on a shared machine
    with socket.socket(fileno=fd) as connection, connection.makefile("rwb") as stream:
        if missing := missing_packages():
            _send(stream, {"unfit": f"not installed: {', '.join(missing)}"})
            return
        from visitserver.identity.worker.jobs import Jobs  # only now: it imports all of them

        try:
            jobs = Jobs(yunet_model=options.get("yunet_model"), threads=int(options.get("threads", 1)))
        except Exception as error:
            # A damaged weights file or a library that does not load: say so, rather than end without a word.
            _send(stream, {"unfit": f"{type(error).__name__}: {error}"})
            return
        _send(stream, {"ready": True})
        try:
            while (message := frames.read(stream)) is not None:  # type: ignore[arg-type]
                _answer(stream, jobs, *message)
        finally:
            jobs.close()


def _answer(stream: BinaryIO | Any, jobs: Any, job: dict[str, Any], blobs: list[bytes]) -> None:
    number = job["job"]

    def report(step: str, done: int, total: int) -> None:
        _send(stream, {"job": number, "step": step, "done": done, "total": total})

    try:
        header, results = jobs.run(job, blobs, report)
    except ImageRefused as refused:
        _send(stream, {"job": number, "refused": refused.code, "detail": refused.detail})
    except Exception as error:
        # One bad job must not end the process that serves everybody; the application reports it as could-not-check.
        _send(stream, {"job": number, "failed": type(error).__name__})
    else:
        _send(stream, {"job": number, "result": header}, results)


def _send(stream: BinaryIO | Any, header: dict[str, Any], blobs: list[bytes] | None = None) -> None:
    stream.write(frames.encode(header, blobs or []))
    stream.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), json.loads(sys.argv[2]))
