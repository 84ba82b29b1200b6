"""The settings of an agency's consumer."""

from pathlib import Path
from typing import Optional
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from simpul_schema import agency_source
from simpul_schema.names import agency_inbox, filtered_queue


class AgencySettings(BaseSettings):
    """Environment variables with the prefix `SIMPUL_AGENCY_`, which may also be in the file `simpul-agency.env`."""

    model_config = SettingsConfigDict(
        env_prefix="SIMPUL_AGENCY_",
        env_file="simpul-agency.env",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    city: str = Field(default="kediri", description="code of the city")
    code: str = Field(description="code of the agency, such as dinsos-peksos")
    queue: str = Field(default="", description="name of a filtered queue of the agency; its inbox when empty")
    amqp_url: SecretStr = Field(description="amqps://user:password@host:port/vhost of the city's broker")
    city_url: str = Field(
        default="",
        description="address of the city's public pages, such as https://simpul.kota.example: photos and documents of "
        "a dossier are fetched from there when somebody opens one; without it they are listed only",
    )
    ca_file: Optional[Path] = Field(
        default=None, description="certificate of the authority that certified the city's broker; for amqps://"
    )
    certificate_file: Optional[Path] = Field(default=None, description="the agency's certificate; for amqps://")
    certificate_key_file: Optional[Path] = Field(default=None, description="the private key of that certificate")
    key_file: Path = Field(description="the agency's private keys")
    directory_file: Path = Field(description="public keys of all parties; read again when it changes")
    store_url: str = Field(
        default="sqlite:///simpul-agency.db",
        description="database of received events and replies: sqlite:///path or postgresql://...",
    )
    concurrency: int = Field(
        default=16, ge=1, description="handlers that run at the same time, one per referral at most"
    )
    prefetch: int = Field(default=64, ge=1, description="unacknowledged messages taken from the broker")
    gap_timeout: float = Field(default=5.0, gt=0, description="seconds until a missing event is requested again")
    health_port: int = Field(
        default=0, ge=0, le=65535, description="port of /health/live and /health/ready on 127.0.0.1; off when 0"
    )

    @property
    def source(self) -> str:
        """The CloudEvents source of the agency's replies."""
        return agency_source(self.city, self.code, self.queue)

    @property
    def queue_name(self) -> str:
        """The name of the queue on the broker."""
        return filtered_queue(self.code, self.queue) if self.queue else agency_inbox(self.code)

    @property
    def user(self) -> str:
        """The broker user."""
        return unquote(urlsplit(self.amqp_url.get_secret_value()).username or "guest")

    @property
    def broker_url(self) -> str:
        """The broker's URL with the certificate files."""
        files = {"cafile": self.ca_file, "certfile": self.certificate_file, "keyfile": self.certificate_key_file}
        given = "&".join(f"{name}={quote(str(path))}" for name, path in files.items() if path)
        parts = urlsplit(self.amqp_url.get_secret_value())
        return urlunsplit(parts._replace(query="&".join(filter(None, (parts.query, given)))))
