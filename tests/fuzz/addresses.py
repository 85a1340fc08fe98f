"""Targets: STUN messages, the demultiplexer, frames over TCP. See tests/fuzz/targets.py for what a target is."""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Any
from unittest.mock import patch

from signaling.media import tcp
from signaling.media.demux import LARGEST, Demultiplexer
from signaling.media.ice import Credentials
from signaling.media.stun import (
    MalformedStun,
    binding_error,
    binding_success,
    looks_like_request,
    parse_request,
    peek_username,
)
from tests.fuzz.known import CREDENTIALS, TCP_ADDRESS

_USERNAME, _INTEGRITY, _FINGERPRINT = 0x0006, 0x0008, 0x8028


def _attributes(data: bytes) -> list[tuple[int, int, bytes]]:
    """(type, position, value) of each attribute, read as RFC 8489 section 14 has it and with nothing of ours."""
    found, position = [], 20
    while position + 4 <= len(data):
        kind, length = struct.unpack_from("!HH", data, position)
        found.append((kind, position, data[position + 4 : position + 4 + length]))
        position += 4 + (length + 3 & ~3)
    return found


def _is_authentic(data: bytes) -> bool:
    """Whether the first MESSAGE-INTEGRITY is right for CREDENTIALS (RFC 8489 section 14.5), by our own reckoning."""
    for kind, position, value in _attributes(data):
        if kind == _INTEGRITY:
            covered = data[:2] + struct.pack("!H", position - 20 + 24) + data[4:position]
            return hmac.compare_digest(hmac.digest(CREDENTIALS.key, covered, hashlib.sha1), value)
    return False


def stun(data: bytes) -> None:
    """A message is read or refused; what is read is what stands there; an answer is never much larger."""
    username = peek_username(data)
    assert username is None or username in data
    if not looks_like_request(data):
        return
    try:
        request = parse_request(data)
    except MalformedStun:
        return
    assert request.transaction_id == data[8:20]
    names = [value for kind, _, value in _attributes(data) if kind == _USERNAME]
    if len(names) == 1 and len(names[0]) <= 513 and username is not None:
        assert names[0] == username
    assert request.check_message_integrity(CREDENTIALS.key) == _is_authentic(data)
    for answer in (
        binding_success(request, ("192.0.2.1", 1), CREDENTIALS.key),
        binding_error(request, 401, "Unauthenticated"),
        binding_error(request, 487, "Role Conflict", CREDENTIALS.key),
    ):
        assert len(answer) <= 80
        assert answer[8:20] == data[8:20]
        assert answer[:2] in (b"\x01\x01", b"\x01\x11")


class _Session:
    """A receiver that remembers; it is where a check has proved it to be."""

    link = None

    def __init__(self, demux: Demultiplexer) -> None:
        self._demux = demux
        self.proved: set[Any] = set()
        self.first: dict[bytes, Any] = {}
        self.taken: list[tuple[str, bytes]] = []
        self.current: Any = None  # the datagram that is being looked at, and where it is from

    def generation(self, username: bytes) -> Credentials | None:
        return CREDENTIALS if username == CREDENTIALS.username else None

    def on_check(self, path: Any, credentials: Credentials, address: Any, *, nominated: bool, now: float) -> None:
        datagram, source = self.current
        assert address == source
        assert _is_authentic(datagram), "a check that nobody with the password has made"
        assert any(kind == _FINGERPRINT for kind, _, _ in _attributes(datagram))
        assert self.first.setdefault(datagram[8:20], source) == source, "a copy of a check from somewhere else"
        self.proved.add(address)
        self._demux.bind_address(address, self, path)

    def on_dtls(self, datagram: bytes, now: float) -> None:
        assert self.current[1] in self.proved
        assert 20 <= datagram[0] <= 63
        self.taken.append(("dtls", datagram))

    def on_media(self, datagram: bytes, now: float) -> None:
        assert self.current[1] in self.proved
        assert 128 <= datagram[0] <= 191
        self.taken.append(("media", datagram))

    def on_path_closed(self, address: Any) -> None:
        self.proved.discard(address)

    def owns_alive(self, address: Any, now: float) -> bool:
        return address in self.proved


