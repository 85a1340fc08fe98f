"""The identity engine of the application: hands jobs to a process of its own and lives on when that process does not.

The process holds the models (about 450 MB) and touches strangers' pictures; this module holds neither and loads nothing
heavy. One job at a time, a bounded queue, a time limit for each; a job whose process ends is reported, never repeated,
because it may be what ended it.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, Final, TypeVar

import structlog

from visitserver.domain.identity import FacePolicy, Verdict
from visitserver.identity import frames, messages
from visitserver.identity.limits import MAX_BYTES, WORDS
from visitserver.services.ports.identity_engine import (
    Claim,
    CleanPictures,
    DocumentReading,
    FaceComparison,
    Hint,
    ImageRefused,
    Progress,
    ProgressCallback,
    Purpose,
)

log = structlog.get_logger(__name__)

T = TypeVar("T")

START_SECONDS: Final = 60.0
"""Limit for loading the models."""
REST_SECONDS: Final = 30.0
"""After three starts in a row that failed, how long no further one is tried."""
_STOP_SECONDS: Final = 2.0
_NO_RESULT: Final = (ValueError, KeyError, IndexError, TypeError)
"""What taking a result apart raises when it is none."""


class _NotDone(Exception):
    """The job has no result. `args[0]` is a code: engine_busy, engine_stopped, engine_unfit, engine_error, too_slow."""


class WorkerIdentityEngine:
    """The port services/ports/identity_engine.py. `start` may be left out: the first job starts the process."""

    def __init__(
        self,
        *,
        yunet_model: str | None = None,
        job_seconds: float = 20.0,
        max_waiting: int = 16,
        threads: int = 1,
        monotonic: Callable[[], float] = time.monotonic,
        command: Sequence[str] = (sys.executable, "-m", "visitserver.identity.worker"),
    ) -> None:
        """`job_seconds` limits one job; more than `max_waiting` waiting jobs are turned away at once. `command` is for
        tests of what happens when the process misbehaves."""
        self._options = json.dumps({"yunet_model": yunet_model, "threads": threads})
        self._job_seconds = job_seconds
        self._max_waiting = max_waiting
        self._monotonic = monotonic
        self._command = tuple(command)
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._numbers = 0
        self._failed_starts = 0
        self._rest_until = 0.0
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.starts = 0
        """How many times a process was started: for the metrics."""

    async def start(self) -> None:
        """Load the models now rather than at the first job. Does not raise: an unfit process shows at the jobs."""
        try:
            async with self._turn:
                await self._ready()
        except _NotDone as error:
            log.warning("identity engine does not start", reason=error.args[0])

    async def stop(self) -> None:
        """End the process; a job under way is reported as engine_stopped."""
        await self._end()

    @property
    def process_id(self) -> int | None:
        """The process that works now, None when there is none."""
        return self._process.pid if self._process is not None else None

    async def read_document(
        self, image: bytes, *, today: date, claim: Claim | None = None, progress: ProgressCallback | None = None
    ) -> DocumentReading:
        """See the port."""
        job = {"op": "read_document", "today": today.isoformat(), "claim": messages.claim_out(claim)}
        try:
            return await self._run(job, [image], progress, messages.reading_in)
        except _NotDone as error:
            return DocumentReading(None, None, (), (), (), (error.args[0],), portrait_found=False)

    async def compare(
        self,
        document: bytes,
        selfies: Sequence[bytes],
        *,
        policy: FacePolicy,
        prompts: Sequence[str] = (),
        progress: ProgressCallback | None = None,
    ) -> FaceComparison:
        """See the port."""
        job = {"op": "compare", "policy": messages.policy_out(policy), "prompts": list(prompts)}
        return await self._comparison(job, [document, *selfies], policy, progress)

    async def verify(
        self,
        template: bytes,
        frames: Sequence[bytes],
        *,
        policy: FacePolicy,
        model_version: str,
        prompts: Sequence[str] = (),
        progress: ProgressCallback | None = None,
    ) -> FaceComparison:
        """See the port."""
        job = {
            "op": "verify",
            "policy": messages.policy_out(policy),
            "model_version": model_version,
            "prompts": list(prompts),
        }
        return await self._comparison(job, [template, *frames], policy, progress)

    async def quality(self, image: bytes, purpose: Purpose) -> list[Hint]:
        """See the port; a job that was not done has a hint with its code."""
        try:
            return await self._run({"op": "quality", "purpose": purpose.value}, [image], None, messages.hints_in)
        except _NotDone as error:
            return [Hint(error.args[0])]

    async def clean(self, images: Sequence[bytes]) -> CleanPictures:
        """See the port."""
        try:
            return await self._run({"op": "clean"}, list(images), None, messages.clean_in)
        except _NotDone as error:
            return CleanPictures((), (error.args[0],))

    async def _comparison(
        self, job: dict[str, Any], blobs: list[bytes], policy: FacePolicy, progress: ProgressCallback | None
    ) -> FaceComparison:
        try:
            return await self._run(job, blobs, progress, messages.comparison_in)
        except _NotDone as error:
            return FaceComparison(
                Verdict.COULD_NOT_CHECK,
                (),
                (error.args[0],),
                policy_version=policy.version,
                model_version=policy.encoder,
            )

    async def _run(
        self,
        job: dict[str, Any],
        blobs: list[bytes],
        progress: ProgressCallback | None,
        take: Callable[[dict[str, Any], list[bytes]], T],
    ) -> T:
        """The result of one job, taken from its message by `take`. Raises ImageRefused or _NotDone."""
        for blob in blobs:
            if len(blob) > MAX_BYTES:
                raise ImageRefused(WORDS["too_large"], code="too_large", field="picture")
        began = self._monotonic()
        async with self._my_turn():
            waited = self._monotonic() - began
            outcome = "done"
            try:
                async with asyncio.timeout(START_SECONDS):
                    reader, writer = await self._ready()
                async with asyncio.timeout(self._job_seconds):
                    return take(*await self._exchange(reader, writer, job, blobs, progress))
            except TimeoutError:
                outcome = "too_slow"
                await self._end()
                raise _NotDone(outcome) from None
            except (asyncio.IncompleteReadError, ConnectionError, frames.FrameError, *_NO_RESULT):
                outcome = "engine_stopped"
                await self._end()
                raise _NotDone(outcome) from None
            except (ImageRefused, _NotDone) as error:
                outcome = error.code if isinstance(error, ImageRefused) else error.args[0]
                raise
            except asyncio.CancelledError:
                # Its answer would be taken for the next job's: the process cannot be used any more.
                outcome = "cancelled"
                await self._end()
                raise
            finally:
                log.info(
                    "identity job",
                    op=job["op"],
                    outcome=outcome,
                    waited_s=round(waited, 3),
                    took_s=round(self._monotonic() - began - waited, 3),
                )

    @asynccontextmanager
    async def _my_turn(self) -> AsyncIterator[None]:
        if self._waiting > self._max_waiting:
            raise _NotDone("engine_busy")
        self._waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turn.release()

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        job: dict[str, Any],
        blobs: list[bytes],
        progress: ProgressCallback | None,
    ) -> tuple[dict[str, Any], list[bytes]]:
        self._numbers += 1
        writer.write(frames.encode({**job, "job": self._numbers}, blobs))
        await writer.drain()
        while True:
            header, results = await frames.receive(reader)
            if header.get("job") != self._numbers:
                raise frames.FrameError("an answer to another job")
            if "step" in header:
                if progress is not None:
                    progress(Progress(str(header["step"]), int(header["done"]), int(header["total"])))
            elif "refused" in header:
                raise ImageRefused(str(header["detail"]), code=str(header["refused"]), field="picture")
            elif "failed" in header:
                log.error("identity job failed", op=job["op"], error=str(header["failed"]))
                raise _NotDone("engine_error")
            else:
                result = header["result"]
                if not isinstance(result, dict):
                    raise frames.FrameError("a result that is no object")
                return result, results

    async def _ready(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The connection to a process that has loaded its models. Raises _NotDone."""
        if self._process is not None and self._process.returncode is None and self._reader and self._writer:
            return self._reader, self._writer
        await self._end()
        if self._monotonic() < self._rest_until:
            raise _NotDone("engine_unfit")
        try:
            return await self._begin()
        except (OSError, asyncio.IncompleteReadError, frames.FrameError, TimeoutError) as error:
            why = type(error).__name__
        await self._end()
        self._failed_starts += 1
        if self._failed_starts >= 3:
            self._failed_starts = 0
            self._rest_until = self._monotonic() + REST_SECONDS
        log.error("identity process does not start", error=why)
        raise _NotDone("engine_unfit")

    async def _begin(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        ours, theirs = socket.socketpair()
        try:
            self.starts += 1
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                str(theirs.fileno()),
                self._options,
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        async with asyncio.timeout(START_SECONDS):
            header, _ = await frames.receive(self._reader)
        if not header.get("ready"):
            log.error("identity process is unfit", reason=str(header.get("unfit", "no reason given")))
            raise frames.FrameError("unfit")
        self._failed_starts = 0
        log.info("identity process ready", pid=self._process.pid, start=self.starts)
        return self._reader, self._writer

    async def _end(self) -> None:
        process, writer = self._process, self._writer
        self._process = self._reader = self._writer = None
        if writer is not None:
            writer.close()
        if process is not None and process.returncode is None:
            try:
                process.kill()
            except ProcessLookupError:
                pass
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
