"""Reads the invented reports of `invented_reports.yaml`, which the demo sends."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any
from uuid import uuid4

from ruamel.yaml import YAML

from simpul_runtime.database import utc_now

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NOT_SENT = ("title", "repeats", "received", "happened", "token")


@dataclass(slots=True)
class InventedReport:
    """A report and intake's answer to it."""

    title: str
    body: Mapping[str, Any] = field(repr=False)
    is_anonymous: bool = True
    """Whether it is sent without the token of its complaint centre."""
    sent_at: float = 0.0
    status: int = 0
    case_id: str = ""
    reference: str = ""


def read_reports(zone: Any) -> list[InventedReport]:
    """Reads the reports and gives them new ids; a retry gets the id of the report that it repeats."""
    listed = YAML(typ="safe", pure=True).load((files("simpul_dev.demo") / "invented_reports.yaml").read_text("utf-8"))
    reports: list[InventedReport] = []
    for entry in listed:
        body = {name: value for name, value in entry.items() if name not in _NOT_SENT}
        repeated = entry.get("repeats")
        body["report_id"] = reports[repeated - 1].body["report_id"] if repeated else str(uuid4())
        received_at = utc_now().astimezone(zone)
        if "received" in entry:
            received_at = _last(entry["received"], received_at)
            body["received_at"] = received_at.isoformat()
        if "happened" in entry:
            body["happened_at"] = _last(entry["happened"], received_at).strftime("%Y-%m-%dT%H")
        reports.append(InventedReport(entry["title"], body, is_anonymous=not entry.get("token")))
    return reports


def _last(text: str, now: datetime) -> datetime:
    """Returns the last moment before now that matches a text such as `friday 22:15`."""
    day, _, clock = text.partition(" ")
    hour, minute = map(int, clock.split(":"))
    back = (now.weekday() - _DAYS.index(day)) % 7
    moment = (now - timedelta(days=back)).replace(hour=hour, minute=minute, second=0, microsecond=0)
    return moment if moment <= now else moment - timedelta(days=7)
