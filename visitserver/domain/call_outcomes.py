"""How a call's end is accounted: what becomes of the booking, and whether its credit comes back.

A visit that did not take place costs the family a credit only where the connection's own telemetry shows that their
side was at fault (rule 13). That is so in these cases, and in no others:

1. Nobody from outside ever signed in to the call, while the waiting room was open from before the start to the end, no
   media node was lost with it, and the prisoner's side had media with us during the visit: the line was there.
2. An officer refused a caller at the door.
3. The caller's media had reached us, they hung up before the call was live and stayed away, while the prisoner's side
   was there as in 1.

A caller who signed in and whose media never reached us is not at fault, whatever the reason: what the telemetry does
not show does not count against them. See docs/decisions/0210.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from visitserver.domain.calls import CallPhase, OutcomeCode
from visitserver.domain.scheduling import BookingState


@dataclass(frozen=True, slots=True)
class CallVerdict:
    """How a call's end is accounted: the booking's state, the outcome code, and whether the credit comes back."""

    state: BookingState
    outcome: OutcomeCode
    refund: bool


@dataclass(frozen=True, slots=True)
class CallEnd:
    """What is known of a call that is over.

    `sides` are those whose absence ended it; `hung_up` those of them that left by themselves; `share` is connected
    time over scheduled time, 0 to 1; `lost_share` is what was lost of it without anybody's choice. `check_pending`: a
    caller was still waiting for an officer at the door; `check_refused`: an officer refused one there. `right_lost`:
    somebody came and was turned away, because the right to this visit was lost after the booking. `line_shown`: the
    room was open all the time and the prisoner's side connected. `caller_walked_out`: see case 3 above.
    """

    phase: CallPhase
    cause: str
    sides: frozenset[str] = frozenset()
    hung_up: frozenset[str] = frozenset()
    share: float = 0.0
    check_pending: bool = False
    check_refused: bool = False
    right_lost: bool = False
    lost_share: float = 0.0
    line_shown: bool = False
    caller_walked_out: bool = False


ENOUGH_SHARE: Final = 0.5
"""A call that broke after this share of its time counts as held; the missing minutes are owed. Below it, it failed."""


def account_for(end: CallEnd) -> CallVerdict:
    """How a call's end is accounted. What was not the family's doing does not cost a credit."""
    match end.phase:
        case CallPhase.TERMINATED:
            return CallVerdict(BookingState.COMPLETED, OutcomeCode.TERMINATED_BY_STAFF, refund=False)
        case CallPhase.NO_SHOW:
            return _no_show(end)
        case CallPhase.ENDED if end.cause == "side_gone":
            return _left_early(end)
        case CallPhase.ENDED if end.cause == "right_withdrawn":
            return _right_withdrawn(end)
        case CallPhase.ENDED if end.lost_share > 1 - ENOUGH_SHARE:
            # It was never ended by anybody, but most of it did not take place.
            return CallVerdict(BookingState.FAILED, OutcomeCode.TECHNICAL_FAILURE, refund=True)
        case CallPhase.ENDED:
            return CallVerdict(BookingState.COMPLETED, OutcomeCode.COMPLETED_NORMALLY, refund=False)
        case CallPhase.FAILED if end.cause == "booking_cancelled":
            return CallVerdict(BookingState.FAILED, OutcomeCode.ADMINISTRATIVE_CANCELLATION, refund=True)
        case CallPhase.FAILED if end.cause == "monitor_missing":
            return CallVerdict(BookingState.FAILED, OutcomeCode.ESTABLISHMENT_CANCELLED, refund=True)
        case CallPhase.FAILED if end.cause == "family_missing" and end.caller_walked_out and end.line_shown:
            return CallVerdict(BookingState.NO_SHOW, OutcomeCode.VISITOR_DECLINED, refund=False)
        case CallPhase.FAILED:
            return CallVerdict(BookingState.FAILED, OutcomeCode.TECHNICAL_FAILURE, refund=True)
        case _:
            raise ValueError(f"a call that is {end.phase} is not over")


def _right_withdrawn(end: CallEnd) -> CallVerdict:
    """The same account for everybody, whoever took it back: nobody can read from a credit who it was."""
    state = BookingState.COMPLETED if end.share > 0 else BookingState.FAILED
    return CallVerdict(state, OutcomeCode.ADMINISTRATIVE_CANCELLATION, refund=end.share < ENOUGH_SHARE)


def _no_show(end: CallEnd) -> CallVerdict:
    if end.right_lost:
        # They came. That they were not let in was somebody's decision about the right, so the visit was called off.
        return CallVerdict(BookingState.FAILED, OutcomeCode.ADMINISTRATIVE_CANCELLATION, refund=True)
    if "family" not in end.sides:
        # The terminal cannot tell whether the prisoner refused, was elsewhere or was never told: a person finds out.
        return CallVerdict(BookingState.FAILED, OutcomeCode.ADMINISTRATIVE_ERROR, refund=True)
    if end.check_pending:
        return CallVerdict(BookingState.FAILED, OutcomeCode.ADMINISTRATIVE_ERROR, refund=True)
    if end.check_refused:
        return CallVerdict(BookingState.NO_SHOW, OutcomeCode.VISITOR_FAILED_CHECKS, refund=False)
    return CallVerdict(BookingState.NO_SHOW, OutcomeCode.VISITOR_DID_NOT_ARRIVE, refund=not end.line_shown)


def _left_early(end: CallEnd) -> CallVerdict:
    if end.sides and end.sides <= end.hung_up:
        by_family = "family" in end.sides
        code = OutcomeCode.VISITOR_COMPLETED_EARLY if by_family else OutcomeCode.PRISONER_COMPLETED_EARLY
        return CallVerdict(BookingState.COMPLETED, code, refund=False)
    held = end.share >= ENOUGH_SHARE
    return CallVerdict(
        BookingState.COMPLETED if held else BookingState.FAILED, OutcomeCode.TECHNICAL_FAILURE, refund=not held
    )
