"""A control channel that keeps what it was sent."""

from __future__ import annotations

from typing import Any

from signaling.messages import ServerMessage


class FakeChannel:
    """`messages` as JSON, `closed` with code and reason once it is."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None

    def send(self, message: ServerMessage) -> None:
        if self.closed is None:
            self.messages.append(message.model_dump(mode="json"))

    def close(self, code: int, reason: str) -> None:
        self.closed = self.closed or (code, reason)

    def types(self) -> list[str]:
        return [message["type"] for message in self.messages]

    def states(self) -> list[str]:
        return [message["state"] for message in self.messages if message["type"] == "state"]

    def last(self, type: str) -> dict[str, Any]:
        return next(message for message in reversed(self.messages) if message["type"] == type)
