"""How a job that goes on past what fails says, once it is through, that something did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import structlog

log: Final = structlog.get_logger(__name__)


class PartlyFailed(Exception):
    """`failed` items could not be done (each was logged), all the others were; `done` is the job's usual answer.

    Raised at the end of a run, so that it counts as a failed one in the jobs' metrics.
    """

    def __init__(self, failed: int, done: int = 0) -> None:
        super().__init__(failed, done)
        self.failed = failed
        self.done = done

    def __str__(self) -> str:
        return f"{self.failed} failed, the rest is done"


class Turns:
    """A job's items one after another, each guarded: what fails is logged and counted, and the next has its turn.

    `failed` is how many failed so far, those included that a PartlyFailed of an item tells of.
    """

    def __init__(self) -> None:
        self.failed = 0
        self._done = 0

    @contextmanager
    def turn(
        self, words: str, *, let: type[Exception] | tuple[type[Exception], ...] = (), **about: Any
    ) -> Iterator[None]:
        """One item's turn. `words` and the references in `about` are logged when it fails; `let` passes through."""
        try:
            yield
        except PartlyFailed as error:
            # The item was a job of its own, which has logged what failed of it.
            self.failed += error.failed
            self._done += error.done
        except let:
            raise
        except Exception:
            log.exception(words, **about)
            self.failed += 1

    def outcome(self, done: int) -> int:
        """`done`, and what failed items had done; PartlyFailed when there are any."""
        if self.failed:
            raise PartlyFailed(self.failed, done + self._done)
        return done + self._done
