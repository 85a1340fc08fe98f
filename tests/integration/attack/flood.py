"""Send datagrams as fast as C does, from a process of its own: python flood.py SPEC.json < /dev/null

SPEC.json: {"host", "port", "rate" (datagrams/s), "seconds", "datagrams" (a file of 2-byte lengths and bytes),
"strangers" (how many sockets of its own), "sockets" (inherited descriptors, whose source address is somebody else's)}.
Prints one JSON line: {"sent", "seconds", "rate", "refused"}. Nothing is imported but the standard library.
"""

from __future__ import annotations

import ctypes
import json
import socket
import struct
import sys
import time
from pathlib import Path

BATCH = 64


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _MsgHdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.POINTER(_IoVec)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _MMsgHdr(ctypes.Structure):
    _fields_ = (("header", _MsgHdr), ("length", ctypes.c_uint))


class Sender:
    """One prepared sendmmsg(2) after the other."""

    def __init__(self, host: str, port: int, datagrams: list[bytes]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        name = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)
        self._name = ctypes.create_string_buffer(name, 16)
        self._kept: list[object] = []
        self._batches = [self._batch(datagrams[at : at + BATCH]) for at in range(0, len(datagrams), BATCH)]
        self._next = 0

    def _batch(self, datagrams: list[bytes]) -> tuple[ctypes.Array[_MMsgHdr], int]:
        headers = (_MMsgHdr * len(datagrams))()
        for header, datagram in zip(headers, datagrams, strict=True):
            payload = ctypes.create_string_buffer(datagram, max(len(datagram), 1))
            vector = _IoVec(ctypes.cast(payload, ctypes.c_void_p), len(datagram))
            self._kept += [payload, vector]
            header.header.name = ctypes.cast(self._name, ctypes.c_void_p)
            header.header.name_length = 16
            header.header.vectors = ctypes.pointer(vector)
            header.header.vector_count = 1
        return headers, len(datagrams)

    def send(self, descriptor: int) -> int:
        """Send the next batch; how many datagrams the kernel took."""
        headers, count = self._batches[self._next]
        self._next = (self._next + 1) % len(self._batches)
        return max(0, int(self._libc.sendmmsg(descriptor, headers, count, 0)))


def read_datagrams(path: Path) -> list[bytes]:
    """The datagrams of a file that `write_datagrams` wrote."""
    data, position, found = path.read_bytes(), 0, []
    while position < len(data):
        (size,) = struct.unpack_from("!H", data, position)
        found.append(data[position + 2 : position + 2 + size])
        position += 2 + size
    return found


def write_datagrams(path: Path, datagrams: list[bytes]) -> None:
    """Write datagrams, each after its length (2 bytes)."""
    path.write_bytes(b"".join(struct.pack("!H", len(datagram)) + datagram for datagram in datagrams))


def main(spec: dict[str, object]) -> None:
    sender = Sender(str(spec["host"]), int(str(spec["port"])), read_datagrams(Path(str(spec["datagrams"]))))
    own = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(int(str(spec["strangers"])))]
    descriptors = [one.fileno() for one in own] + [int(number) for number in spec["sockets"]]  # type: ignore[attr-defined]
    rate, seconds = float(str(spec["rate"])), float(str(spec["seconds"]))
    sent = refused = turn = 0
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < seconds:
        if sent + refused > elapsed * rate:
            time.sleep(0.0005)
            continue
        taken = sender.send(descriptors[turn % len(descriptors)])
        turn += 1
        sent += taken
        refused += BATCH - taken
    elapsed = time.monotonic() - began
    print(json.dumps({"sent": sent, "seconds": elapsed, "rate": sent / elapsed, "refused": refused}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
