"""Charters for tests: lobby at 09:45, start at 10:00, end at 10:30 on 2 March 2026."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from signaling.ids import CallId, new_call_id
from signaling.media.leg import Side
from signaling.tickets import CallCharter, RecordingPolicy, Supervision

START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
LOBBY = START - timedelta(minutes=15)
END = START + timedelta(minutes=30)


def charter(
    *,
    privileged: bool = False,
    call_id: CallId | None = None,
    recording: RecordingPolicy = RecordingPolicy.NONE,
    supervision: Supervision = Supervision.NONE,
    watch_banner: bool = False,
    minutes: int = 30,
) -> CallCharter:
    return CallCharter(
        call_id=call_id or new_call_id(privileged=privileged),
        starts_at=START,
        ends_at=START + timedelta(minutes=minutes),
        lobby_opens_at=LOBBY,
        sides=(Side.FAMILY, Side.PRISONER),
        recording=recording,
        supervision=supervision,
        watch_banner=watch_banner,
    )
