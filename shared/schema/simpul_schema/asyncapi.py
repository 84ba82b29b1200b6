"""The whole contract as one AsyncAPI 3 document, generated from the message classes and the catalogue."""

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from simpul_schema.catalog import ANY_AGENCY, CATALOG, CatalogRow
from simpul_schema.envelope import CONTENT_TYPE, ContractModel, Event
from simpul_schema.json_schemas import schema_of
from simpul_schema.messages import MESSAGES, SECTIONS
from simpul_schema.names import EVENTS, REFERRALS, REPLIES, routing_key, topic_of
from simpul_schema.samples import samples
from simpul_schema.vocabulary import Service, Urgency

VERSION: Final = "1.0.0"
_REF: Final = "#/components/schemas/{model}"
_AGENCY: Final = "{agency}"
_TOPIC: Final = topic_of("{service}", "{urgency}")
_EXCHANGES: Final = {
    EVENTS: "Events between the city's services.",
    REFERRALS: "Events from routing to one agency; an agency's queue is bound to its own keys only.",
    REPLIES: "Replies of agencies; each may use its own keys only.",
}
_SIGNATURE_HEADER: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["simpul-signature"],
    "properties": {
        "simpul-signature": {
            "type": "string",
            "pattern": "^v1 [!-~]+ [A-Za-z0-9_-]{86}$",
            "description": "scheme, key id and signature in base64url without padding: Ed25519 over the bytes "
            "`simpul-event-v1`, a line feed, and the body as it travels; verify it before you parse the body",
        }
    },
}
_PARAMETERS: Final[Mapping[str, Any]] = {
    "agency": {"description": "code of the agency", "examples": ["dinsos-peksos"]},
    "service": {
        "description": "the most urgent service that the event is about, a lead before a support; a later version "
        "may add services",
        "examples": [service.value for service in Service],
    },
    "urgency": {
        "description": "highest urgency of the services that the event is about, when it is published",
        "enum": [urgency.value for urgency in Urgency],
    },
}


def as_asyncapi(signatures: Mapping[str, str]) -> dict[str, Any]:
    """Generates the document: each message with its schema, sealed sections, samples, publisher and consumers."""
    schemas: dict[str, Any] = {"SignatureHeader": _SIGNATURE_HEADER}
    for section in SECTIONS:
        _add_schema(section, schemas)
    messages = {message.WIRE_NAME: _message(message, schemas, signatures) for message in MESSAGES}
    channels = {name: channel for row in CATALOG for name, channel in _channels(row)}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Simpul",
            "version": VERSION,
            "description": "Referrals between the agencies of a city for a child who suffered violence. Every message "
            "is a CloudEvents 1.0 event in structured JSON. Its source signs the raw bytes of the body, and the "
            "signature travels with them in the header `simpul-signature`; personal data travels only in sealed "
            "sections. An enumeration with `x-extensible` may get values in a later version: a consumer takes an "
            "unknown value for the value in `x-fallback`.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "city": {
                "host": "broker.example:5671",
                "protocol": "amqps",
                "protocolVersion": "0.9.1",
                "description": "The city's broker; queues are declared by the city, never by a consumer.",
            }
        },
        "channels": channels,
        "operations": {
            f"{_action(row)}.{name}": {
                "action": _action(row),
                "channel": {"$ref": f"#/channels/{name}"},
                "summary": row.meaning,
                "x-publisher": row.publisher,
                "x-consumers": list(row.consumers),
            }
            for row in CATALOG
            for name, _ in _channels(row)
        },
        "components": {"messages": messages, "schemas": schemas},
    }


def _action(row: CatalogRow) -> str:
    """Returns the action of the city: it receives replies of agencies and sends everything else."""
    return "receive" if row.publisher == ANY_AGENCY else "send"


def _channels(row: CatalogRow) -> Iterator[tuple[str, dict[str, Any]]]:
    for exchange in row.exchanges:
        address = routing_key(exchange, row.wire_name, _AGENCY, _TOPIC if row.names_service else "")
        channel: dict[str, Any] = {
            "address": address,
            "messages": {row.wire_name: {"$ref": f"#/components/messages/{row.wire_name}"}},
            "description": _EXCHANGES[exchange],
            "bindings": {
                "amqp": {
                    "is": "routingKey",
                    "exchange": {"name": exchange, "type": "topic", "durable": True, "autoDelete": False},
                    "bindingVersion": "0.3.0",
                }
            },
        }
        parameters = {name: described for name, described in _PARAMETERS.items() if f"{{{name}}}" in address}
        if parameters:
            channel["parameters"] = parameters
        yield f"{exchange}.{row.wire_name}", channel


def _message(message: type[Event], schemas: dict[str, Any], signatures: Mapping[str, str]) -> dict[str, Any]:
    _add_schema(message, schemas)
    return {
        "name": message.WIRE_NAME,
        "title": message.__name__,
        "summary": inspect.getdoc(message),
        "contentType": CONTENT_TYPE,
        "headers": {"$ref": "#/components/schemas/SignatureHeader"},
        "payload": {"$ref": f"#/components/schemas/{message.__name__}"},
        "examples": list(_examples(message.WIRE_NAME, signatures)),
        "x-sections": {section.SECTION: {"$ref": _REF.format(model=section.__name__)} for section in message.SECTIONS},
    }


def _add_schema(model: type[ContractModel], schemas: dict[str, Any]) -> None:
    schema = schema_of(model, ref_template=_REF)
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema


def _examples(wire_name: str, signatures: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yields the samples with their signatures, made with the published test keys over the files as they are."""
    for name, file_name, body in samples():
        if name == wire_name:
            yield {"headers": {"simpul-signature": signatures[file_name]}, "payload": json.loads(body)}
