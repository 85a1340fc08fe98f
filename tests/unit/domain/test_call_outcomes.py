"""How calls' ends are accounted: nobody pays for what was not the family's doing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from signaling.calls import FINAL, Phase
from visitserver.domain.call_outcomes import CallEnd, CallVerdict, account_for
from visitserver.domain.calls import FINAL_PHASES, Call, CallKind, CallPhase, OutcomeCode
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
        (
            CallEnd(CallPhase.NO_SHOW, "no_show", FAMILY, line_shown=True),
            (NO_SHOW, OutcomeCode.VISITOR_DID_NOT_ARRIVE, False),
        ),
        (CallEnd(CallPhase.NO_SHOW, "no_show", FAMILY), (NO_SHOW, OutcomeCode.VISITOR_DID_NOT_ARRIVE, True)),
        (CallEnd(CallPhase.NO_SHOW, "no_show", BOTH), (NO_SHOW, OutcomeCode.VISITOR_DID_NOT_ARRIVE, True)),
        (
            CallEnd(CallPhase.FAILED, "family_missing", line_shown=True, caller_walked_out=True),
            (NO_SHOW, OutcomeCode.VISITOR_DECLINED, False),
        ),
        (
            CallEnd(CallPhase.FAILED, "family_missing", caller_walked_out=True),
            (FAILED, OutcomeCode.TECHNICAL_FAILURE, True),
        ),
        (
            CallEnd(CallPhase.FAILED, "family_missing", line_shown=True),
            (FAILED, OutcomeCode.TECHNICAL_FAILURE, True),
        ),
        (
            CallEnd(CallPhase.ENDED, "time_over", share=0.3, lost_share=0.6),
            (FAILED, OutcomeCode.TECHNICAL_FAILURE, True),
        ),
        (
            CallEnd(CallPhase.ENDED, "time_over", share=0.3, lost_share=0.1),
            (COMPLETED, OutcomeCode.COMPLETED_NORMALLY, False),
        ),
        (CallEnd(CallPhase.NO_SHOW, "no_show", PRISONER), (FAILED, OutcomeCode.ADMINISTRATIVE_ERROR, True)),
        (
            CallEnd(CallPhase.NO_SHOW, "no_show", FAMILY, check_pending=True),
            (FAILED, OutcomeCode.ADMINISTRATIVE_ERROR, True),
        ),
        (
            CallEnd(CallPhase.NO_SHOW, "no_show", FAMILY, check_refused=True),
            (NO_SHOW, OutcomeCode.VISITOR_FAILED_CHECKS, False),
        ),
        (
            CallEnd(CallPhase.NO_SHOW, "no_show", BOTH, right_lost=True),
            (FAILED, OutcomeCode.ADMINISTRATIVE_CANCELLATION, True),
        ),
        (
            CallEnd(CallPhase.NO_SHOW, "no_show", PRISONER, right_lost=True),
            (FAILED, OutcomeCode.ADMINISTRATIVE_CANCELLATION, True),
        ),
        (
            CallEnd(CallPhase.NO_SHOW, "no_show", FAMILY, check_refused=True, right_lost=True),
            (FAILED, OutcomeCode.ADMINISTRATIVE_CANCELLATION, True),
        ),
        (
            CallEnd(CallPhase.ENDED, "time_over", share=0.9, right_lost=True),
            (COMPLETED, OutcomeCode.COMPLETED_NORMALLY, False),
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


@pytest.mark.parametrize(
    ("outcome", "owed"),
    [
        (OutcomeCode.TECHNICAL_FAILURE, 1500),
        (OutcomeCode.ESTABLISHMENT_CANCELLED, 1500),
        (OutcomeCode.COMPLETED_NORMALLY, 1500),
        (OutcomeCode.TERMINATED_BY_STAFF, 0),
        (OutcomeCode.VISITOR_COMPLETED_EARLY, 0),
        (OutcomeCode.VISITOR_DID_NOT_ARRIVE, 0),
        (OutcomeCode.PRISONER_COMPLETED_EARLY, 0),
    ],
)
def test_minutes_are_owed_for_what_nobody_chose(outcome: OutcomeCode, owed: int) -> None:
    starts_at = datetime(2026, 3, 2, 10, tzinfo=UTC)
    call = Call(
        id="call_x",
        booking_id="bkg_x",
        prison_id="prs_x",
        prisoner_id="psn_x",
        kind=CallKind.SOCIAL,
        lobby_opens_at=starts_at - timedelta(minutes=15),
        starts_at=starts_at,
        ends_at=starts_at + timedelta(minutes=30),
        recorded=True,
        supervision="sample",
        watch_banner=False,
        policy_version="",
        created_at=starts_at,
        phase=CallPhase.ENDED,
        connected_seconds=200,
        lost_seconds=1500,
        outcome=outcome,
    )
    assert call.owed_seconds == owed
