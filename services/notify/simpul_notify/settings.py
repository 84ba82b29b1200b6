"""Settings of notify."""

from pathlib import Path

from pydantic import Field, SecretStr

from simpul_runtime.settings import ServiceSettings


class NotifySettings(ServiceSettings):
    """Settings of notify, in addition to those of every service."""

    kannel_url: str = Field(description="Kannel's sendsms address, such as http://gateway:13013/cgi-bin/sendsms")
    kannel_user: str = Field(description="user of the smsbox")
    kannel_password: SecretStr = Field(description="password of the smsbox user; sent in a header, never in a URL")
    sms_sender: str = Field(default="Simpul", description="sender id of SMS; must not mention violence")
    smtp_host: str = Field(description="host name of the mail server")
    smtp_port: int = Field(default=587, description="submission port of the mail server")
    smtp_user: str = Field(description="account on the mail server")
    smtp_password: SecretStr = Field(description="password of the account")
    smtp_ca_file: Path | None = Field(
        default=None, description="CA file for the mail server; defaults to the system's CAs"
    )
    mail_from: str = Field(default="simpul@localhost", description="sender address; must not mention violence")
    provider_timeout: float = Field(default=10.0, gt=0, description="seconds until an attempt times out")
    provider_concurrency: int = Field(default=16, ge=1, description="concurrent attempts per channel")
    first_retry_delay: float = Field(
        default=2.0,
        gt=0,
        description="seconds before the second attempt; doubles up to 1, 5 or 10 minutes, depending on urgency",
    )
