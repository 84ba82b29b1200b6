"""The published document is complete, valid, and made from the classes."""

from simpul_cli import contract
from simpul_schema.asyncapi import as_asyncapi
from simpul_schema.catalog import CATALOG
from simpul_schema.samples import signatures


def test_what_is_published_beside_the_schemas_is_what_the_classes_say() -> None:
    for path, text in contract.made_of_the_classes().items():
        assert path.read_text() == text, path


def test_every_message_has_its_channel_sample_and_consumers() -> None:
    document = as_asyncapi(signatures())

    for row in CATALOG:
        message = document["components"]["messages"][row.wire_name]
        assert message["headers"] == {"$ref": "#/components/schemas/SignatureHeader"}
        assert all(example["headers"]["simpul-signature"].startswith("v1 ") for example in message["examples"])
        assert message["examples"]
        for exchange in row.exchanges:
            assert f"{exchange}.{row.wire_name}" in document["channels"]
    assert {tuple(operation["x-consumers"]) for operation in document["operations"].values()} == {
        row.consumers for row in CATALOG
    }
