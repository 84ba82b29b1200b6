"""The published document is complete, valid, and made from the classes."""

from simpul_cli import contract
from simpul_schema.asyncapi import as_asyncapi
from simpul_schema.catalog import CATALOG


def test_the_committed_document_is_what_the_classes_say() -> None:
    assert contract.ASYNCAPI.read_text() == contract.asyncapi_text()


def test_every_message_has_its_channel_sample_and_consumers() -> None:
    document = as_asyncapi()

    for row in CATALOG:
        assert document["components"]["messages"][row.wire_name]["examples"]
        for exchange in row.exchanges:
            assert f"{exchange}.{row.wire_name}" in document["channels"]
    assert {tuple(operation["x-consumers"]) for operation in document["operations"].values()} == {
        row.consumers for row in CATALOG
    }
