"""Settings of intake."""

from pathlib import Path

from pydantic import Field

from simpul_runtime.settings import ServiceSettings


class IntakeSettings(ServiceSettings):
    """Settings of intake, in addition to those of every service."""

    vault_key_file: Path = Field(description="file with the vault's master key: 32 bytes as base64url, mode 0600")
    centre_tokens_file: Path | None = Field(
        default=None,
        description="file with the digests of complaint centres' tokens, written by `simpul centre add-token`; "
        "without it every report is anonymous",
    )
