"""The published JSON schemas, generated from the classes."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic.json_schema import DEFAULT_REF_TEMPLATE, GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from simpul_schema.envelope import ContractModel
from simpul_schema.messages import MESSAGES, SECTIONS

SECTION_FOLDER: Final = "sections"


class _ContractSchema(GenerateJsonSchema):
    """Publishes an extensible enumeration as a text with its known values, so that validators accept further ones."""

    def enum_schema(self, schema: core_schema.EnumSchema) -> JsonSchemaValue:
        written = super().enum_schema(schema)
        fallback = getattr(schema["cls"], "fallback_code", "")
        if fallback:
            written |= {"x-extensible": True, "x-fallback": fallback, "x-values": written.pop("enum")}
        return written


def schema_of(model: type[ContractModel], ref_template: str = DEFAULT_REF_TEMPLATE) -> dict[str, Any]:
    """Generates the JSON schema of a message or of the content of a section."""
    return model.model_json_schema(ref_template=ref_template, schema_generator=_ContractSchema)


def current_schemas() -> Mapping[str, dict[str, Any]]:
    """Generates every schema, by wire name or by `sections/<name>`; the published file of each is `<key>.json`."""
    messages = {
        message.WIRE_NAME: schema_of(message)
        | {"x-sections": {section.SECTION: section_key(section.SECTION) for section in message.SECTIONS}}
        for message in MESSAGES
    }
    return messages | {section_key(section.SECTION): schema_of(section) for section in SECTIONS}


def section_key(name: str) -> str:
    """Where the schema of a section is published, relative to the schemas of messages and without `.json`."""
    return f"{SECTION_FOLDER}/{name}"
