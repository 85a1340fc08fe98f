"""The active speaker: one person at a time, steadily, from several people's audio levels (RFC 6464)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

_FIRST = 0.2  # seconds of speech that make somebody the first speaker
_TAKES_OVER = 0.8  # seconds of speech before somebody follows a speaker who has fallen silent: a "mm" is no speech
_LOUDER = 6.0  # dB by which somebody must drown a speaker who goes on ...
_DROWNS = 2.0  # ... and seconds for which he must


class Voice(Protocol):
    """How somebody speaks, by `talking.TalkingDetector`: for how long (seconds), how loud (dB over silence)."""

    talking: bool
    loudness: float

    @property
    def spoken(self) -> float: ...


class SpeakerChoice:
    """Chooses who is shown as the speaker. `announce(participant_id)` is called on each change.

    Whoever speaks keeps the place through pauses, coughs of others and talk across each other. It goes to somebody else
    who speaks while the speaker is silent, or who is clearly louder for a while; when all are silent it stays where it
    was. None is announced when the speaker has gone.
    """

    def __init__(self, announce: Callable[[str | None], None]) -> None:
        self.current: str | None = None
        self._announce = announce
        self._rival: str | None = None
        self._rival_since = 0.0

    def choose(self, voices: Mapping[str, Voice], now: float) -> None:
        """Look at everybody's voice, by participant; called a few times a second. `now` in monotonic seconds."""
        if self.current is not None and self.current not in voices:
            self._set(None)
        speaking = {name: voice for name, voice in voices.items() if voice.talking}
        if self.current in speaking:
            self._across(speaking, speaking[self.current].loudness + _LOUDER, now)
            return
        self._rival = None
        enough = _FIRST if self.current is None else _TAKES_OVER
        ready = {name: voice for name, voice in speaking.items() if voice.spoken >= enough}
        if ready:
            self._set(_loudest(ready))

    def _across(self, speaking: Mapping[str, Voice], drowned: float, now: float) -> None:
        """The speaker goes on; does somebody drown him?"""
        louder = {name: voice for name, voice in speaking.items() if voice.loudness >= drowned}
        if not louder:
            self._rival = None
            return
        rival = self._rival if self._rival in louder else _loudest(louder)
        if rival != self._rival:
            self._rival, self._rival_since = rival, now
        elif now - self._rival_since >= _DROWNS:
            self._set(rival)

    def _set(self, name: str | None) -> None:
        self.current = name
        self._rival = None
        self._announce(name)


def _loudest(voices: Mapping[str, Voice]) -> str:
    return max(sorted(voices), key=lambda name: voices[name].loudness)
