"""The published document is complete, valid and generated from the classes."""

from simpul_cli import contract
from simpul_schema import MESSAGES
from simpul_schema.asyncapi import as_asyncapi
from simpul_schema.catalog import CATALOG
from simpul_schema.samples import signatures

MESSAGE_CLASSES = {message.WIRE_NAME: message for message in MESSAGES}


def test_the_published_files_match_the_classes() -> None:
    for path, text in contract.generated_files().items():
        assert path.read_text() == text, path


def test_every_message_has_its_channel_sample_and_consumers() -> None:
    document = as_asyncapi(signatures())

    for row in CATALOG:
        message = document["components"]["messages"][row.wire_name]
        assert message["headers"] == {"$ref": "#/components/schemas/SignatureHeader"}
        assert all(example["headers"]["simpul-signature"].startswith("v1 ") for example in message["examples"])
        assert message["examples"]
        assert message["x-sections"] == {
            section.SECTION: {"$ref": f"#/components/schemas/{section.__name__}"}
            for section in MESSAGE_CLASSES[row.wire_name].SECTIONS
        }
        for exchange in row.exchanges:
            assert f"{exchange}.{row.wire_name}" in document["channels"]
    assert {tuple(operation["x-consumers"]) for operation in document["operations"].values()} == {
        row.consumers for row in CATALOG
    }


def test_the_document_says_which_enumerations_may_grow_and_what_an_unknown_value_means() -> None:
    schemas = as_asyncapi(signatures())["components"]["schemas"]

    assert schemas["DeclineReason"]["x-extensible"] is True
    assert schemas["DeclineReason"]["x-fallback"] == "other"
    assert "no_capacity" in schemas["DeclineReason"]["x-values"]
    assert "x-extensible" not in schemas["Urgency"]
    assert {"TriageFacts", "ReferralFacts", "SuggestedExclusions"} <= schemas.keys()
