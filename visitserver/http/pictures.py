"""Pictures in a multipart body, read into memory: a face or a passport is never spooled to a disk unencrypted."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiohttp import BodyPartReader, web
from aiohttp.http import HttpProcessingError
from aiohttp.multipart import MultipartReader

from visitserver.domain.errors import Invalid
from visitserver.http.forms import UnsupportedBody

TEXT_MOST = 64


@dataclass(slots=True)
class Sent:
    """`pictures` in the order they came; `beside` the one of another field; `texts` are the values of the text fields,
    by name, in order."""

    pictures: list[bytes] = field(default_factory=list)
    beside: bytes | None = None
    texts: dict[str, list[str]] = field(default_factory=dict)


async def read_pictures(request: web.Request, name: str, *, most: int, beside: str = "") -> Sent:
    """Read the fields `name` (at most `most` pictures), the field `beside` (one picture) and short text fields.

    The size of the whole body is limited by the route. Raises UnsupportedBody (415), Invalid (too many, or not of the
    form that was asked for), aiohttp's HTTPRequestEntityTooLarge.
    """
    if request.content_type != "multipart/form-data":
        raise UnsupportedBody
    sent = Sent()
    left = request.client_max_size
    try:
        reader: MultipartReader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader):
                raise Invalid("A form does not hold another one.", code="bad_form")
            content = bytearray()
            while chunk := await part.read_chunk():
                content += chunk
                left -= len(chunk)
                if left < 0:
                    raise web.HTTPRequestEntityTooLarge(max_size=request.client_max_size, actual_size=len(content))
            if beside and part.name == beside:
                sent.beside = bytes(content)
            else:
                _take(sent, part.name or "", bytes(content), name, most)
    except (ValueError, LookupError, AssertionError, HttpProcessingError):
        # aiohttp's words for a body that is not what its header says: no boundary, no header, unknown encoding, cut off
        raise Invalid("The form cannot be read.", code="bad_form") from None
    return sent


def _take(sent: Sent, field_name: str, content: bytes, name: str, most: int) -> None:
    if field_name == name:
        if len(sent.pictures) >= most:
            raise Invalid(f"Send at most {most} pictures.", code="too_many", field=name)
        sent.pictures.append(content)
    elif len(content) <= TEXT_MOST and sum(map(len, sent.texts.values())) < TEXT_MOST:
        sent.texts.setdefault(field_name, []).append(content.decode("utf-8", "replace"))
