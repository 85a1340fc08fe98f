"""How calls' ends are accounted: nobody pays for what was not the family's doing."""

from __future__ import annotations

import pytest

from signaling.calls import FINAL, Phase
from visitserver.domain.call_outcomes import CallEnd, CallVerdict, account_for
from visitserver.domain.calls import FINAL_PHASES, CallPhase, OutcomeCode
from visitserver.domain.scheduling import BookingState

COMPLETED, NO_SHOW, FAILED = BookingState.COMPLETED, BookingState.NO_SHOW, BookingState.FAILED
BOTH = frozenset({"family", "prisoner"})
FAMILY = frozenset({"family"})
PRISONER = frozenset({"prisoner"})


def test_phases_are_those_of_the_media_nodes() -> None:
    assert [phase.value for phase in CallPhase] == [phase.value for phase in Phase]
    assert {phase.value for phase in FINAL_PHASES} == {phase.value for phase in FINAL}


@pytest.mark.parametrize(
    ("end", "verdict"),
    [
        (CallEnd(CallPhase.ENDED, "time_over", share=0.9), (COMPLETED, OutcomeCode.COMPLETED_NORMALLY, False)),
        (CallEnd(CallPhase.TERMINATED, "officer"), (COMPLETED, OutcomeCode.TERMINATED_BY_STAFF, False)),
        (
            CallEnd(CallPhase.ENDED, "side_gone", FAMILY, FAMILY, 0.2),
            (COMPLETED, OutcomeCode.VISITOR_COMPLETED_EARLY, False),
        ),
        (
            CallEnd(CallPhase.ENDED, "side_gone", PRISONER, PRISONER, 0.2),
            (COMPLETED, OutcomeCode.PRISONER_COMPLETED_EARLY, False),
        ),
        (
            CallEnd(CallPhase.ENDED, "side_gone", BOTH, BOTH, 0.9),
            (COMPLETED, OutcomeCode.VISITOR_COMPLETED_EARLY, False),
        ),
        (
            CallEnd(CallPhase.ENDED, "side_gone", FAMILY, frozenset(), 0.2),
            (FAILED, OutcomeCode.TECHNICAL_FAILURE, True),
        ),
        (
            CallEnd(CallPhase.ENDED, "side_gone", BOTH, FAMILY, 0.49),
            (FAILED, OutcomeCode.TECHNICAL_FAILURE, True),
        ),
        (
            CallEnd(CallPhase.ENDED, "side_gone", FAMILY, PRISONER, 0.5),
            (COMPLETED, OutcomeCode.TECHNICAL_FAILURE, False),
        ),
        (CallEnd(CallPhase.NO_SHOW, "no_show", FAMILY), (NO_SHOW, OutcomeCode.VISITOR_DID_NOT_ARRIVE, False)),
        (CallEnd(CallPhase.NO_SHOW, "no_show", BOTH), (NO_SHOW, OutcomeCode.VISITOR_DID_NOT_ARRIVE, False)),
        (CallEnd(CallPhase.NO_SHOW, "no_show", PRISONER), (FAILED, OutcomeCode.ADMINISTRATIVE_ERROR, True)),
        (
            CallEnd(CallPhase.NO_SHOW, "no_show", FAMILY, check_pending=True),
            (FAILED, OutcomeCode.ADMINISTRATIVE_ERROR, True),
        ),
        (
            CallEnd(CallPhase.NO_SHOW, "no_show", FAMILY, check_refused=True),
            (NO_SHOW, OutcomeCode.VISITOR_FAILED_CHECKS, False),
        ),
        (CallEnd(CallPhase.FAILED, "recorder_missing"), (FAILED, OutcomeCode.TECHNICAL_FAILURE, True)),
        (CallEnd(CallPhase.FAILED, "monitor_missing"), (FAILED, OutcomeCode.ESTABLISHMENT_CANCELLED, True)),
        (CallEnd(CallPhase.FAILED, "booking_cancelled"), (FAILED, OutcomeCode.ADMINISTRATIVE_CANCELLATION, True)),
    ],
)
def test_what_an_end_is_accounted_as(end: CallEnd, verdict: tuple[BookingState, OutcomeCode, bool]) -> None:
    assert account_for(end) == CallVerdict(*verdict)


@pytest.mark.parametrize("phase", sorted(set(CallPhase) - FINAL_PHASES))
def test_a_call_that_goes_on_has_no_verdict(phase: CallPhase) -> None:
    with pytest.raises(ValueError, match="not over"):
        account_for(CallEnd(phase, ""))
