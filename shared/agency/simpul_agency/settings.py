"""What an agency's consumer is told from outside."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class AgencySettings(BaseSettings):
    """Environment variables start with `SIMPUL_AGENCY_`."""

    model_config = SettingsConfigDict(
        env_prefix="SIMPUL_AGENCY_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    city: str = Field(default="kediri", description="code of the city")
    code: str = Field(description="code of the agency, such as dinsos-peksos")
    amqp_url: SecretStr = Field(description="amqp://user:password@host:port/vhost of the city's broker")
    key_file: Path = Field(description="the agency's private keys")
    directory_file: Path = Field(description="everybody's public keys")
    prefetch: int = Field(default=32, ge=1, description="referrals under way at once")
