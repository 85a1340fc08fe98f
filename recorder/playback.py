"""The time line of a recording: what a player shows around the picture.

JSON; every time is in ms from the recording's beginning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recorder.index import IndexedTrack, RecordingIndex
from recorder.remux import RemuxReport
from signaling.calls import EventType

MAX_LISTED_GAPS = 5000


@dataclass(frozen=True, slots=True)
class ParticipantPart:
    """What the time line says of one participant; made where that participant's packets are read."""

    track: dict[str, Any]
    gaps: list[dict[str, Any]]
    recovered: int


def participant_part(
    index: RecordingIndex, number: int, participant_id: str, report: RemuxReport | None = None
) -> ParticipantPart:
    """The part of participant `number` (from 1, in order of appearance); `report` is that of its derived file, if
    there is one.
    """
    side = index.participants()[participant_id]
    tracks = [track for track in index.tracks.values() if track.participant_id == participant_id]
    recovered = sum(track.sequence.recovered for track in tracks)
    return ParticipantPart(_track(index, number, participant_id, side, report), _gaps(index, tracks), recovered)


def timeline(
    index: RecordingIndex, opening: Mapping[str, Any], manifest: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The whole time line out of one index. `manifest` is None while the recording goes on."""
    parts = [participant_part(index, number, who) for number, who in enumerate(index.participants(), start=1)]
    return with_parts(base_timeline(index, opening, manifest), parts)


def base_timeline(
    index: RecordingIndex, opening: Mapping[str, Any], manifest: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What the time line says of the call as a whole; `with_parts` adds the participants."""
    return {
        "recording_id": str(opening["recording_id"]),
        "call_id": str(opening["call_id"]),
        "started_at": str(opening["started_at"]),
        "sealed": manifest is not None,
        "interrupted": manifest is not None and (manifest["cut"] is not None or bool(manifest.get("takeovers"))),
        "duration_ms": index.duration_ms,
        "events": [{**event, "at_ms": index.to_ms(at)} for at, event in index.events],
        "bookmarks": _bookmarks(index),
        "pauses": _pauses(index),
        "notes": [{**_without_ns(note), "at_ms": index.to_ms(note["at_ns"])} for note in index.summary.notes],
    }


def with_parts(base: Mapping[str, Any], parts: Sequence[ParticipantPart]) -> dict[str, Any]:
    """The time line: one track per participant, numbered as the derived files are, and the gaps of all."""
    gaps = sorted(
        (gap for part in parts for gap in part.gaps), key=lambda gap: (gap["at_ms"], gap["participant_id"], gap["kind"])
    )
    return {
        **base,
        "tracks": [part.track for part in parts],
        "gaps": {
            "count": len(gaps),
            "packets": sum(gap["packets"] for gap in gaps),
            "recovered": sum(part.recovered for part in parts),
            "list": gaps[:MAX_LISTED_GAPS],
        },
    }


def _track(
    index: RecordingIndex, number: int, participant_id: str, side: str, report: RemuxReport | None
) -> dict[str, Any]:
    tracks = [track for track in index.tracks.values() if track.participant_id == participant_id]
    received = [track for track in tracks if track.sequence.received]
    voices = [track.activity for track in tracks if track.activity is not None]
    spans = sorted(span for voice in voices for span in voice.spans(index.start_ns))
    loudness = [voice.loudness(index.start_ns, index.duration_ms) for voice in voices]
    return {
        "number": number,
        "participant_id": participant_id,
        "side": side,
        "kinds": sorted({track.kind for track in received}),
        "offset_ms": index.to_ms(min((track.first_ns for track in received), default=index.start_ns)),
        "last_ms": index.to_ms(max((track.last_ns for track in received), default=index.start_ns)),
        "packets": sum(track.sequence.received for track in tracks),
        "lost": sum(track.sequence.lost for track in tracks),
        "speech": [list(span) for span in spans],
        "speech_source": next((voice.source for voice in voices if voice.source != "none"), "none"),
        # Several audio tracks of one participant follow each other (a rejoin): the louder of each second.
        "loudness": [min(levels) for levels in zip(*[one for one in loudness if one], strict=True)],
        "synchronised": report.synchronised if report else None,
        "sizes": [list(size) for size in report.sizes] if report else None,
        "pictures_left_out": report.video_left_out if report else None,
    }


def _bookmarks(index: RecordingIndex) -> list[dict[str, Any]]:
    return [
        {
            "at_ms": index.to_ms(at),
            "actor": event.get("actor", {}),
            "note": str(event.get("data", {}).get("note", "")),
        }
        for at, event in index.events
        if event.get("type") == EventType.BOOKMARK
    ]


def _pauses(index: RecordingIndex) -> list[dict[str, Any]]:
    return [
        {
            "cause": pause["cause"],
            "from_ms": index.to_ms(pause["from_ns"]),
            "to_ms": index.to_ms(pause.get("to_ns", index.end_ns)),
        }
        for pause in index.summary.pauses
    ]


def _gaps(index: RecordingIndex, tracks: Sequence[IndexedTrack]) -> list[dict[str, Any]]:
    return [
        {
            "at_ms": index.to_ms(since_ns),
            "kind": track.kind,
            "packets": last - first + 1,
            "participant_id": track.participant_id,
        }
        for track in tracks
        for first, last, since_ns in track.lost
    ]


def _without_ns(note: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in note.items() if key != "at_ns"}


def next_speech(spans: Sequence[Sequence[int]], after_ms: int) -> int | None:
    """Where the next stretch of speech after `after_ms` begins; None if there is none."""
    return next((int(span[0]) for span in spans if span[0] > after_ms), None)
