"""The keys that a deployment has: made once, kept in files of their own, never in the database or the settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from recorder.keys import LocalKeyRing, new_key_line
from visitserver.config import Settings
from visitserver.domain.errors import Invalid

SECRET_BYTES = 32


class KeysMissing(Invalid):
    """A key file is not there, or others may read it."""


@dataclass(frozen=True, slots=True)
class KeyPaths:
    """Where each key stands. `*_pem` are Ed25519 keys (PKCS #8 PEM), `*_key` are 32 random bytes."""

    tickets_pem: Path
    audit_pem: Path
    audit_key: Path
    sealing_key: Path
    identity_key: Path
    recorder_ring: Path
    recorder_pem: Path

    @classmethod
    def of(cls, settings: Settings) -> KeyPaths:
        """The paths that `settings` name."""
        folder = settings.keys.directory
        return cls(
            tickets_pem=folder / "tickets.pem",
            audit_pem=folder / "audit-signing.pem",
            audit_key=folder / "audit.key",
            sealing_key=folder / "sealing.key",
            identity_key=settings.identity.key_file,
            recorder_ring=settings.recorder.key_file,
            recorder_pem=settings.recorder.signing_key_file,
        )


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys themselves, in this process's memory."""

    tickets: Ed25519PrivateKey
    audit_signing: Ed25519PrivateKey
    audit: bytes
    sealing: bytes
    identity: bytes
    recorder_ring: LocalKeyRing
    recorder_signing: Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class MediaKeys:
    """What a media process holds: it can check tickets and cannot make them, and it can write recordings."""

    tickets: Ed25519PublicKey
    recorder_ring: LocalKeyRing
    recorder_signing: Ed25519PrivateKey


def load_media_keys(settings: Settings) -> MediaKeys:
    """Read the keys of a media process. KeysMissing names the file that is missing or malformed."""
    paths = KeyPaths.of(settings)
    return MediaKeys(
        tickets=_public_pem(settings.cluster.ticket_key or paths.tickets_pem.with_suffix(".pub.pem")),
        recorder_ring=_ring(paths.recorder_ring),
        recorder_signing=_pem(paths.recorder_pem),
    )


def make_missing_keys(paths: KeyPaths) -> list[Path]:
    """Make each key that is not there yet (files 0600, folders 0700); the paths of those that were made.

    A key that is there is never touched: an overwritten key would make what it protects unreadable.
    """
    made: list[Path] = []
    for path in (paths.tickets_pem, paths.audit_pem, paths.recorder_pem):
        if _create(path, _new_pem):
            _publish(path)
            made.append(path)
    for path in (paths.audit_key, paths.sealing_key, paths.identity_key):
        if _create(path, lambda: os.urandom(SECRET_BYTES)):
            made.append(path)
    if _create(paths.recorder_ring, lambda: (new_key_line("kek-1") + "\n").encode("ascii")):
        made.append(paths.recorder_ring)
    return made


def load_keys(paths: KeyPaths) -> Keys:
    """Read every key. KeysMissing names the file that is missing, malformed or readable by others."""
    return Keys(
        tickets=_pem(paths.tickets_pem),
        audit_signing=_pem(paths.audit_pem),
        audit=_secret(paths.audit_key),
        sealing=_secret(paths.sealing_key),
        identity=_secret(paths.identity_key),
        recorder_ring=_ring(paths.recorder_ring),
        recorder_signing=_pem(paths.recorder_pem),
    )


def public_pem(key: Ed25519PrivateKey) -> bytes:
    """The public half in PEM (RFC 8410): what a verifier is given."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _new_pem() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _create(path: Path, make: Callable[[], bytes]) -> bool:
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = make()
    # Complete or not at all: a key cut short by a crash must not be taken for a key at the next start.
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(partial, path)
    except FileExistsError:
        return False
    finally:
        partial.unlink()
    return True


def _publish(path: Path) -> None:
    public = path.with_suffix(".pub.pem")
    public.write_bytes(public_pem(_pem(path)))


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_mode & 0o077:
            raise KeysMissing(f"The key file {path} may be read by others: chmod 600 it.", code="key_file")
        return path.read_bytes()
    except OSError as error:
        raise KeysMissing(f"The key file {path} cannot be read: visitserver keys makes it.", code="key_file") from error


def _secret(path: Path) -> bytes:
    content = _read(path)
    if len(content) != SECRET_BYTES:
        raise KeysMissing(f"The key file {path} does not hold {SECRET_BYTES} bytes.", code="key_file")
    return content


def _pem(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(_read(path), password=None)
    except ValueError as error:
        raise KeysMissing(f"The key file {path} is no unencrypted PEM key.", code="key_file") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeysMissing(f"The key in {path} is not an Ed25519 key.", code="key_file")
    return key


def _public_pem(path: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise KeysMissing(f"The public key {path} cannot be read.", code="key_file") from error
    except ValueError as error:
        raise KeysMissing(f"The file {path} is no PEM public key.", code="key_file") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeysMissing(f"The key in {path} is not an Ed25519 key.", code="key_file")
    return key


def _ring(path: Path) -> LocalKeyRing:
    try:
        return LocalKeyRing.from_text(_read(path).decode("ascii"))
    except (ValueError, UnicodeDecodeError) as error:
        raise KeysMissing(f"The key file {path} holds no key-encryption keys.", code="key_file") from error
