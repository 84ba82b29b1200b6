"""The settings of routing."""

from pydantic import Field, SecretStr

from simpul_runtime.settings import ServiceSettings


class RoutingSettings(ServiceSettings):
    """The settings of routing, in addition to those of every service."""

    manifest_interval: float = Field(
        default=60.0, gt=0, description="seconds between two delivery manifests to each agency"
    )
    api_token: SecretStr = Field(min_length=16, description="bearer token of the HTTP API, for the desk and operators")
