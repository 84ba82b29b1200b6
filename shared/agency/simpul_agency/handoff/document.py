"""An event as other software gets it: the CloudEvent with its facts opened, or one flat row."""

import json
from typing import Any

from simpul_agency.received import Received
from simpul_schema.envelope import wire_json
from simpul_schema.messages.referral import ReferralFacts

COLUMNS = (
    "event_id", "type", "time", "referral_id", "code", "case_id", "service", "role", "urgency", "answer_by",
    *(name for name in ReferralFacts.model_fields if name != "implied_violence"),
)  # fmt: skip
"""Of a flat row; several values of one column are joined by +. Which kinds of violence are implied says the event."""


def document(received: Received[Any]) -> dict[str, Any]:
    """The CloudEvent, in `data.facts` what was sealed; the sealed section is left out."""
    event = wire_json(received.event)
    event["data"].pop("sealed", None)
    if received.facts is not None:
        event["data"]["facts"] = received.facts.model_dump(mode="json")
    if received.suggested_exclusions:
        event["data"]["suggested_exclusions"] = list(received.suggested_exclusions)
    return event


def flat(received: Received[Any]) -> dict[str, str]:
    """The same as one row; what an event does not tell is empty."""
    event = document(received)
    known = {**event["data"], **event["data"].get("facts", {}), "event_id": event["id"], "type": event["type"]}
    known |= {"time": event["time"], "code": received.code}
    return {column: _text(known.get(column, "")) for column in COLUMNS}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)
