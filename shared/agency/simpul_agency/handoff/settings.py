"""Which hand-offs an agency has chosen; each is on when its first setting is given."""

import re
from pathlib import Path
from typing import Optional
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_SIGNING = "whsec_[A-Za-z0-9+/]{22,}={0,2}"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class HandOffSettings(BaseSettings):
    """Environment variables start with `SIMPUL_AGENCY_`; they may also stand in the file `simpul-agency.env`."""

    model_config = SettingsConfigDict(
        env_prefix="SIMPUL_AGENCY_", env_file="simpul-agency.env", frozen=True, extra="ignore",
        hide_input_in_errors=True,
    )  # fmt: skip

    webhook_url: str = Field(default="", description="where each event is posted; https, or this machine")
    webhook_secret: SecretStr = Field(default=SecretStr(""), description="whsec_... that signs what is posted")
    spool_folder: Optional[Path] = Field(default=None, description="folder of new/, replies/ and referrals.csv")
    table_url: str = Field(default="", description="sqlite:///path or postgresql://... with the tables simpul_*")
    program: str = Field(default="", description="command line that reads each event as JSON from its input")
    pages_port: int = Field(default=0, ge=0, le=65535, description="port of the local web inbox on 127.0.0.1")
    automatic: str = Field(default="", description="'accepted' answers every offer so by itself; for trials")

    @model_validator(mode="after")
    def _facts_stay_here(self) -> "HandOffSettings":
        url = urlsplit(self.webhook_url)
        if self.webhook_url and url.scheme != "https" and url.hostname not in LOOPBACK:
            msg = "SIMPUL_AGENCY_WEBHOOK_URL begins with https://: what is posted tells what happened to a child"
            raise ValueError(msg)
        if self.webhook_url and not re.fullmatch(_SIGNING, self.webhook_secret.get_secret_value()):
            msg = "SIMPUL_AGENCY_WEBHOOK_SIGNING begins with whsec_; `simpul-agency init` makes one"
            raise ValueError(msg)
        return self
