"""Which layer each video slot of a session shows, and whether it shows anything: what its line and its size allow.

A receiver's REMB follows what it is sent (it grows by some eight per cent a second, to half as much again at most), so
it tells when there is too much and never how much more there could be. Going up is therefore a trial, and a trial that
fails makes the next one come later.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from signaling.media.listener import LineState

if TYPE_CHECKING:
    from signaling.media.forwarder import Forwarder
    from signaling.media.layer import Layer

_STEADY = 1.0  # seconds for which a layer must have flowed before anybody goes over to it
_ENOUGH = 0.8  # of the wanted height: a picture this much too small is scaled up and nobody sees it
_CONGESTED = 0.9  # of what is sent, that the receiver can take: below that a queue fills somewhere, if it does not grow
_GROWS = 1.01  # times what it was, and it does
_PERSISTS = 1.4  # seconds without growth before something is done
_MARGIN = 1.2  # by which a budget must exceed a choice that costs more than the present one
_TRIAL = 3.0  # seconds between two steps up
_BACKOFF = (8.0, 120.0)  # seconds after congestion before more is tried: at first, at most
_PERSISTS_LOSSY = 0.5  # and with this much lost, which is no slip of the estimate:
_LOSSY = 0.10
_SMOOTHING = 0.3  # of what reports say of loss: each is about a few packets
_ROOM = 1.3  # times what is sent, that the receiver can take: then the publisher need not be held back any more ...
_ROOMY = 3.0  # ... if it was so for so many seconds
_STALL = 2.5  # seconds of silence, beyond those after which a layer is not sent, before a higher one takes its place
_HEADROOM = 1.05  # times what is sent, that the receiver can take: a sign that a trial may succeed
_NO_SIGN = 30.0  # seconds by which a trial without that sign comes later
_FAILED = 15.0  # seconds after a step up in which congestion means that the step was too much
_FORGIVEN = 60.0  # seconds without congestion, and without a trial that failed, after which the line counts as good
_TELLING = 10.0  # seconds for which the line counts as poor after congestion

_LEAST = 70_000  # bit/s below which a picture is worth less than a voice without gaps
_LOST = 0.45  # of the packets: with this, no repair keeps up
_DROWNED = 0.20  # of the packets, where nothing less can be sent: the voice is among them
_STARVES = 4.0  # seconds of that before the picture is given up
_PAUSE = (10.0, 80.0)  # seconds without the picture: at first, at most


class LayerChoice:
    """The choice for one session; `tick` is called about twice a second. Times in seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._budget = math.inf
        self._low_since: float | None = None
        self._low = 0
        self._congested_at = float("-inf")
        self._stepped_at = float("-inf")
        self._next_step = float("-inf")
        self._backoff = _BACKOFF[0]
        self._paused: list[Forwarder] = []
        self._starving_since: float | None = None
        self._resume_at = math.inf
        self._resumed_at = float("-inf")
        self._pause = _PAUSE[0]
        self._lost = 0.0
        self._roomy_since: float | None = None
        self.limit: int | None = None
        """What the publisher of each picture should send at most, in bit/s: even the lowest layer is too much."""

    def tick(self, slots: Sequence[Forwarder], estimate: int | None, now: float) -> LineState:
        """Choose. `slots` are the session's video slots, `estimate` what it says it can receive in all, in bit/s.

        Gives what is to be said of the line to it.
        """
        shown = [slot for slot in slots if slot.track is not None and slot.wanted_height != 0]
        shown.sort(key=_priority)
        self._paused = [slot for slot in self._paused if slot in shown]
        running = [slot for slot in shown if slot not in self._paused and not _withheld(slot)]
        sent = sum(slot.layer.bitrate for slot in running if slot.layer is not None)
        lost = max((slot.report.fraction_lost for slot in running), default=0.0)
        self._lost += _SMOOTHING * (lost - self._lost)
        self._follow(estimate, sent, lost, now)
        self._squeeze(running, estimate, sent, now)
        self._starve(running, estimate, sent, now)
        for slot in slots:
            slot.suspend(slot.wanted_height == 0 or slot in self._paused or _withheld(slot))
        has_room = estimate is None or estimate >= sent * _HEADROOM
        self._choose([slot for slot in running if slot not in self._paused], has_room, now)
        if shown and all(slot in self._paused for slot in shown):
            return "voice_only"
        return "poor" if self._paused or now - self._congested_at < _TELLING else "good"

    # How much there may be

    def _follow(self, estimate: int | None, sent: float, lost: float, now: float) -> None:
        if estimate is None or estimate >= sent * _CONGESTED:
            self._low_since = None
            self._budget = max(self._budget, sent)  # the line carries it
            if self._stepped_at < now - _FAILED and self._congested_at < self._stepped_at:
                self._backoff = _BACKOFF[0]
            if self._backoff == _BACKOFF[0] and now - self._congested_at >= _FORGIVEN:
                self._budget = math.inf
            return
        if self._low_since is None or (estimate > self._low * _GROWS and lost < _LOSSY):
            self._low_since, self._low = now, estimate
            return
        if now - self._low_since < (_PERSISTS if lost < _LOSSY else _PERSISTS_LOSSY):
            return
        self._low_since = None
        if now - self._stepped_at < _FAILED:
            self._backoff = min(2 * self._backoff, _BACKOFF[1])
        self._stepped_at = float("-inf")
        self._congested_at = now
        self._next_step = now + self._backoff
        self._budget = float(estimate)

    def _squeeze(self, running: Sequence[Forwarder], estimate: int | None, sent: float, now: float) -> None:
        """Have the publishers send less while the lowest layers are too much, and until there is room again."""
        if not running:
            return
        if estimate is None:
            self.limit = None
            return
        if self.limit is None:
            if self._congested_at < now or self._lost < _LOSSY or not _at_lowest(running, now):
                return
            self._roomy_since = None
        if estimate < sent * _ROOM:
            self._roomy_since = None
        elif self._roomy_since is None:
            self._roomy_since = now
        elif now - self._roomy_since >= _ROOMY:
            self.limit = None
            return
        self.limit = estimate // len(running)

    # Which layers

    def _choose(self, running: Sequence[Forwarder], has_room: bool, now: float) -> None:
        """The lowest layer for everybody, and then one step after the other for who wants most, while it fits.

        `has_room`: the receiver could take more than it is sent.
        """
        options = {id(slot): _options(slot, now) for slot in running}
        chosen = dict.fromkeys(options, 0)
        total = sum(layers[0].bitrate for layers in options.values() if layers)
        present = sum(slot.layer.bitrate for slot in running if slot.layer is not None)
        may_step = math.isinf(self._budget) or now >= self._next_step + (0 if has_room else _NO_SIGN)
        stepped = False
        for slot in running:
            layers = options[id(slot)]
            for number in range(1, len(layers)):
                more = total + layers[number].bitrate - layers[number - 1].bitrate
                is_present = slot.layer is not None and layers[number].height <= slot.layer.height
                fits = more <= self._budget * 1.05 if is_present else more * _MARGIN <= self._budget
                if not fits and not is_present and may_step and not stepped and more > present:
                    fits = stepped = True  # a trial: one step beyond what is known to fit
                if not fits:
                    break
                total, chosen[id(slot)] = more, number
        if stepped:
            self._stepped_at = now
            self._next_step = now + _TRIAL
            self._budget = total
        for slot in running:
            layers = options[id(slot)]
            if layers:
                slot.switch(layers[chosen[id(slot)]])

    # Whether pictures at all

    def _starve(self, running: Sequence[Forwarder], estimate: int | None, sent: float, now: float) -> None:
        if now >= self._resume_at and self._paused:
            self._paused.pop()
            self._resume_at = now + self._pause if self._paused else math.inf
            self._resumed_at = now
            self._starving_since = None
            return
        if not self._paused and now - self._resumed_at > _FORGIVEN:
            self._pause = _PAUSE[0]
        too_little = estimate is not None and estimate < _LEAST * len(running) and estimate < sent * _CONGESTED
        too_lossy = bool(running) and min(slot.report.fraction_lost for slot in running) > _LOST
        drowned = (
            estimate is not None and estimate < sent * _CONGESTED and self._lost > _DROWNED and _at_lowest(running, now)
        )
        if not running or not (too_little or too_lossy or drowned):
            self._starving_since = None
            return
        if self._starving_since is None:
            self._starving_since = now
        if now - self._starving_since < _STARVES:
            return
        if now - self._resumed_at < 2 * _STARVES + self._pause / 4:
            self._pause = min(2 * self._pause, _PAUSE[1])
        self._paused.append(running[-1])
        self._resume_at = now + self._pause
        self._starving_since = None


