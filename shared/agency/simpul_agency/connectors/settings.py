"""The settings of the connectors; each connector is on when its first setting is given."""

import re
from pathlib import Path
from typing import Final, Optional
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_WEBHOOK_SECRET: Final = "whsec_[A-Za-z0-9+/]{22,}={0,2}"  # noqa: S105 - the pattern of secrets, not a secret
_LOOPBACK_HOSTS: Final = ("127.0.0.1", "localhost", "::1")


class ConnectorSettings(BaseSettings):
    """Environment variables with the prefix `SIMPUL_AGENCY_`, which may also be in the file `simpul-agency.env`."""

    model_config = SettingsConfigDict(
        env_prefix="SIMPUL_AGENCY_",
        env_file="simpul-agency.env",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    webhook_url: str = Field(default="", description="URL to which each event is posted; https, or this machine")
    webhook_secret: SecretStr = Field(default=SecretStr(""), description="whsec_... that signs the posted events")
    spool_folder: Optional[Path] = Field(default=None, description="folder of new/, replies/ and referrals.csv")
    table_url: str = Field(default="", description="sqlite:///path or postgresql://... with the tables simpul_*")
    program: str = Field(default="", description="command line that reads each event as JSON from its input")
    web_inbox_port: int = Field(default=0, ge=0, le=65535, description="port of the local web inbox on 127.0.0.1")
    share_dossier: bool = Field(
        default=False,
        description="hands the dossier, which identifies the child, to webhook, spool, table and program, too; "
        "then your own software must delete what dossier.withdrawn.v1 names",
    )
    auto_accept: bool = Field(default=False, description="accepts every service at once; for trials only")

    @model_validator(mode="after")
    def _protects_facts(self) -> "ConnectorSettings":
        url = urlsplit(self.webhook_url)
        if self.webhook_url and url.scheme != "https" and url.hostname not in _LOOPBACK_HOSTS:
            msg = "SIMPUL_AGENCY_WEBHOOK_URL must begin with https://, because it gets the facts of children's cases"
            raise ValueError(msg)
        if self.webhook_url and not re.fullmatch(_WEBHOOK_SECRET, self.webhook_secret.get_secret_value()):
            msg = "SIMPUL_AGENCY_WEBHOOK_SECRET must begin with whsec_; `simpul-agency init` makes one"
            raise ValueError(msg)
        return self
