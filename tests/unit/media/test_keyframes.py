"""Requests for keyframes, and the cache of the last one."""

from __future__ import annotations

from signaling.media.keyframes import REFRESH, KeyframeCache, KeyframeRequests
from signaling.media.rtp import RtpView

clock = [0.0]


def view(index: int, *, key: bool = False, size: int = 1000, arrival: float = 0.0) -> RtpView:
    made = RtpView()
    made.packet = bytes(size)
    made.index, made.keyframe, made.arrival = index, key, arrival
    return made


def asked_at(requests: KeyframeRequests, sent: list[float], until: float) -> list[float]:
    """Tick every 20 ms until `until`; `sent` is where the request's times go."""
    now = 0.0
    while now < until:
        clock[0] = now
        requests.tick(now)
        now += 0.02
    return sent


def test_requests_are_merged_throttled_and_repeated_until_a_keyframe() -> None:
    sent: list[float] = []
    clock[0] = 0.0
    requests = KeyframeRequests(lambda: sent.append(clock[0]))
    for _ in range(50):
        requests.request(0.0)
    assert sent == [0.0]
    asked_at(requests, sent, 1.9)
    assert len(sent) == 4
    requests.arrived()
    asked_at(requests, sent, 10)
    assert len(sent) == 4
    assert not requests.wanted


def test_a_camera_that_is_off_is_asked_ever_less() -> None:
    sent: list[float] = []
    requests = KeyframeRequests(lambda: sent.append(clock[0]))
    clock[0] = 0.0
    requests.request(0.0)
    asked_at(requests, sent, 30)
    assert 12 <= len(sent) <= 16


def test_two_requests_apart_are_still_throttled() -> None:
    sent: list[float] = []
    clock[0] = 0.0
    requests = KeyframeRequests(lambda: sent.append(clock[0]))
    requests.request(0.0)
    requests.arrived()
    requests.request(0.1)
    assert len(sent) == 1
    requests.tick(0.5)
    assert len(sent) == 2


def test_the_cache_holds_a_keyframe_and_what_followed() -> None:
    cache = KeyframeCache()
    cache.add(view(5))
    assert cache.packets == []
    cache.add(view(6, key=True))
    cache.add(view(7))
    cache.add(view(5))  # late, and of the picture before
    assert [item.index for item in cache.packets] == [6, 7]
    epoch = cache.epoch
    cache.add(view(9, key=True))
    assert [item.index for item in cache.packets] == [9]
    assert cache.epoch > epoch


def test_the_cache_is_bounded_and_holds_nothing_rather_than_half() -> None:
    cache = KeyframeCache()
    cache.add(view(0, key=True))
    for index in range(1, 5000):
        cache.add(view(index, size=100))
    assert cache.packets == []
    cache.add(view(5000, key=True))
    for index in range(5001, 5000 + 900):
        cache.add(view(index, size=1400))
    assert cache.packets == []
    cache.add(view(9000, key=True))
    assert len(cache.packets) == 1


def test_a_refresh_is_due_by_time_or_size_and_never_in_a_rush() -> None:
    cache = KeyframeCache()
    cache.add(view(0, key=True, arrival=100.0))
    assert not cache.needs_refresh(100.0 + REFRESH - 0.1)
    assert cache.needs_refresh(100.0 + REFRESH)
    assert not cache.needs_refresh(100.0 + REFRESH + 0.5)
    cache.add(view(1, key=True, arrival=112.0))
    for index in range(2, 950):
        cache.add(view(index, size=100, arrival=113.0))
    assert cache.needs_refresh(113.0)
    cache.clear()
    assert not cache.needs_refresh(113.5)
    assert cache.needs_refresh(115.1)
