"""The published document is complete, valid, and made from the classes."""

from simpul_cli import contract
from simpul_schema.asyncapi import as_asyncapi
from simpul_schema.catalog import CATALOG


def test_what_is_published_beside_the_schemas_is_what_the_classes_say() -> None:
    for path, text in contract.made_of_the_classes().items():
        assert path.read_text() == text, path


def test_every_message_has_its_channel_sample_and_consumers() -> None:
    document = as_asyncapi()

    for row in CATALOG:
        assert document["components"]["messages"][row.wire_name]["examples"]
        for exchange in row.exchanges:
            assert f"{exchange}.{row.wire_name}" in document["channels"]
    assert {tuple(operation["x-consumers"]) for operation in document["operations"].values()} == {
        row.consumers for row in CATALOG
    }
