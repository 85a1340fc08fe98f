"""What an attacker sends: made from a seed, so that a failure can be repeated."""

from __future__ import annotations

import os
import random
import struct

from aioice import stun
from OpenSSL import SSL

RTP, RTCP = 0x80, 0xC8


def stun_request(username: str, key: str, *, nominate: bool = True) -> bytes:
    """A connectivity check (RFC 8445 section 7.1) with whatever credentials its sender has."""
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    request.attributes["USERNAME"] = username
    request.attributes["PRIORITY"] = 1
    request.attributes["ICE-CONTROLLING"] = 1
    if nominate:
        request.attributes["USE-CANDIDATE"] = None
    request.add_message_integrity(key.encode())
    return bytes(request)


def rtp(ssrc: int, sequence: int, payload_type: int, body: bytes) -> bytes:
    """A packet with a good header (RFC 3550 section 5.1) and a body that nobody has protected."""
    return struct.pack("!BBHLL", RTP, payload_type, sequence & 0xFFFF, sequence * 960 & 0xFFFFFFFF, ssrc) + body


def rtcp_bye(ssrc: int) -> bytes:
    """A goodbye (RFC 3550 section 6.6) with an SRTCP index and tag made up."""
    return struct.pack("!BBHL", 0x81, 203, 1, ssrc) + struct.pack("!L", 0x80000001) + os.urandom(16)


def dtls_record(content_type: int, epoch: int, sequence: int, body: bytes) -> bytes:
    """One record of DTLS 1.2 (RFC 6347 section 4.1): 20 change cipher spec, 21 alert, 22 handshake, 23 data."""
    return struct.pack("!BHHHLH", content_type, 0xFEFD, epoch, sequence >> 32, sequence & 0xFFFFFFFF, len(body)) + body


def alerts() -> list[bytes]:
    """Every way of saying goodbye without being asked who one is."""
    close, fatal = b"\x01\x00", b"\x02\x28"
    return [dtls_record(21, epoch, number, body) for epoch in (0, 1) for number in (0, 5) for body in (close, fatal)]


def client_hello() -> bytes:
    """The first flight of somebody who wants an association of his own (RFC 6347 section 4.2)."""
    context = SSL.Context(SSL.DTLS_METHOD)
    context.set_tlsext_use_srtp(b"SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80")
    connection = SSL.Connection(context)
    connection.set_connect_state()
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        pass
    return connection.bio_read(2048)


def everything(
    seed: int, *, usernames: list[str], sources: list[int], recorded: list[bytes], count: int = 4096
) -> list[bytes]:
    """A mixture of all kinds. `usernames` and `sources` are those of live sessions; `recorded` were once sent."""
    randomness = random.Random(seed)
    hello, goodbyes = client_hello(), alerts()
    made: list[bytes] = []
    while len(made) < count:
        size = randomness.choice((1, 12, 19, 20, 60, 200, 1200))
        noise = randomness.randbytes(size)
        ssrc = randomness.choice(sources)
        made += [
            b"",
            noise,
            randomness.randbytes(1501),
            bytes([randomness.randrange(4)]) + noise,
            bytes([randomness.randrange(20, 64)]) + noise,
            bytes([randomness.randrange(128, 192)]) + noise,
            rtp(ssrc, randomness.randrange(1 << 16), 111, noise),
            rtp(randomness.randrange(1 << 32), randomness.randrange(1 << 16), 96, noise),
            rtcp_bye(ssrc),
            stun_request(randomness.choice(usernames), "x" * 24),
            stun_request("nobody:atall", "y" * 24),
            bytes(stun.Message(stun.Method.BINDING, stun.Class.REQUEST)),
            bytes(stun.Message(stun.Method.BINDING, stun.Class.RESPONSE)),
            hello,
            randomness.choice(goodbyes),
            dtls_record(23, 1, randomness.randrange(1 << 20), noise),
            dtls_record(20, 0, 1, b"\x01"),
            randomness.choice(recorded) if recorded else noise,
        ]
    return made[:count]
