"""What a call's events show, as a table: who was there, whether the line was, and how much time was lost by whom.

The visit is scheduled from minute 0 to minute 30; each step is a minute and what happened then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from signaling.calls import EventType
from visitserver.domain.call_telemetry import trace_of
from visitserver.domain.calls import StoredCallEvent

STARTS = datetime(2026, 3, 2, 10, tzinfo=UTC)
ENDS = STARTS + timedelta(minutes=30)
Step = tuple[float, str]

# The letter says who: f(amily), p(risoner), g(uest).
WHO = {"f": "family", "p": "prisoner", "g": "guest"}
OPEN = (-15, "lobby_opened")
BOTH = [OPEN, (-5, "f joined"), (-4, "p joined"), (-3, "f connected"), (-2, "p connected"), (0, "live")]


def events(steps: Sequence[Step]) -> list[StoredCallEvent]:
    made = []
    for number, (minute, text) in enumerate(steps):
        letter, _, what = text.rpartition(" ")
        cause = "hung_up" if what == "hung_up" else "consent_expired"
        type_ = "disconnected" if what in ("hung_up", "lost") else what
        data = {"participant_id": f"con_{letter}", "side": WHO[letter]} if letter else {}
        at = STARTS + timedelta(minutes=minute)
        made.append(StoredCallEvent("call_x", number + 1, at, type_, "participant", "x", cause, data))
    return made


TABLE: list[tuple[str, list[Step], float, bool]] = [
    ("all went well", [*BOTH, (30, "ending"), (30, "ended")], 0, True),
    ("it began five minutes late because the prisoner was brought late",
     [OPEN, (-5, "f joined"), (-3, "f connected"), (4, "p joined"), (5, "p connected"), (5, "live"), (30, "ending")],
     5, True),
    ("it began five minutes late because the caller was late: theirs",
     [OPEN, (-4, "p joined"), (-2, "p connected"), (5, "f joined"), (5, "f connected"), (5, "live"), (30, "ending")],
     0, True),
    ("the caller came in time, but the media needed three minutes",
     [OPEN, (-4, "p joined"), (-2, "p connected"), (-1, "f joined"), (3, "f connected"), (3, "live"), (30, "ending")],
     3, True),
    ("the line broke for four minutes",
     [*BOTH, (10, "f lost"), (10, "reconnecting"), (14, "f connected"), (14, "live"), (30, "ending")], 4, True),
    ("the caller hung up and came back after four: theirs",
     [*BOTH, (10, "f hung_up"), (10, "reconnecting"), (14, "f connected"), (14, "live"), (30, "ending")], 0, True),
    ("the prisoner hung up and came back: theirs",
     [*BOTH, (10, "p hung_up"), (10, "reconnecting"), (14, "p connected"), (14, "live"), (30, "ending")], 0, True),
    ("a guest hung up, the lead stayed",
     [*BOTH, (1, "g joined"), (2, "g connected"), (3, "g hung_up"), (30, "ending")], 0, True),
    ("an officer paused it for six minutes", [*BOTH, (10, "held"), (16, "live"), (30, "ending")], 6, True),
    ("it waited for an officer for ten minutes",
     [*BOTH[:-1], (0, "waiting_monitor"), (10, "live"), (30, "ending")], 10, True),
    ("the line broke at five and never came back",
     [*BOTH, (5, "f lost"), (5, "reconnecting"), (7, "ending"), (7, "ended")], 25, True),
    ("the caller hung up at five for good: theirs",
     [*BOTH, (5, "f hung_up"), (5, "reconnecting"), (7, "ending"), (7, "ended")], 0, True),
    ("the node was lost at ten, the call was open again at twelve, people back at fifteen",
     [*BOTH, (10, "clock"), (12, "reopened"), (14, "f joined"), (14, "p joined"), (15, "f connected"),
      (15, "p connected"), (15, "live"), (30, "ending")], 5, False),
    ("the prisoner never came",
     [OPEN, (-5, "f joined"), (-3, "f connected"), (30, "ending"), (30, "no_show")], 30, False),
    ("the prisoner never came, the caller ten minutes late",
     [OPEN, (10, "f joined"), (11, "f connected"), (30, "ending"), (30, "no_show")], 20, False),
    ("the caller never came", [OPEN, (-4, "p joined"), (-2, "p connected"), (30, "ending"), (30, "no_show")], 0, True),
    ("nobody came", [OPEN, (30, "ending"), (30, "no_show")], 0, False),
    ("the prisoner came and left before it began",
     [OPEN, (-9, "p joined"), (-8, "p connected"), (-2, "p lost"), (30, "ending")], 0, False),
    ("the room opened five minutes late: until then nobody is late",
     [(5, "lobby_opened"), (6, "p joined"), (6, "p connected"), (8, "f joined"), (8, "f connected"), (8, "live"),
      (30, "ending")], 5, False),
]  # fmt: skip


@pytest.mark.parametrize(("steps", "lost", "line"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_the_events_show(steps: list[Step], lost: float, line: bool) -> None:
    trace = trace_of(events(steps), until=ENDS)
    assert trace.lost(STARTS, ENDS) == timedelta(minutes=lost)
    assert trace.line_was_there(STARTS, ENDS) is line


def test_who_waits_for_an_officer_at_the_door_has_come() -> None:
    trace = trace_of(events([OPEN, (-4, "p joined"), (-2, "p connected"), (30, "ending")]), until=ENDS)
    assert trace.lost(STARTS, ENDS, at_door_since=STARTS + timedelta(minutes=10)) == timedelta(minutes=20)


def test_who_hung_up_before_it_began_walked_out_unless_they_came_back() -> None:
    steps = [OPEN, (-5, "f joined"), (-3, "f connected"), (-1, "f hung_up")]
    assert trace_of(events([*steps, (30, "ending")]), until=ENDS).walked_out == {"family"}
    assert not trace_of(events([*steps, (0, "f connected"), (30, "ending")]), until=ENDS).walked_out
    lost = [OPEN, (-5, "f joined"), (-3, "f connected"), (-1, "f lost"), (30, "ending")]
    assert not trace_of(events(lost), until=ENDS).walked_out


def test_the_types_are_those_of_the_media_nodes() -> None:
    said = {"lobby_opened", "reopened", "joined", "connected", "disconnected", "live", "held", "waiting_monitor"}
    said |= {"reconnecting", "ending", "ended", "terminated", "no_show", "failed"}
    assert said <= {type_.value for type_ in EventType}
