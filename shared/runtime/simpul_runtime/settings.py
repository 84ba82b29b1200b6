"""The settings that every service has; each service reads them once, in its `__main__.py`."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Environment variables that start with `SIMPUL_`."""

    model_config = SettingsConfigDict(env_prefix="SIMPUL_", frozen=True, extra="ignore", hide_input_in_errors=True)

    database_url: SecretStr = Field(description="postgresql://user:password@host:port/database of this service")
    amqp_url: SecretStr = Field(
        description="amqp://user:password@host:port/vhost of the broker; several with commas for a cluster"
    )
    key_file: Path = Field(description="this service's private keys, written by `simpul keys init`")
    directory_file: Path = Field(description="every party's public keys, written by `simpul keys init`")
    http_host: str = Field(default="127.0.0.1", description="address to listen on")
    http_port: int = Field(default=8000, ge=0, le=65535, description="port to listen on")
    trusted_proxies: str = Field(
        default="127.0.0.1",
        description="addresses or networks of gateways whose X-Forwarded-For header names the client, separated by "
        "commas",
    )
    metrics_host: str = Field(default="127.0.0.1", description="address on which `/metrics` is served")
    metrics_port: int = Field(
        default=9464,
        ge=1,
        le=65535,
        description="port of `/metrics`; apart from the others, so that a gateway cannot publish it",
    )
    database_connections: int = Field(default=5, ge=2, description="size of the database's connection pool")
    prefetch: int = Field(default=100, ge=1, description="deliveries that may wait here for their acknowledgement")
    check_only: bool = Field(
        default=False,
        description="check settings, keys, schema, database and broker, and end: 0 if all fit, otherwise 1",
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")
