"""What a change of rights means for a call that people are in."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from visitserver.domain.changes import Change, ChangeKind
from visitserver.domain.decisions import Words
from visitserver.domain.flagging import Found
from visitserver.domain.flags import FlagType, Reason

ENDED: Final = Words("This visit has ended. If you have questions, ask the prison.")
PAUSED: Final = Words("The visit is paused. A member of staff looks at it now.")
"""The same for both sides: neither learns whose no it was, nor what stands against the visit."""


class Step(StrEnum):
    """What follows for the call, in order of weight."""

    GO_ON = "go_on"
    PAUSE = "pause"
    END = "end"


TOUCHES_CALLS: Final = frozenset(
    {
        ChangeKind.RELATIONSHIP_ENDED,
        ChangeKind.RELATIONSHIP_REFUSED,
        ChangeKind.RELATIONSHIP_WITHDRAWN,
        ChangeKind.RESTRICTION_ADDED,
        ChangeKind.RESTRICTION_CHANGED,
        ChangeKind.ALERT_CREATED,
        ChangeKind.ALERT_UPDATED,
        ChangeKind.NON_ASSOCIATION_ADDED,
    }
)
"""The changes of a right. Anything else (a block, a station, an appointment) is for people to see to, by hand."""

_RIGHTS: Final = frozenset(
    {
        FlagType.CONTACT_UNAPPROVED,
        FlagType.RESTRICTION_CHANGED,
        FlagType.CONTACT_RESTRICTION,
        FlagType.ALERT_CREATED,
        FlagType.ALERT_UPDATED,
        FlagType.NON_ASSOCIATION,
    }
)


def step_for(
    change: Change, found: Found, *, watched: bool, ends: bool, privileged: bool
) -> tuple[Step, Reason | None]:
    """What follows for a live call from what stands against its booking now, and the reason for it.

    A right that is gone ends the call: a relationship ended, refused or withdrawn, a restriction that blocks. The
    person who made the change has decided that, so only where `change` was a person's; after a program's, and where
    the prison's policy says so (`ends` False), the call pauses for an officer. What a person has to look at pauses
    it. So does the want of a watching officer, unless one watches (`watched`).
    A privileged call goes on unless the right is gone: no officer could look at it, and the flag waits for a person.
    """
    reasons = [each for each in found.reasons if each.type in _RIGHTS]
    binding = next((each for each in reasons if each.attributes.get("binding")), None)
    if binding is not None:
        return (Step.END if ends and by_person(change) else Step.PAUSE), binding
    if privileged:
        return Step.GO_ON, None
    doubtful = next((each for each in reasons if not watched or not _only_watched(each)), None)
    return (Step.GO_ON, None) if doubtful is None else (Step.PAUSE, doubtful)


def _only_watched(reason: Reason) -> bool:
    """Whether an officer who watches is all that it asks for."""
    return reason.attributes.get("outcome") == "live" and not reason.attributes.get("review")


def by_person(change: Change) -> bool:
    """Whether a person made the change: family, prisoner or staff."""
    return change.by.partition(":")[0] in ("family", "prisoner", "staff")
