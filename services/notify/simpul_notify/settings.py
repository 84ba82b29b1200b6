"""Settings of notify."""

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr

from simpul_notify.domain.reach_checks import WeeklyTime
from simpul_runtime.settings import ServiceSettings


def _read_weekly_time(written: object) -> object:
    return (WeeklyTime.read(written) if written.strip() else None) if isinstance(written, str) else written


class NotifySettings(ServiceSettings):
    """Settings of notify, in addition to those of every service."""

    city_dir: Path = Field(description="folder of the city, such as deploy/kediri")
    providers: str = Field(
        default="kannel,smtp",
        description="providers in the order in which each channel uses them, separated by commas; each reads its own "
        "settings (`SIMPUL_KANNEL_URL` and so on)",
    )
    public_url: str = Field(
        description="address at which responders open the links of messages, such as https://simpul.kota.example; "
        "short, because every SMS has it"
    )
    report_url: str = Field(
        default="",
        description="address at which gateways reach this service, such as http://notify:8000; without it a gateway "
        "is not asked for delivery reports",
    )
    provider_timeout: float = Field(default=10.0, gt=0, description="seconds until an attempt times out")
    bundle_period: float = Field(
        default=60.0,
        ge=0,
        description="seconds for which what is not urgent waits for other alerts to the same responder; urgent alerts "
        "leave at once by their first channel, and by the others when it fails or this time has passed; what follows "
        "an urgent message to the same recipient within 10 of these seconds is one further message",
    )
    heartbeat_url: SecretStr = Field(
        default=SecretStr(""),
        description="address outside the system that gets an empty POST every minute in which no alert was missed; "
        "whoever watches it is alarmed when that stops",
    )
    reach_check: Annotated[WeeklyTime | None, BeforeValidator(_read_weekly_time)] = Field(
        default=None,
        description="weekday and local time at which everybody gets the weekly message that proves the reach, such as "
        "`mon 09.00`; empty: none is sent",
    )
    messages_kept_days: int = Field(
        default=365,
        ge=30,
        description="days for which the log of messages about a case is kept after its last alert; it has no names, "
        "numbers or addresses",
    )
    messages_per_hour: int = Field(
        default=30, ge=1, description="messages that a person or a number gets in an hour; later ones are bundled"
    )
    urgent_messages_per_hour: int = Field(default=60, ge=1, description="the same for urgent messages")
    first_retry_delay: float = Field(
        default=2.0,
        gt=0,
        description="seconds before the second attempt; doubles up to 1, 5 or 10 minutes, depending on urgency",
    )
