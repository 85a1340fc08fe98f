"""The generator's core (core.c) from Python: compiled at the first use, called through ctypes."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SOURCE = Path(__file__).with_name("core.c")
STAMP = 24  # bytes at a payload's end that the core writes
MASTER = 28  # bytes: AEAD_AES_128_GCM's key of 16 and salt of 12 (RFC 7714 section 12)
VIDEO_TYPE, RTX_TYPE = 96, 97
_BUCKETS = 200_001


class NoCompiler(RuntimeError):
    """There is no C compiler, so there is no load generator."""


class Entry(ctypes.Structure):
    """One packet of a timetable; see core.c."""

    _fields_ = (
        ("at", ctypes.c_int64),
        ("timestamp", ctypes.c_uint32),
        ("marker", ctypes.c_int32),
        ("size", ctypes.c_int32),
        ("stamp", ctypes.c_int32),
        ("picture_at", ctypes.c_int32),
        ("picture", ctypes.c_uint32),
        ("payload", ctypes.c_char_p),
    )


_TOTALS = (
    *("sent", "send_failed", "sent_bytes"),
    *("received", "received_bytes", "duplicates", "repaired", "unstamped", "undecryptable", "rtcp", "other", "stale"),
    *("pictures", "voices"),
    "datagrams",
    *("late_max", "late_total"),
)


class _Totals(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in _TOTALS)


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet of a stream's cycle: when it is sent (seconds), its RTP timestamp in the cycle, its payload.

    `stamped` payloads have their last STAMP bytes overwritten. `picture` is the number of the VP8 frame in the cycle
    (None: the payload's own picture id stays).
    """

    at: float
    timestamp: int
    payload: bytes
    marker: bool = True
    stamped: bool = True
    picture: int | None = None


@dataclass(frozen=True, slots=True)
class Timetable:
    """What a stream sends over and over: `packets` in the order of `at`, `cycle` seconds, `rate` the RTP clock's."""

    packets: Sequence[Packet]
    cycle: float
    rate: int
    pictures: int = 0


def session_keys(master: bytes) -> tuple[bytes, bytes]:
    """The SRTP session key and salt of a master key with salt (RFC 3711 section 4.3, RFC 7714 section 11)."""
    key, salt = master[:16], master[16:28] + bytes(2)

    def derive(label: int, size: int) -> bytes:
        block = bytearray(salt)
        block[7] ^= label
        encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(block) + bytes(2))).encryptor()
        return encryptor.update(bytes(size))

    return derive(0, 16), derive(2, 12)


class Engine:
    """The core. `run` blocks for as long as it is told to, without Python's lock."""

    def __init__(self) -> None:
        """Raises NoCompiler."""
        self._library = _library()
        self._engine = ctypes.c_void_p(self._library.engine_new(RTX_TYPE, VIDEO_TYPE))
        self._kept: dict[int, Any] = {}

    def add_socket(self, descriptor: int, master: bytes) -> int:
        """A connected UDP socket whose SRTP is unprotected with the server's master key and salt; gives its number."""
        key, salt = session_keys(master)
        number = int(self._library.engine_add_socket(self._engine, descriptor, key, salt))
        if number < 0:
            raise OSError("epoll does not take the socket")
        return number

    def add_stream(
        self,
        socket: int,
        number: int,
        *,
        ssrc: int,
        payload_type: int,
        sequence: int,
        timestamp: int,
        master: bytes,
        extension: bytes,
        time_at: int,
        timetable: Timetable,
    ) -> int:
        """A stream on a socket, protected with `master`; `extension` is the whole header extension (RFC 8285)."""
        key, salt = session_keys(master)
        table = self._table(timetable)
        return int(
            self._library.engine_add_sender(
                *(self._engine, socket, number, ssrc, payload_type, sequence, timestamp, key, salt),
                *(extension, len(extension), time_at, table, len(table), ctypes.c_int64(round(timetable.cycle * 1e9))),
                *(round(timetable.cycle * timetable.rate) & 0xFFFFFFFF, timetable.pictures),
            )
        )

    def _table(self, timetable: Timetable) -> Any:
        known = self._kept.get(id(timetable))
        if known is None:
            entries = [
                Entry(
                    round(packet.at * 1e9),
                    packet.timestamp,
                    packet.marker,
                    len(packet.payload),
                    packet.stamped,
                    -1 if packet.picture is None else 2,
                    packet.picture or 0,
                    packet.payload,
                )
                for packet in timetable.packets
            ]
            known = self._kept[id(timetable)] = ((Entry * len(entries))(*entries), timetable)
        return known[0]

    def start(self, stream: int, phase: float) -> None:
        """Let a stream begin `phase` seconds from now."""
        self._library.engine_start(self._engine, stream, ctypes.c_int64(round(phase * 1e9)))

    def epoch(self) -> None:
        """Count afresh."""
        self._library.engine_epoch(self._engine)

    def run(self, seconds: float, *, silent: bool = False) -> None:
        """Send what is due (nothing when `silent`) and take what comes, for so long."""
        self._library.engine_run(self._engine, ctypes.c_int64(round(seconds * 1e9)), int(silent))

    def totals(self) -> dict[str, int]:
        """What was counted in this epoch; `received` are packets of this epoch, each once."""
        found = self._library.engine_totals(self._engine).contents
        return {name: int(getattr(found, name)) for name in _TOTALS}

    def delays(self, *quantiles: float) -> list[int]:
        """The quantiles (0 to 1) of the delay from one socket to the other in microseconds; empty without packets."""
        counts = self._library.engine_delays(self._engine)[:_BUCKETS]
        total = sum(counts)
        if not total:
            return []
        found: list[int] = []
        seen, wanted = 0, [max(1, round(part * total)) for part in sorted(quantiles)]
        for microseconds, count in enumerate(counts):
            seen += count
            while len(found) < len(wanted) and seen >= wanted[len(found)]:
                found.append(microseconds)
        return found

    def sources(self, socket: int) -> list[tuple[int, int]]:
        """The SSRCs that a socket has been sent, with the highest extended sequence number of each."""
        ssrcs, highest = (ctypes.c_uint32 * 64)(), (ctypes.c_uint64 * 64)()
        count = self._library.engine_sources(self._engine, socket, ssrcs, highest, 64)
        return [(ssrcs[number], highest[number] & 0xFFFFFFFF) for number in range(count)]

    def clock(self, stream: int, rate: int) -> tuple[int, int]:
        """How many packets a stream has sent, and its RTP timestamp of this moment."""
        timestamp = ctypes.c_uint32()
        return int(self._library.engine_clock(self._engine, stream, ctypes.byref(timestamp), rate)), timestamp.value

    def close(self) -> None:
        """Free it; the sockets stay open."""
        self._library.engine_free(self._engine)


def _library() -> Any:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NoCompiler("the load generator needs a C compiler (Debian package gcc)")
    digest = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    built = Path(tempfile.gettempdir()) / f"visit-load-{os.getuid()}-{digest}.so"
    if not built.exists():
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "core.so"
            command = [compiler, "-O2", "-shared", "-fPIC", str(SOURCE), "-o", str(made), "-l:libcrypto.so.3"]
            subprocess.run(command, check=True, timeout=60)
            shutil.move(made, built)
    library = ctypes.CDLL(str(built))
    library.engine_new.restype = ctypes.c_void_p
    library.engine_totals.restype = ctypes.POINTER(_Totals)
    library.engine_delays.restype = ctypes.POINTER(ctypes.c_uint32)
    library.engine_clock.restype = ctypes.c_uint32
    return library
