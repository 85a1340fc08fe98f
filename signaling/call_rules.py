"""What a call needs to be live, and which phase follows from what is there: pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from signaling.calls import IN_PROGRESS, CallState, Phase, Recorder
from signaling.capabilities import CallCharter, RecordingPolicy, Supervision


@dataclass(frozen=True, slots=True)
class CallRules:
    """The waits of a call. Defaults are the design's."""

    monitor_grace: timedelta = timedelta(seconds=15)
    reconnect_limit: timedelta = timedelta(seconds=120)
    # After the scheduled start. None: at the scheduled end, so whoever is late still gets what is left of the visit.
    no_show_after: timedelta | None = None
    clock_every: timedelta = timedelta(seconds=60)  # the most live time that a crash can lose
    notices: tuple[int, ...] = (10, 5, 2, 1)  # minutes before the scheduled end


def gone_sides(charter: CallCharter, state: CallState) -> list[str]:
    """The sides that should be connected and are not."""
    return sorted(side.value for side in set(charter.sides) - state.connected_sides)


def recorder_missing(charter: CallCharter, state: CallState) -> bool:
    """Whether the call must be recorded and is not."""
    return charter.recording is RecordingPolicy.REQUIRED and state.recorder is not Recorder.ATTACHED


def monitor_missing(charter: CallCharter, state: CallState) -> bool:
    """Whether an officer must watch and none does."""
    return charter.supervision is Supervision.LIVE and not state.monitors


def missing(charter: CallCharter, state: CallState) -> list[str]:
    """Why the call cannot be live, as causes, most telling first; empty when it can."""
    causes = [f"{side}_missing" for side in gone_sides(charter, state)]
    if recorder_missing(charter, state):
        causes.append("recorder_missing")
    if monitor_missing(charter, state):
        causes.append("monitor_missing")
    return causes


def target_phase(
    charter: CallCharter, rules: CallRules, state: CallState, now: datetime
) -> tuple[Phase, str, dict[str, Any]]:
    """The phase a call in progress belongs in, with cause and data. An officer's hold goes before everything else."""
    if state.held_by_officer:
        return Phase.HELD, "officer", {}
    if recorder_missing(charter, state):
        return Phase.HELD, "recorder_missing", {}
    gone = gone_sides(charter, state)
    if gone:
        return Phase.RECONNECTING, "side_gone", {"sides": gone}
    if state.held_sides:
        # A side that neither sees nor is seen has no visit: its minutes must not run.
        return Phase.HELD, "side_held", {"sides": sorted(side.value for side in state.held_sides)}
    since = state.monitor_gone_since
    waiting = state.phase is Phase.WAITING_MONITOR or since is None or now - since >= rules.monitor_grace
    if monitor_missing(charter, state) and waiting:
        return Phase.WAITING_MONITOR, "monitor_gone", {}
    return Phase.LIVE, "all_present", {}


def due_notice(charter: CallCharter, rules: CallRules, state: CallState, now: datetime) -> int | None:
    """The notice to be given now, in minutes left: each once, the nearest alone, none longer than the call."""
    if state.phase not in IN_PROGRESS:
        return None
    left, whole = charter.ends_at - now, charter.ends_at - charter.starts_at
    earliest = min(state.noticed, default=1 << 30)
    due = [minutes for minutes in rules.notices if left <= timedelta(minutes=minutes) < whole and minutes < earliest]
    return min(due, default=None)


def verdict(
    charter: CallCharter, rules: CallRules, state: CallState, now: datetime
) -> tuple[Phase, str, dict[str, Any]] | None:
    """The outcome that time alone has brought about, with cause and data; None while the call may still be."""
    at_end = now >= charter.ends_at
    if state.phase in IN_PROGRESS:
        if at_end:
            return Phase.ENDED, "time_over", {}
        since, gone = state.phase_since, gone_sides(charter, state)
        waited = state.phase is Phase.RECONNECTING and since is not None and now - since >= rules.reconnect_limit
        return (Phase.ENDED, "side_gone", {"sides": gone}) if waited and gone else None
    never_came = sorted(side.value for side in set(charter.sides) - state.arrived)
    grace = rules.no_show_after
    if never_came and (at_end or (grace is not None and now >= charter.starts_at + grace)):
        return Phase.NO_SHOW, "no_show", {"sides": never_came}
    if at_end:
        lacking = missing(charter, state)
        return Phase.FAILED, lacking[0] if lacking else "never_live", {"missing": lacking}
    return None