class _Path:
    """A socket that swallows."""

    protocol = "udp"

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Any]] = []

    def transmit(self, datagram: bytes, address: Any) -> bool:
        self.sent.append((datagram, address))
        return True

    def claimed(self, address: Any) -> None: ...

    def released(self, address: Any) -> None: ...


def demultiplexer(data: bytes) -> None:
    """Datagrams (each after a byte of address and two of length) reach a session from proven addresses only."""
    now = [0.0]
    demux = Demultiplexer(lambda: now[0])
    session, path = _Session(demux), _Path()
    demux.register(CREDENTIALS.local_ufrag, session)
    position = given = 0
    while position + 3 <= len(data) and given < 64:
        source: Any = ("192.0.2.7", 1000 + data[position] % 4)
        size = int.from_bytes(data[position + 1 : position + 3], "big") % (LARGEST + 1)
        datagram = data[position + 3 : position + 3 + size]
        position += 3 + size
        if not datagram:
            continue
        session.current = (datagram, source)
        answered = len(path.sent)
        demux.received(path, datagram, source)  # type: ignore[arg-type]
        given += 1
        now[0] += 0.01
        assert all(address == source for _, address in path.sent[answered:]), (
            "an answer goes where the question is from"
        )
        assert len(path.sent) - answered <= 1
    counters = demux.counters
    assert counters.media + counters.dtls == len(session.taken)
    assert set(demux.owners) == session.proved


class _Listener:
    def __init__(self) -> None:
        self.limits = tcp.TcpLimits()

    def remove_stranger(self, connection: Any) -> None: ...

    def forget(self, connection: Any) -> None: ...


class _Demux:
    def __init__(self) -> None:
        self.counters = Demultiplexer(lambda: 0.0).counters
        self.seen: list[bytes] = []

    def received(self, path: Any, datagram: bytes, address: Any) -> None:
        self.seen.append(datagram)

    def path_closed(self, address: Any) -> None: ...


class _Loop:
    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None


class _Socket:
    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    def recv(self, size: int) -> bytes:
        return self._chunks.pop(0)

    def close(self) -> None: ...


def _frames_by(chunks: list[bytes], *, claimed: bool) -> tuple[list[bytes], bool]:
    demux, listener = _Demux(), _Listener()
    with patch("asyncio.get_running_loop", _Loop):
        connection = tcp.TcpConnection(listener, demux, _Socket(chunks), TCP_ADDRESS, "192.0.2.7")  # type: ignore[arg-type]
        if claimed:
            connection.claimed(TCP_ADDRESS)
        while chunks and not connection._closed:
            connection._readable()
    kept = connection._frames._buffer if hasattr(connection, "_frames") else connection._incoming
    assert connection._closed or len(kept) <= LARGEST + 2, "no more than one frame is ever kept"
    return demux.seen, connection._closed


def framing(data: bytes) -> None:
    """RFC 4571: however the stream is cut into pieces, the same datagrams come out of it, and strangers get little."""
    if len(data) < 3:
        return
    sizes, stream = data[:2], data[2:]
    expected, position, whole = [], 0, True
    while len(stream) - position >= 2:
        size = int.from_bytes(stream[position : position + 2], "big")
        if size > LARGEST:
            whole = False
            break
        if len(stream) - position - 2 < size:
            break
        if size:
            expected.append(stream[position + 2 : position + 2 + size])
        position += 2 + size
    pieces, at, turn = [], 0, 0
    while at < len(stream):
        step = sizes[turn % 2] % 97 + 1
        pieces.append(stream[at : at + step])
        at, turn = at + step, turn + 1
    for chunks in ([stream], list(pieces)):
        seen, closed = _frames_by(chunks, claimed=True)
        assert closed != whole
        assert seen == (expected if whole else expected[: len(seen)])
    allowed = tcp.TcpLimits().stranger_bytes
    seen, closed = _frames_by(list(pieces), claimed=False)
    assert sum(map(len, seen)) <= allowed
    assert all(datagram[0] < 4 for datagram in seen), "a stranger may ask for a check and for nothing else"
    assert seen == expected[: len(seen)]
    assert closed or (len(stream) <= allowed and seen == expected)
