"""The settings of routing."""

from pathlib import Path

from pydantic import Field

from simpul_runtime.settings import ServiceSettings


class RoutingSettings(ServiceSettings):
    """The settings of routing, in addition to those of every service."""

    city_dir: Path = Field(description="folder of the city, such as deploy/kediri")
    manifest_interval: float = Field(
        default=60.0, gt=0, description="seconds between two delivery manifests to each agency"
    )
    tokens_file: Path | None = Field(
        default=None, description="tokens of people who use the HTTP API by `simpul case`, written by `simpul token`"
    )
