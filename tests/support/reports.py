"""Builders of reports."""

from typing import Any
from uuid import uuid4


def a_report(**changes: Any) -> dict[str, Any]:
    """Builds a complaint centre's report of physical violence at home; the people are invented."""
    report: dict[str, Any] = {
        "report_id": str(uuid4()),
        "channel": "walk_in",
        "complaint_centre": "uptd-ppa",
        "reporter": "neighbour",
        "violence": ["physical"],
        "place": "household",
        "kelurahan": "Bandar Lor",
        "age": 9,
        "sex": "female",
        "safe_now": "yes",
        "injured": "no",
        "in_school": "yes",
        "identity": {"child_name": "Wenthilora Paksibumi", "nik": "9900000000000001", "address": "Jalan Contoh 7"},
        "narrative": {"chronology": "Tetangga mendengar teriakan Wenthilora pada malam hari."},
    }
    return report | changes
