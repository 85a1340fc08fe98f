"""What every message of the control channel is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Message(BaseModel):
    """A message. It has exactly the fields of its kind, and does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
