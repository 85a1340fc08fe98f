"""Where the server listens: its TLS settings, and the addresses that people type."""

from __future__ import annotations

import ssl
from typing import Final

from aiohttp import web

from visitserver.config import ServerSettings
from visitserver.demo.selfsigned import own_addresses

ANY: Final = "0.0.0.0"  # noqa: S104  said, not bound


def tls_of(settings: ServerSettings) -> ssl.SSLContext | None:
    """What HTTPS needs, or None where the server speaks plain HTTP. OSError for files that cannot be read."""
    if settings.tls_certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    return context


def urls_of(settings: ServerSettings, runner: web.AppRunner) -> list[str]:
    """The addresses under which a server that listens now answers, this machine's own first."""
    scheme = "https" if settings.tls_certificate else "http"
    port = runner.addresses[0][1]
    hosts = ["127.0.0.1", *own_addresses()] if settings.host == ANY else [settings.host]
    return [f"{scheme}://{host}:{port}" for host in hosts]
