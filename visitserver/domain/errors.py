"""The errors that the application means to raise: one hierarchy, each with a stable code.

HTTP renders them as RFC 9457 problem documents; the code is part of the interface, the detail is for people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from visitserver.domain.decisions import Decision


class DomainError(Exception):
    """An expected failure. `code` is stable text (lower case, underscores), `detail` a sentence."""

    default_code: ClassVar[str] = "domain_error"

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.code = code or self.default_code
        self.detail = detail


class Invalid(DomainError):
    """What was asked is malformed or out of range. `field` names the input where there is one."""

    default_code = "invalid"

    def __init__(self, detail: str, *, code: str | None = None, field: str | None = None) -> None:
        super().__init__(detail, code=code)
        self.field = field


class NotFound(DomainError):
    """There is no such thing, or not for this actor: the two are never told apart."""

    default_code = "not_found"


class Forbidden(DomainError):
    """The actor may see the thing but may not do this to it."""

    default_code = "forbidden"


class Conflict(DomainError):
    """The thing is in a state that does not allow this, or somebody else was quicker."""

    default_code = "conflict"


class Unavailable(DomainError):
    """Something needed for the answer cannot be reached now. Never means "allowed"."""

    default_code = "unavailable"


class _Decided(DomainError):
    def __init__(self, decision: Decision, *, code: str | None = None) -> None:
        super().__init__(" ".join(decision.safe_words), code=code)
        self.decision = decision


class DecisionRefused(_Decided):
    """The rules say no. `decision` holds the trace; `detail` is its safe words, fit for a family."""

    default_code = "decision_refused"


class NeedsReview(_Decided):
    """The rules want a person to decide, and the operation asked for cannot wait for one."""

    default_code = "needs_review"
