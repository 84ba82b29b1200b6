"""Agencies whose systems send nothing."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Silence:
    """An agency about whose silence people were to be alerted."""

    agency: str
    alarm_id: UUID
    since: datetime
