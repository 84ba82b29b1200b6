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
    store_url: str = Field(
        default="sqlite:///simpul-agency.db",
        description="where received events and replies are kept: sqlite:///path or postgresql://...",
    )
    concurrency: int = Field(default=16, ge=1, description="handlers at work at once; one for each referral")
    prefetch: int = Field(default=64, ge=1, description="messages taken from the broker before they are stored")
