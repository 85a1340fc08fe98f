"""What is written under one name is read under the same one, with and without TLS."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from visitserver.http import cookies


@pytest.mark.parametrize("secure", [False, True])
def test_a_chosen_language_is_found_again(secure: bool) -> None:
    response = web.Response()
    cookies.write(response, cookies.LANGUAGE, "fi", secure=secure, lasting=True)
    (kept,) = response.cookies.values()
    request = make_mocked_request("GET", "/", headers={"Cookie": f"{kept.key}={kept.value}"})
    assert cookies.language(request, secure=secure) == "fi"
    assert cookies.language(request, secure=not secure) is None, "over TLS no neighbour's cookie counts"
