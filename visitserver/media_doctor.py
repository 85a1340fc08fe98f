"""What the doctor says of the media ports: free or taken, and how much the kernel lets them hold."""

from __future__ import annotations

import time

from signaling.media import native
from signaling.media.demux import Demultiplexer
from signaling.media.sockets import Sockets
from visitserver.config import MediaSettings


def open_media_ports(settings: MediaSettings) -> tuple[int, int]:
    """Open every media socket and close it again; the receive and send buffers given, in bytes (zeros without UDP).

    To be called on a running event loop. Raises OSError for an address or a port that cannot be had.
    """
    sockets = Sockets(Demultiplexer(time.monotonic), settings.hosts, settings.transports, buffer=settings.buffer_bytes)
    sockets.open(settings.udp_port)
    try:
        return sockets.buffers
    finally:
        sockets.close()


def buffer_advice(asked: int, given: tuple[int, int]) -> str:
    """What to do where the kernel gives less than was asked for; empty where it does not."""
    names = [
        f"sysctl -w {name}={asked}"
        for name, size in zip(("net.core.rmem_max", "net.core.wmem_max"), given, strict=True)
        if 0 < size < asked
    ]
    if not names:
        return ""
    return f"the kernel gives {min(given) // 1024} KiB of {asked // 1024}: bursts may be lost; {' and '.join(names)}"


def packet_path_advice() -> str:
    """What is to be known where packets are forwarded in plain Python; empty where it is done in C."""
    reasons = {
        "switched_off": f"{native.SWITCH}=0 is set",
        "not_built": "there was no compiler when this was installed: gcc, python3.11-dev, then install again",
        "unknown_libsrtp": "this pylibsrtp has another libsrtp inside than is known here",
    }
    if native.module is not None:
        return ""
    return f"plain Python, about three times the processor per call: {reasons[native.why_not]}"
