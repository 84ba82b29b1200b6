"""Settings of intake."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from simpul_runtime.settings import ServiceSettings


class IntakeSettings(ServiceSettings):
    """Settings of intake, in addition to those of every service."""

    city_dir: Path = Field(description="folder of the city, such as deploy/kediri")
    vault_key_file: Path | None = Field(
        default=None,
        description="file with the vault's master keys, written by `simpul keys init` and `simpul vault rotate`; mode "
        "0600. With a key service it is needed until every key has been re-wrapped",
    )
    vault_transit_url: str = Field(
        default="",
        description="address of an OpenBao or HashiCorp Vault server whose transit engine holds the vault's master "
        "key, such as https://bao.kota.example:8200; without it the key file wraps",
    )
    vault_transit_key: str = Field(default="simpul", description="name of the key in the transit engine")
    vault_transit_mount: str = Field(default="transit", description="path at which the transit engine is mounted")
    vault_transit_token_file: Path | None = Field(
        default=None, description="file with the token for the key service; read again for every request"
    )
    vault_transit_ca_file: Path | None = Field(
        default=None, description="CA file for the key service; defaults to the system's CAs"
    )
    centre_tokens_file: Path | None = Field(
        default=None,
        description="file with the digests of complaint centres' tokens, written by `simpul centre add-token`; "
        "without it every report is anonymous",
    )
    duplicate_searches_per_day: int = Field(
        default=100,
        ge=0,
        description="reports of one complaint centre in 24 hours whose answer shows whether the child may have been "
        "reported before; further reports are stored without that answer",
    )

    reports_per_address: int = Field(
        default=30,
        ge=0,
        description="reports from one address in an hour, without a complaint centre's token; ten times as many with a "
        "browser's proof of work; further ones are refused unless a child may be in danger; 0 for no limit",
    )
    reports_per_centre: int = Field(
        default=300,
        ge=0,
        description="new reports of one complaint centre in an hour; further ones are refused unless a child may be in "
        "danger; 0 for no limit",
    )

    @model_validator(mode="after")
    def _check_vault(self) -> Self:
        if not self.vault_key_file and not self.vault_transit_url:
            msg = "set SIMPUL_VAULT_KEY_FILE or SIMPUL_VAULT_TRANSIT_URL: intake stores no report without a master key"
            raise ValueError(msg)
        if self.vault_transit_url and not self.vault_transit_token_file:
            msg = "SIMPUL_VAULT_TRANSIT_URL needs SIMPUL_VAULT_TRANSIT_TOKEN_FILE"
            raise ValueError(msg)
        return self
