"""A media node from the settings: for the process that is everything, and for one that is media alone."""

from __future__ import annotations

import time
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from prometheus_client import CollectorRegistry

from signaling.clock import steady_clock
from signaling.directory import NodeInfo
from signaling.ids import new_id
from signaling.media.node import MediaNode
from signaling.node import SignalingNode
from signaling.recorder_leg import RecorderFactory
from signaling.tickets import TicketVerifier
from visitserver.config import Settings
from visitserver.domain.clock import Clock
from visitserver.links import Links
from visitserver.media_metrics import MediaCollector
from visitserver.services.ice_servers import IceServerSource, TurnCredentials


def make_media_node(
    settings: Settings,
    links: Links,
    ticket_key: Ed25519PublicKey,
    recorder_factory: RecorderFactory,
    clock: Clock,
    registry: CollectorRegistry,
) -> SignalingNode:
    """The node, not started. Its url is empty where the media endpoints have the pages' own origin."""
    own = settings.media
    media = MediaNode(
        own.hosts,
        own.udp_port,
        advertised=own.advertised,
        transports=own.transports,
        buffer=own.buffer_bytes,
    )
    MediaCollector(media.stats, registry)
    return SignalingNode(
        NodeInfo(new_id("nod"), settings.cluster.media_url, settings.cluster.capacity),
        media,
        links.bus,
        links.directory,
        TicketVerifier([ticket_key], clock),
        clock=steady_clock(time.monotonic, clock),
        monotonic=time.monotonic,
        recorder_factory=recorder_factory,
        lease=links.lease,
    )


def ice_servers_of(settings: Settings, clock: Clock) -> IceServerSource:
    """The STUN and TURN servers that clients are told of, with new credentials at each asking."""
    turn = settings.turn
    secret = "" if turn.secret is None else turn.secret.get_secret_value()
    return TurnCredentials(turn.urls, secret, timedelta(minutes=turn.minutes), clock)
