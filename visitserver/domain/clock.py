"""The clock's type: time is always handed in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

Clock = Callable[[], datetime]
"""Gives the present moment, aware, in UTC."""
