"""The settings: a TOML file, then the environment (VISITSERVER_…), then secrets files. An unknown key is an error."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from signaling.media.candidates import Advertised, bindable

Network = IPv4Network | IPv6Network
ENV_PREFIX = "VISITSERVER_"
_TURN_URL = re.compile(r"(stuns?:[^\s?]+|turns?:[^\s?]+(\?transport=(udp|tcp))?)")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ServerSettings(_Section):
    """The HTTP side."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(8080, ge=0, le=65535)
    """TCP port; 0 takes a free one."""
    public_url: str | None = None
    """How browsers reach the server, e.g. https://visits.example.org. Links in mails start with it."""
    tls_certificate: Path | None = None
    """PEM chain. With it the server speaks HTTPS by itself."""
    tls_key: Path | None = None
    """PEM key of `tls_certificate`."""
    trusted_proxies: tuple[Network, ...] = ()
    """Networks whose X-Forwarded-For and X-Forwarded-Proto are believed. Empty: nobody's."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that are answered (without port). Empty: any."""
    metrics_networks: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
    """Networks from which /metrics and the details of /readyz may be read."""
    web_directory: Path | None = None
    """Folder with templates/, static/ and locale/; by default the one beside the package."""
    shutdown_seconds: float = Field(10.0, ge=0, le=600)
    """How long requests in progress may take at a stop."""
    rate_limits: bool = True
    """Off only in load tests."""
    log_format: Literal["json", "console"] = "json"
    """Machine lines or human ones."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lines below this are left out."""


class DatabaseSettings(_Section):
    """Where what must last is kept."""

    url: SecretStr = SecretStr("sqlite+aiosqlite:///var/visitserver.sqlite3")
    """SQLAlchemy URL: sqlite+aiosqlite:///… or postgresql+asyncpg://…"""
    pool_size: int = Field(10, ge=1, le=200)
    """Connections held open (PostgreSQL)."""
    statement_seconds: float = Field(15.0, gt=0, le=600)
    """A statement that takes longer is ended."""


class ClusterSettings(_Section):
    """Several processes (docs/operations.md). The default is one process that needs no Redis."""

    role: Literal["all", "api", "media", "worker"] = "all"
    """What this process does: everything; pages and API; media; or what is done by the clock."""
    redis_url: SecretStr | None = None
    """redis://… or rediss://…; every role but `all` needs it. With a password in it: put it into a secrets file."""
    lease_seconds: float = Field(4.0, ge=2, le=60)
    """A media process that is silent for so long is taken for dead, and its calls are opened elsewhere."""
    media_url: str = Field("", pattern=r"^(https?://[^/?#\s]+)?$")
    """Role media: how browsers reach this very process, e.g. https://media1.example.org, without a path."""
    page_origins: tuple[str, ...] = ()
    """Role media: the origins whose pages may use it, e.g. https://visits.example.org. Empty: any (tickets decide)."""
    media_origins: tuple[str, ...] = ()
    """Role api: the origins of all media processes, which the pages may connect to (Content-Security-Policy)."""
    capacity: int = Field(60, ge=1, le=10_000)
    """Role media: how many calls this process takes."""
    ticket_key: Path | None = None
    """Role media: the public key of tickets (PEM). By default tickets.pub.pem in keys.directory."""


