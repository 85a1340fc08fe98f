"""Mail by SMTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import aiosmtplib

from visitserver.domain.clock import Clock
from visitserver.notify.mail import DeliveryFailed, Mail, as_message


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where and how. `tls`: upgraded by STARTTLS, from the first byte, or none (a relay on the same machine)."""

    host: str
    port: int = 587
    username: str | None = None
    password: str | None = None
    tls: Literal["starttls", "tls", "none"] = "starttls"
    timeout: float = 20.0


class SmtpMailer:
    """The Mailer over SMTP (RFC 5321): one connection per mail, certificates checked."""

    def __init__(self, server: SmtpServer, *, sender: str, clock: Clock) -> None:
        self._server = server
        self._sender = sender
        self._clock = clock

    async def send(self, mail: Mail) -> None:
        message = as_message(mail, sender=self._sender, at=self._clock())
        server = self._server
        try:
            await aiosmtplib.send(
                message,
                hostname=server.host,
                port=server.port,
                username=server.username,
                password=server.password,
                use_tls=server.tls == "tls",
                start_tls=server.tls == "starttls",
                timeout=server.timeout,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [refused.code for refused in error.recipients]
            raise DeliveryFailed(
                f"recipient refused: {codes}", lasting=all(500 <= code < 600 for code in codes)
            ) from error
        except aiosmtplib.SMTPAuthenticationError as error:
            # The operator can mend this; the mails wait.
            raise DeliveryFailed(f"sign-in refused: {error.code}") from error
        except aiosmtplib.SMTPResponseException as error:
            raise DeliveryFailed(f"refused: {error.code}", lasting=500 <= error.code < 600) from error
        except (TimeoutError, aiosmtplib.SMTPException, OSError) as error:
            raise DeliveryFailed(f"not reached: {type(error).__name__}") from error
