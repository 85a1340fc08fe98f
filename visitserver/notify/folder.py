"""Mail into a folder, one .eml file each: for trying things out without a mail server."""

from __future__ import annotations

import asyncio
from pathlib import Path

from visitserver.domain.clock import Clock
from visitserver.notify.mail import DeliveryFailed, Mail, as_message


class FolderMailer:
    """The Mailer that writes files, readable by the owner alone."""

    def __init__(self, folder: Path, *, sender: str, clock: Clock) -> None:
        self._folder = folder
        self._sender = sender
        self._clock = clock

    async def send(self, mail: Mail) -> None:
        message = as_message(mail, sender=self._sender, at=self._clock())
        try:
            await asyncio.to_thread(self._write, f"{mail.key}.eml", message.as_bytes())
        except OSError as error:
            raise DeliveryFailed(f"not written: {type(error).__name__}") from error

    def _write(self, name: str, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
