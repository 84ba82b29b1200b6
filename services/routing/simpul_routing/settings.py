"""What routing is told from outside."""

from pydantic import Field, SecretStr

from simpul_runtime.settings import ServiceSettings


class RoutingSettings(ServiceSettings):
    """Beside what every service needs."""

    heartbeat: float = Field(default=60.0, gt=0, description="seconds between two accounts to each agency")
    api_token: SecretStr = Field(min_length=16, description="what the desk and operators show to use the HTTP API")
