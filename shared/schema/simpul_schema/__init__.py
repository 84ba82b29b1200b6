"""The contract of Simpul: what travels between the agencies of a city."""

from simpul_schema.envelope import (
    ContractModel,
    Event,
    EventData,
    Producer,
    SealedSection,
    SectionContent,
    agency_source,
    service_source,
)
from simpul_schema.messages import MESSAGES, message_class

__all__ = [
    "MESSAGES",
    "ContractModel",
    "Event",
    "EventData",
    "Producer",
    "SealedSection",
    "SectionContent",
    "agency_source",
    "message_class",
    "service_source",
]
