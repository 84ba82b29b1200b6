"""What notify is told from outside."""

from pathlib import Path

from pydantic import Field, SecretStr

from simpul_runtime.settings import ServiceSettings


class NotifySettings(ServiceSettings):
    """Beside what every service needs."""

    kannel_url: str = Field(description="Kannel's sendsms address, such as http://gateway:13013/cgi-bin/sendsms")
    kannel_user: str = Field(description="user of the smsbox")
    kannel_password: SecretStr = Field(description="its password; travels in a header, never in an address")
    sms_sender: str = Field(default="Simpul", description="sender id, neutral")
    smtp_host: str = Field(description="mail server")
    smtp_port: int = Field(default=587, description="its submission port")
    smtp_user: str = Field(description="account")
    smtp_password: SecretStr = Field(description="its password")
    smtp_ca_file: Path | None = Field(default=None, description="CA of the mail server; the system's if left out")
    mail_from: str = Field(default="simpul@localhost", description="sender address, neutral")
    provider_timeout: float = Field(default=10.0, gt=0, description="seconds a provider may take for one alert")
    provider_concurrency: int = Field(default=16, ge=1, description="alerts under way at once, per channel")
    retry_first: float = Field(
        default=2.0, gt=0, description="seconds before the second attempt; doubles up to 1, 5 or 10 minutes by urgency"
    )
