"""Presents an event to other software: as a CloudEvent with opened facts, or as flat rows."""

import json
from collections.abc import Collection
from typing import Any, Final

from simpul_agency.received_event import ReceivedEvent, listed_services
from simpul_schema.envelope import wire_json
from simpul_schema.messages.referral import ReferralFacts

EVENT_COLUMNS: Final = (
    "event_id",
    "type",
    "time",
    "referral_id",
    "code",
    "case_id",
    "urgency",
    "answer_by",
    *(name for name in ReferralFacts.model_fields if name != "implied_violence"),
)
"""The columns of an event; several values in one column are joined by +. Only the CloudEvent says which kinds of
violence are implied.
"""
SERVICE_COLUMNS: Final = ("event_id", "service_id", "service", "role", "urgency", "answer_by", "is_new")
"""The columns of a service that an event lists; `is_new` is true for all of an offer and for those that an amendment
added.
"""
COLUMNS: Final = (*EVENT_COLUMNS, *(name for name in SERVICE_COLUMNS if name not in EVENT_COLUMNS))
"""The columns of an event together with one of its services."""


def event_document(received: ReceivedEvent[Any]) -> dict[str, Any]:
    """Returns the CloudEvent with the opened facts in `data.facts` instead of the sealed sections."""
    event = wire_json(received.event)
    event["data"].pop("sealed", None)
    if received.facts is not None:
        event["data"]["facts"] = received.facts.model_dump(mode="json")
    if received.suggested_exclusions:
        event["data"]["suggested_exclusions"] = list(received.suggested_exclusions)
    if received.dossier:
        event["data"]["dossier"] = {
            section.value: content.model_dump(mode="json") for section, content in received.dossier.items()
        }
    if received.proposed_plan is not None:
        event["data"]["plan"] = received.proposed_plan.model_dump(mode="json")
    return event


def without_sections(document: dict[str, Any], sections: Collection[str]) -> dict[str, Any]:
    """Returns the document of a release without sections that were withdrawn since; other documents as they are."""
    dossier = document["data"].get("dossier")
    if not dossier:
        return document
    kept = {name: content for name, content in dossier.items() if name not in sections}
    return document | {"data": document["data"] | {"dossier": kept}}


def event_row(received: ReceivedEvent[Any]) -> dict[str, str]:
    """Returns the event as one row; columns that the event does not have are empty."""
    event = event_document(received)
    values = {**event["data"], **event["data"].get("facts", {}), "event_id": event["id"], "type": event["type"]}
    values |= {"time": event["time"], "code": received.code}
    return {column: _as_text(values.get(column, "")) for column in EVENT_COLUMNS}


def service_rows(received: ReceivedEvent[Any]) -> list[dict[str, str]]:
    """Returns a row for each service that the event lists."""
    event, new = event_document(received), {str(one.service_id) for one in received.new_services}
    listed = event["data"]["services"] if listed_services(received.event) else ()
    values = [one | {"event_id": event["id"], "is_new": one["service_id"] in new} for one in listed]
    return [{column: _as_text(one.get(column, "")) for column in SERVICE_COLUMNS} for one in values]


def flat_rows(received: ReceivedEvent[Any]) -> list[dict[str, str]]:
    """Returns a row for each service of the event, with the columns of both; one row for an event without services."""
    row = dict.fromkeys(COLUMNS, "") | event_row(received)
    return [row | _without_empty(service) for service in service_rows(received)] or [row]


def _without_empty(row: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in row.items() if value}


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(map(str, value))
    return value if isinstance(value, str) else json.dumps(value)
