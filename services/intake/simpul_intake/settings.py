"""What intake is told from outside."""

from pathlib import Path

from pydantic import Field

from simpul_runtime.settings import ServiceSettings


class IntakeSettings(ServiceSettings):
    """Beside what every service needs."""

    vault_key_file: Path = Field(description="the master key of the vault: 32 bytes as base64url, mode 0600")
    centre_tokens_file: Path | None = Field(
        default=None,
        description="digests of the tokens of complaint centres, written by `simpul centre add-token`; without it "
        "every report is anonymous",
    )