def _priority(slot: Forwarder) -> tuple[float, int]:
    wanted = math.inf if slot.wanted_height is None else slot.wanted_height
    return -wanted, slot.index


def _withheld(slot: Forwarder) -> bool:
    return slot.track is not None and slot.track.withheld


def _at_lowest(running: Sequence[Forwarder], now: float) -> bool:
    """Whether each slot shows the lowest layer that there is."""
    return all(slot.layer is _options(slot, now)[0] for slot in running if _options(slot, now))


def _options(slot: Forwarder, now: float) -> list[Layer]:
    """The layers that are being sent, from the lowest to the one that the slot wants; the present one if none is."""
    track = slot.track
    if track is None:
        return []
    flowing = [
        layer
        for layer in track.layers
        if layer.is_active(now) and (layer is slot.layer or now - layer.since >= _STEADY)
    ]
    if not flowing:
        return []
    present = slot.layer
    if (
        present is not None
        and present not in flowing
        and present.is_active(now - _STALL)
        and all(layer.height > present.height for layer in flowing)
    ):
        flowing.append(present)  # browsers leave out the highest layers, never the lowest: it has only stopped for now
    flowing.sort(key=lambda layer: (layer.height, layer.bitrate))
    if slot.wanted_height is None:
        return flowing
    for number, layer in enumerate(flowing):
        if layer.height >= slot.wanted_height * _ENOUGH:
            return flowing[: number + 1]
    return flowing
