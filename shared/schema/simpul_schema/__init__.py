"""The contract of Simpul: what travels between the agencies of a city."""

from simpul_schema.envelope import Event, EventData, Producer, SealedSection, agency_source, service_source
from simpul_schema.messages import MESSAGES, message_class

__all__ = [
    "MESSAGES",
    "Event",
    "EventData",
    "Producer",
    "SealedSection",
    "agency_source",
    "message_class",
    "service_source",
]
