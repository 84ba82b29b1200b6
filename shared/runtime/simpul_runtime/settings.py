"""What every service is told from outside, read once in its `app.py`."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Environment variables that start with `SIMPUL_`."""

    model_config = SettingsConfigDict(env_prefix="SIMPUL_", frozen=True, extra="ignore", hide_input_in_errors=True)

    database_url: SecretStr = Field(description="postgresql://user:password@host:port/database of this service")
    amqp_url: SecretStr = Field(description="amqp://user:password@host:port/vhost of the broker")
    key_file: Path = Field(description="this service's private keys, written by `simpul keys init`")
    directory_file: Path = Field(description="everybody's public keys, written by `simpul keys init`")
    city_dir: Path = Field(description="folder of the city, such as deploy/kediri")
    http_host: str = Field(default="127.0.0.1", description="address to listen on")
    http_port: int = Field(default=8000, ge=0, le=65535, description="port to listen on")
    database_connections: int = Field(default=5, ge=2, description="connections kept to the database")
    prefetch: int = Field(default=250, ge=1, description="deliveries the broker may have outstanding here")
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")
