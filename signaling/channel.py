"""The control channel: one WebSocket (RFC 6455) per participant or officer, JSON messages, docs/channel.md.

The first message is hello with a ticket; there is no token in a URL. Limits: hello within 5 s, 16 KiB a message, 10
messages a second with bursts of 20, 256 messages waiting to be sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from signaling.errors import InvalidRequest, RateLimited, SignalingError
from signaling.messages import (
    MAX_MESSAGE_BYTES,
    Device,
    Error,
    Hello,
    Ping,
    Pong,
    Quality,
    Report,
    ServerMessage,
    View,
    parse_client_message,
)
from signaling.rate import TokenBucket
from signaling.seats import TOO_SLOW_CODE, Channel
from signaling.wall_messages import Hush, Show, Talk, Unwatch, WallRequest, Watch

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ChannelLimits:
    """The channel's limits; times in seconds. A WebSocket ping goes out every `heartbeat`; a lost one ends it."""

    hello: float = 5.0
    heartbeat: float = 10.0
    rate: float = 10.0  # messages a second
    burst: int = 20
    waiting: int = 256  # messages
    close: float = 2.0  # for what is queued, when the channel closes


class ChannelHost(Protocol):
    """Who the channels belong to: the node."""

    def attach(self, hello: Hello, channel: Channel) -> Attachment:
        """Take the channel into its room. SignalingError when the ticket is not good for that."""
        ...


class Attachment(Protocol):
    """A channel's place in its room."""

    def report(self, report: Report) -> None:
        """What the client says of itself."""
        ...

    def ask(self, request: WallRequest) -> None:
        """What an officer asks of a wall. InvalidRequest where there is none."""
        ...

    def detach(self, cause: str) -> None:
        """The connection is gone."""
        ...


class WebSocketChannel:
    """A `Channel` on a WebSocket: a bounded queue and the task that empties it."""

    def __init__(self, socket: web.WebSocketResponse, limits: ChannelLimits) -> None:
        self._socket = socket
        self._limits = limits
        self._queue: asyncio.Queue[str] = asyncio.Queue(limits.waiting)
        self._closing: tuple[int, str] | None = None
        self._wake = asyncio.Event()

    def send(self, message: ServerMessage) -> None:
        """Queue a message; a client that has not taken `waiting` messages is cut off."""
        if self._closing is not None:
            return
        try:
            self._queue.put_nowait(message.model_dump_json())
        except asyncio.QueueFull:
            log.info("channel too slow")
            while not self._queue.empty():
                self._queue.get_nowait()
            self.close(TOO_SLOW_CODE, "too slow")
        self._wake.set()

    def close(self, code: int, reason: str) -> None:
        """Close after what is queued. The first code counts."""
        if self._closing is None:
            self._closing = (code, reason)
        self._wake.set()

    async def run(self) -> None:
        """Send until closed; then close the socket. Ends when the connection breaks."""
        try:
            while self._closing is None:
                await self._wake.wait()
                self._wake.clear()
                await self._drain()
            code, reason = self._closing
            async with asyncio.timeout(self._limits.close):
                await self._drain()
                await self._socket.close(code=code, message=reason.encode())
        except (ConnectionError, TimeoutError, RuntimeError) as error:
            # aiohttp raises RuntimeError when the peer closed while we were sending.
            log.debug("channel broke while sending", error=type(error).__name__)

    async def _drain(self) -> None:
        while not self._queue.empty():
            await self._socket.send_str(self._queue.get_nowait())


async def serve_channel(
    request: web.Request, host: ChannelHost, limits: ChannelLimits, monotonic: Callable[[], float]
) -> web.StreamResponse:
    """One channel from handshake to end."""
    socket = web.WebSocketResponse(
        heartbeat=limits.heartbeat, max_msg_size=MAX_MESSAGE_BYTES, compress=False, timeout=limits.close
    )
    await socket.prepare(request)
    channel = WebSocketChannel(socket, limits)
    sender = asyncio.create_task(channel.run())
    attachment: Attachment | None = None
    cause = "closed"
    try:
        attachment = host.attach(await _hello(socket, limits), channel)
        cause = await _listen(socket, channel, attachment, TokenBucket(limits.rate, limits.burst, monotonic))
    except SignalingError as error:
        cause = error.code
        channel.send(Error(code=error.code, detail=error.detail))
        channel.close(WSCloseCode.POLICY_VIOLATION, error.code)
    finally:
        if attachment is not None:
            attachment.detach(cause)
        channel.close(WSCloseCode.OK, "bye")
        await sender
    return socket


async def _hello(socket: web.WebSocketResponse, limits: ChannelLimits) -> Hello:
    try:
        # Around the whole wait: the socket's own timeout begins anew with every ping that it answers.
        async with asyncio.timeout(limits.hello):
            first = await socket.receive()
    except TimeoutError:
        raise InvalidRequest("no hello in time", code="no_hello") from None
    message = _parsed(first)
    if not isinstance(message, Hello):
        raise InvalidRequest("the first message is hello", code="no_hello")
    return message


async def _listen(
    socket: web.WebSocketResponse, channel: WebSocketChannel, attachment: Attachment, bucket: TokenBucket
) -> str:
    """Take messages until the connection ends; why it ended. SignalingError for a client that breaks the rules."""
    async for raw in socket:
        if not bucket.take():
            raise RateLimited("too many messages")
        if raw.type is WSMsgType.ERROR:
            break
        match _parsed(raw):
            case Ping(t=t):
                channel.send(Pong(t=t))
            case Device() | Quality() | View() as report:
                attachment.report(report)
            case Watch() | Unwatch() | Show() | Talk() | Hush() as request:
                attachment.ask(request)
            case Hello():
                raise InvalidRequest("hello was said already")
    code = socket.close_code
    return "closed" if code in (WSCloseCode.OK, WSCloseCode.GOING_AWAY) else "lost"


def _parsed(raw: WSMessage) -> Hello | Ping | Report | WallRequest:
    if raw.type is not WSMsgType.TEXT:
        raise InvalidRequest("messages are text")
    return parse_client_message(raw.data)
