"""Settings of the desk."""

from pathlib import Path

from pydantic import Field, SecretStr

from simpul_runtime.settings import ServiceSettings


class DeskSettings(ServiceSettings):
    """Settings of the desk, in addition to those of every service."""

    city_dir: Path = Field(description="folder of the city, such as deploy/kediri")
    routing_url: str = Field(description="address of routing's API, such as http://routing:8000")
    notify_url: str = Field(
        default="http://notify:8000", description="address of notify, whose report of reach the desk shows"
    )
    intake_url: str = Field(description="address of intake's API, such as http://intake:8000")
    hosted_dir: Path | None = Field(
        default=None,
        description="folder with a folder for each agency that works at the desk, as `simpul-agency init` and `join` "
        "write it; only one desk process works on it",
    )
    oidc_issuer: str = Field(
        default="",
        description="issuer of the city's OpenID Connect provider, by which people may prove who they are instead "
        "of by a password, such as https://sso.example/realms/kota; empty for none",
    )
    oidc_name: str = Field(default="OpenID", description="name of the provider, as people know it")
    oidc_client_id: str = Field(default="simpul-desk", description="by what the provider knows the desk")
    oidc_client_secret: SecretStr = Field(default=SecretStr(""), description="secret of the desk at the provider")
