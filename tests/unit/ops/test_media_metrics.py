"""Every counter of the relay is on the metrics page."""

from dataclasses import fields

from prometheus_client import CollectorRegistry, generate_latest

from signaling.media import native
from signaling.media.stats import EndpointCounters, NodeStats, RoomCounters
from visitserver.media_metrics import MediaCollector


def test_every_counter_is_told_with_its_value_of_now() -> None:
    total, endpoint = RoomCounters(forwarded=7, dropped_gate=3), EndpointCounters(empty=2)
    registry = CollectorRegistry()
    MediaCollector(lambda: NodeStats(2, 5, endpoint, total), registry)
    text = generate_latest(registry).decode()
    for field in fields(RoomCounters):
        assert f'visit_media_packets_total{{what="{field.name}"}}' in text
    for field in fields(EndpointCounters):
        assert f'visit_media_datagrams_total{{what="{field.name}"}}' in text
    assert registry.get_sample_value("visit_media_packets_total", {"what": "dropped_gate"}) == 3
    assert registry.get_sample_value("visit_media_sessions") == 5
    assert registry.get_sample_value("visit_media_native") == (native.module is not None)
    total.forwarded = 9
    assert registry.get_sample_value("visit_media_packets_total", {"what": "forwarded"}) == 9
