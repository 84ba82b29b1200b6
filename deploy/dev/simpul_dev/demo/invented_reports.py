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


@dataclass(slots=True)
class InventedReport:
    """One report with intake's answer."""

    title: str
    body: Mapping[str, Any] = field(repr=False)
    is_anonymous: bool = True
    """Whether it comes without the token of its complaint centre."""
    sent_at: float = 0.0
    status: int = 0
    case_id: str = ""
    reference: str = ""


def read_reports(zone: Any) -> list[InventedReport]:
    """The reports of the file, with fresh ids; a retry carries the id of the report it repeats."""
    listed = YAML(typ="safe", pure=True).load((files("simpul_dev.demo") / "invented_reports.yaml").read_text("utf-8"))
    reports: list[InventedReport] = []
    for entry in listed:
        body = {name: value for name, value in entry.items() if name not in ("title", "repeats", "received", "token")}
        repeated = entry.get("repeats")
        body["report_id"] = reports[repeated - 1].body["report_id"] if repeated else str(uuid4())
        if "received" in entry:
            body["received_at"] = _last(entry["received"], utc_now().astimezone(zone)).isoformat()
        reports.append(InventedReport(entry["title"], body, is_anonymous=not entry.get("token")))
    return reports


def _last(text: str, now: datetime) -> datetime:
    """`friday 22:15`: the last one before now."""
    day, _, clock = text.partition(" ")
    hour, minute = map(int, clock.split(":"))
    back = (now.weekday() - _DAYS.index(day)) % 7
    moment = (now - timedelta(days=back)).replace(hour=hour, minute=minute, second=0, microsecond=0)
    return moment if moment <= now else moment - timedelta(days=7)
