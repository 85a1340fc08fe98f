"""Whether the packet path in C is there and wanted (docs/decisions/0110).

`module` is signaling.media._native, ready for use, or None; `why_not` says in a word why it is None. Environment
variable VISIT_NATIVE=0 turns it off; without a compiler at installation it was never built. Whatever uses it has a way
in Python beside it, with the same behaviour.
"""

from __future__ import annotations

import os
from importlib import import_module
from types import ModuleType
from typing import Any

from signaling.media import srtp

SWITCH = "VISIT_NATIVE"


def wanted() -> bool:
    """Whether what can be done in C is to be done there."""
    return os.environ.get(SWITCH, "1").strip().lower() not in ("0", "no", "off", "false")


def _load() -> tuple[ModuleType | None, str]:
    if not wanted():
        return None, "switched_off"
    try:
        found = import_module("signaling.media._native")
    except ImportError:
        return None, "not_built"
    addresses = srtp.function_addresses()
    if addresses is None:
        return None, "unknown_libsrtp"
    found.configure(*addresses, srtp.Error)
    return found, ""


module, why_not = _load()


def describe() -> str:
    """For people and for /readyz: `native`, or `python (…)` with the reason."""
    return "native" if module is not None else f"python ({why_not})"


def cipher(session: Any) -> Any | None:
    """One direction of SRTP for the packet path in C, by `session` (a pylibsrtp.Session); None without it."""
    return None if module is None else module.Cipher(*srtp.session_handle(session))
