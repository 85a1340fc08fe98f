"""SRTP per packet (RFC 3711, RFC 7714) by pylibsrtp. The one file that reaches into pylibsrtp's private parts.

`Session.protect` makes a new length cell for every packet and goes through three Python calls. The functions made here
do the same C call on the same session with one cell and one call; on a relay's load that is a tenth of all its work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pylibsrtp
from pylibsrtp import _binding

Error = pylibsrtp.Error

MAX_PROTECTED = 1356  # bytes of a plain packet: pylibsrtp's buffer is 1,500 and the trailer may be 144
MAX_UNPROTECTED = 1500

# Everything private that is used below: tests/unit/media/test_srtp.py checks each against the library.
BINDING_NAMES = ("srtp_protect", "srtp_unprotect", "srtp_protect_rtcp", "srtp_unprotect_rtcp")
SESSION_NAMES = ("_srtp", "_cdata", "_buffer")


def protector(session: Any) -> Callable[[bytes], bytes]:
    """A function that protects RTP packets with `session` (a pylibsrtp.Session).

    It raises Error when libsrtp refuses, ValueError for more than MAX_PROTECTED bytes.
    """
    return _processor(session, _binding.lib.srtp_protect, MAX_PROTECTED)


def unprotector(session: Any) -> Callable[[bytes], bytes]:
    """A function that checks and decrypts SRTP packets with `session` (a pylibsrtp.Session).

    It raises Error for a packet that is not authentic or was there before, ValueError for more than MAX_UNPROTECTED
    bytes.
    """
    return _processor(session, _binding.lib.srtp_unprotect, MAX_UNPROTECTED)


# What _native.c takes them for. libsrtp 3 has other parameters: then the packets stay in Python.
_SIGNATURE = "srtp_err_status_t(*)(struct srtp_ctx_t_ *, void *, int *)"


def function_addresses() -> tuple[int, ...] | None:
    """Where libsrtp's BINDING_NAMES stand in memory, in that order; None if they are not what _native.c expects."""
    ffi, lib = _binding.ffi, _binding.lib
    found = []
    for name in BINDING_NAMES:
        function = ffi.addressof(lib, name)
        if ffi.typeof(function).cname != _SIGNATURE:
            return None
        found.append(int(ffi.cast("uintptr_t", function)))
    return tuple(found)


def session_handle(session: Any) -> tuple[int, object]:
    """The libsrtp session behind `session` (a pylibsrtp.Session) as a number, and what keeps it alive."""
    handle = session._srtp
    return int(_binding.ffi.cast("uintptr_t", handle[0])), handle


def _processor(session: Any, function: Callable[..., int], limit: int) -> Callable[[bytes], bytes]:
    handle, cell, view = session._srtp, session._cdata, session._buffer
    length = _binding.ffi.new("int *")

    def process(packet: bytes) -> bytes:
        size = len(packet)
        if size > limit:
            raise ValueError("packet is too long")
        length[0] = size
        view[0:size] = packet
        # `handle` is the owner of the C session: it is dereferenced here and kept alive by this closure.
        if function(handle[0], cell, length):
            raise Error("libsrtp refused the packet")
        result: bytes = view[0 : length[0]]
        return result

    return process
