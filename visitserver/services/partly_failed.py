"""How a job that goes on past what fails says, once it is through, that something did."""

from __future__ import annotations


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
