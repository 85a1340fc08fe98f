"""A derived WebM to a browser, whole or by range (RFC 9110 section 14), read in threads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from visitserver.services.ports.recordings import TrackFile

CHUNK: Final = 256 * 1024


class RangeNotSatisfiable(Exception):
    """The range that was asked for is none, or lies outside. `size` is the file's."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def wanted_part(request: web.Request, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last, or None for the whole file. RangeNotSatisfiable.

    Of several ranges none is served: RFC 9110 lets a server ignore the field.
    """
    if "," in request.headers.get("Range", ""):
        return None
    try:
        asked = request.http_range
    except ValueError:
        raise RangeNotSatisfiable(size) from None
    if asked.start is None and asked.stop is None:
        return None
    start = asked.start or 0
    if start < 0:  # the last so many bytes
        start = max(0, size + start)
    stop = size if asked.stop is None else min(asked.stop, size)
    if start >= size or start >= stop:
        raise RangeNotSatisfiable(size)
    return start, stop


async def send_track(request: web.Request, track: TrackFile) -> web.StreamResponse:
    """Answer with the track, and close it whatever happens."""
    try:
        try:
            part = wanted_part(request, track.size)
        except RangeNotSatisfiable as error:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{error.size}"})
        start, stop = part or (0, track.size)
        response = web.StreamResponse(status=200 if part is None else 206)
        response.content_type = "video/webm"
        response.content_length = stop - start
        response.headers["Accept-Ranges"] = "bytes"
        if part is not None:
            response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{track.size}"
        await response.prepare(request)
        if request.method != "HEAD":
            await _copy(response, track, start, stop)
        await response.write_eof()
        return response
    finally:
        await asyncio.to_thread(track.close)


async def _copy(response: web.StreamResponse, track: TrackFile, start: int, stop: int) -> None:
    await asyncio.to_thread(track.seek, start)
    left = stop - start
    while left > 0:
        data = await asyncio.to_thread(track.read, min(CHUNK, left))
        if not data:
            raise OSError("the track ends before its size")
        await response.write(data)
        left -= len(data)