class MediaSettings(_Section):
    """The media endpoint: one port, on UDP and TCP, IPv4 and IPv6."""

    udp_host: str | tuple[str, ...] = ("0.0.0.0", "::")  # noqa: S104  families reach it from outside
    """Address or addresses to bind. A machine of several addresses should name those that clients reach."""
    udp_port: int = Field(8189, ge=0, le=65535)
    """UDP port, and TCP port of the same number; 0 takes a free one."""
    advertised: tuple[str, ...] = ()
    """Public addresses behind a NAT, offered to browsers as ICE candidates: IP addresses or host names (looked up at
    the start), each with a port if that differs ("203.0.113.5:443", "[2001:db8::5]:443"). Empty: the bound ones, or
    the machine's own."""
    transports: tuple[Literal["udp", "tcp"], ...] = Field(("udp", "tcp"), min_length=1)
    """What is offered. TCP is for clients whose network drops UDP."""
    buffer_bytes: int = Field(4 << 20, ge=65536, le=1 << 30)
    """Kernel buffer asked for, per UDP socket and direction (net.core.rmem_max and wmem_max bound it)."""
    drain_seconds: float = Field(10.0, ge=0, le=7200)
    """How long calls under way may go on at a stop before they are suspended."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses to bind."""
        return (self.udp_host,) if isinstance(self.udp_host, str) else self.udp_host

    @field_validator("udp_host")
    @classmethod
    def _can_be_bound(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for host in (value,) if isinstance(value, str) else value:
            bindable(host)
        if not value:
            raise ValueError("name at least one address")
        return value

    @field_validator("advertised")
    @classmethod
    def _can_be_offered(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            Advertised.parse(text)
        return value


class TurnSettings(_Section):
    """A TURN relay (coturn) for clients that reach the media port neither by UDP nor by TCP (docs/operations.md)."""

    urls: tuple[str, ...] = ()
    """For example "turn:turn.example.org:3478" and "turns:turn.example.org:443?transport=tcp". Empty: none."""
    secret: SecretStr | None = None
    """Shared with coturn (static-auth-secret), 16 characters or more: put it into a secrets file."""
    minutes: int = Field(180, ge=10, le=1440)
    """How long a client's credentials are good. Longer than the longest call."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        for url in self.urls:
            if not _TURN_URL.fullmatch(url):
                raise ValueError(f"{url}: not a TURN or STUN address (RFC 7064, RFC 7065)")
        if any(url.startswith("turn") for url in self.urls) and self.secret is None:
            raise ValueError("turn.urls need turn.secret")
        if self.secret is not None and len(self.secret.get_secret_value()) < 16:
            raise ValueError("turn.secret is too short")
        return self


class KeysSettings(_Section):
    """Keys of the application itself. `visitserver keys` makes those that are missing."""

    directory: Path = Path("var/keys")
    """Folder of the keys that sign tickets and the audit log's head, seal audit rows and small secrets."""


class RecorderSettings(_Section):
    """The evidence."""

    directory: Path = Path("var/recordings")
    """Folder of sealed and open recordings."""
    key_file: Path = Path("var/keys/recorder.keys")
    """Key-encryption keys, a line each, the current one first (docs/recording-format.md)."""
    signing_key_file: Path = Path("var/keys/recorder-signing.pem")
    """Ed25519 key that signs manifests."""
    retention_days: int = Field(90, ge=1, le=36500)
    """Days after which a recording without a legal hold is deleted."""


class IdentitySettings(_Section):
    """Documents and faces."""

    yunet_model: Path | None = None
    """ONNX file of the YuNet face detector; without it a slower cascade looks for faces (docs/identity.md)."""
    key_file: Path = Path("var/keys/identity.key")
    """Master key that wraps the key of each person."""
    image_days: int = Field(30, ge=1, le=365)
    """Days that document images and selfies are kept after the decision."""
    worker_seconds: float = Field(20.0, gt=0, le=120)
    """Limit for one job of the worker process."""


class MailSettings(_Section):
    """Outgoing mail. Without a host nothing is sent and addresses are not confirmed."""

    host: str | None = None
    """SMTP server."""
    directory: Path | None = None
    """Folder into which letters are written instead, when there is no `host`: for trying things out."""
    port: int = Field(587, ge=1, le=65535)
    """SMTP port."""
    username: str | None = None
    """SMTP user, if the server wants one."""
    password: SecretStr | None = None
    """SMTP password: put it into a secrets file."""
    sender: str = "visits@localhost"
    """From address."""
    tls: Literal["starttls", "tls", "none"] = "starttls"
    """Transport security towards the SMTP server."""


class WebhookSettings(_Section):
    """Events to other programs, which administrators set up on a page."""

    allow_http: bool = False
    """Let events go out without TLS: for a receiver on the same machine."""
    authorities: Path | None = None
    """PEM file of the authorities that receivers' certificates are checked with; without it the system's."""


class PolicySettings(_Section):
    """Rules about accounts. Contact rules are versioned data in the database, not settings."""

    family_idle_minutes: int = Field(120, ge=1, le=1440)
    """Minutes without a request after which a family member's session ends."""
    family_session_minutes: int = Field(720, ge=1, le=10080)
    """Minutes after sign-in at which it ends in any case."""
    terminal_idle_minutes: int = Field(75, ge=1, le=1440)
    """The same for prisoners. Longer than the longest call, during which the page asks nothing of the server."""
    terminal_session_minutes: int = Field(240, ge=1, le=1440)
    """The same for prisoners."""
    staff_idle_minutes: int = Field(60, ge=1, le=1440)
    """The same for staff."""
    staff_session_minutes: int = Field(600, ge=1, le=1440)
    """The same for staff."""
    pin_attempts: int = Field(5, ge=3, le=20)
    """Wrong PINs in a row after which a prisoner's sign-in is locked until staff unlock it."""
    enrolment_code_minutes: int = Field(15, ge=1, le=1440)
    """How long a station's one-time enrolment code is good for."""
    confirm_email: bool = True
    """Family accounts can sign in only after following the link in a mail. Needs mail.host."""
    minimum_age: int = Field(18, ge=0, le=30)
    """Age in years from which somebody may have a family account (rule 2 of contact-rights.md)."""


class Settings(BaseSettings):
    """All settings. Build with `load_settings`."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, env_prefix=ENV_PREFIX, env_nested_delimiter="__")

    server: ServerSettings = ServerSettings()
    database: DatabaseSettings = DatabaseSettings()
    cluster: ClusterSettings = ClusterSettings()
    media: MediaSettings = MediaSettings()
    turn: TurnSettings = TurnSettings()
    keys: KeysSettings = KeysSettings()
    recorder: RecorderSettings = RecorderSettings()
    identity: IdentitySettings = IdentitySettings()
    mail: MailSettings = MailSettings()
    webhooks: WebhookSettings = WebhookSettings()
    policy: PolicySettings = PolicySettings()

    @property
    def confirms_email(self) -> bool:
        """Whether a new family account waits for its mail to be answered."""
        return self.policy.confirm_email and self.mail.host is not None


class UnknownSetting(ValueError):
    """A key that no setting has: most often a spelling mistake, which must not pass in silence."""


def _known_names(model: type[BaseModel], prefix: str = "") -> set[str]:
    names: set[str] = set()
    for name, field in model.model_fields.items():
        names.add(prefix + name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names |= _known_names(field.annotation, f"{prefix}{name}__")
    return names


def _refuse_unknown(names: Iterable[str], where: str) -> None:
    unknown = sorted(set(names) - _known_names(Settings))
    if unknown:
        raise UnknownSetting(f"unknown settings in {where}: {', '.join(unknown)}")


def load_settings(
    config_file: Path | None = None,
    secrets_directory: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings; later sources win: TOML file, environment, secrets files, `overrides` (command line).

    A secrets file is named like the environment variable without its prefix, in lower case (`database__url`,
    `mail__password`) and holds the value alone. Raises UnknownSetting, pydantic.ValidationError, or
    FileNotFoundError for a missing `config_file`.
    """
    if config_file is not None and not config_file.is_file():
        raise FileNotFoundError(config_file)
    environment = os.environ if environ is None else environ
    own = {key[len(ENV_PREFIX) :].lower() for key in environment if key.upper().startswith(ENV_PREFIX)}
    _refuse_unknown(own - {"config", "secrets"}, "the environment")
    if secrets_directory is not None:
        _refuse_unknown((entry.name.lower() for entry in secrets_directory.iterdir() if entry.is_file()), "secrets")

    class _Sources(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            sources: list[PydanticBaseSettingsSource] = [init_settings]
            if secrets_directory is not None:
                sources.append(_NestedSecrets(settings_cls, secrets_directory))
            sources.append(_Environment(settings_cls, environment))
            if config_file is not None:
                sources.append(TomlConfigSettingsSource(settings_cls, config_file))
            return tuple(sources)

    return _Sources(**dict(overrides or {}))


class _Environment(EnvSettingsSource):
    """The environment given to `load_settings`, without the two variables that say where the files are."""

    def __init__(self, settings_cls: type[BaseSettings], environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {key.lower(): value for key, value in self._environ.items()}


class _NestedSecrets(EnvSettingsSource):
    """One file per secret; its name is read as an environment variable's is."""

    def __init__(self, settings_cls: type[BaseSettings], directory: Path) -> None:
        self._directory = directory
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {
            f"{ENV_PREFIX}{entry.name}".lower(): entry.read_text("utf-8").strip()
            for entry in sorted(self._directory.iterdir())
            if entry.is_file()
        }


__all__ = ["Settings", "UnknownSetting", "load_settings"]
