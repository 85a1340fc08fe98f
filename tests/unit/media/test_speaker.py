"""The active speaker, by made traces of audio levels: one packet every 20 ms, the room's tick every 100 ms."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from signaling.media.speaker import SpeakerChoice
from signaling.media.talking import TalkingDetector

Trace = Callable[[float], int]
"""The level (-dBov) at a time; 127 is silence."""


def speech(start: float, stop: float, level: int = 30) -> Trace:
    """Somebody who speaks from `start` to `stop`, with the short gaps between syllables that speech has."""
    return lambda now: level + (now * 50) % 4 * 3 if start <= now < stop and now % 0.25 > 0.04 else 127  # type: ignore[return-value]


def both(*traces: Trace) -> Trace:
    return lambda now: min(trace(now) for trace in traces)


def silence(_now: float) -> int:
    return 127


def run(traces: Mapping[str, Trace], seconds: float, leaves: Mapping[str, float] | None = None) -> list[str]:
    """What is announced, as `seconds rounded down to tenths: who`."""
    now = 0.0
    said: list[str] = []
    voices = {name: TalkingDetector(lambda _level: None) for name in traces}
    choice = SpeakerChoice(lambda who: said.append(f"{now:.1f} {who}"))
    for step in range(round(seconds * 50)):
        now = step / 50
        here = {name: voice for name, voice in voices.items() if now < (leaves or {}).get(name, seconds)}
        for name, voice in here.items():
            voice.level(int(traces[name](now)), now)
        if step % 5 == 0:
            for voice in here.values():
                voice.tick(now)
            choice.choose(here, now)
    return said


def names(said: list[str]) -> list[str]:
    return [each.split(" ")[1] for each in said]


def test_nobody_speaks_and_nobody_is_announced() -> None:
    assert run({"a": silence, "b": silence}, 5) == []


def test_the_first_who_speaks_is_announced_soon_and_stays_through_silence() -> None:
    said = run({"a": speech(1, 3), "b": silence}, 10)
    assert names(said) == ["a"]
    assert 1.2 <= float(said[0].split(" ")[0]) <= 1.6


def test_the_place_goes_on_when_the_speaker_is_silent_and_another_speaks() -> None:
    said = run({"a": speech(0, 3), "b": speech(4, 8), "c": silence}, 10)
    assert names(said) == ["a", "b"]
    assert 4.7 <= float(said[1].split(" ")[0]) <= 5.3


def test_a_mm_in_a_pause_takes_no_place() -> None:
    a = both(speech(0, 3), speech(4.5, 8))
    b = both(speech(3.4, 3.8), speech(6, 6.3))
    assert names(run({"a": a, "b": b}, 10)) == ["a"]


def test_two_who_talk_across_each_other_do_not_flap() -> None:
    said = run({"a": speech(0, 20, 32), "b": speech(1, 20, 30), "c": speech(2, 20, 34)}, 20)
    assert names(said) == ["a"]


def test_whoever_clearly_drowns_the_speaker_for_a_while_takes_over_once() -> None:
    said = run({"a": speech(0, 20, 45), "b": speech(5, 20, 20)}, 20)
    assert names(said) == ["a", "b"]
    assert 6.5 <= float(said[1].split(" ")[0]) <= 9


def test_a_shout_is_too_short_to_take_over() -> None:
    assert names(run({"a": speech(0, 20, 45), "b": speech(5, 6.2, 10)}, 20)) == ["a"]


def test_two_at_once_after_a_silence_give_the_louder_one() -> None:
    assert names(run({"a": speech(1, 5, 50), "b": speech(1, 5, 25)}, 6)) == ["b"]


def test_when_the_speaker_leaves_nobody_is_the_speaker_until_somebody_speaks() -> None:
    said = run({"a": speech(0, 9), "b": speech(5, 9)}, 9, leaves={"a": 3})
    assert names(said) == ["a", "None", "b"]


def test_a_long_talk_of_three_changes_as_often_as_they_do() -> None:
    turns = [("a", 0, 6), ("b", 6.5, 11), ("c", 11.5, 18), ("a", 18.7, 25), ("c", 26, 30)]
    traces = {
        name: both(*(speech(start, stop) for who, start, stop in turns if who == name)) for name in ("a", "b", "c")
    }
    assert names(run(traces, 32)) == [who for who, _, _ in turns]
