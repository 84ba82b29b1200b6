"""Limits of the parser and of the envelope."""

import json
import time

import pytest

from simpul_schema import message_class
from simpul_schema.envelope import MAX_DEPTH, MAX_EVENT_BYTES, NotReadableJson, read_json
from simpul_schema.samples import samples


@pytest.mark.parametrize("body", [body for _, _, body in samples()])
def test_every_sample_can_be_read(body: bytes) -> None:
    assert read_json(body) == json.loads(body)


def test_brackets_inside_of_strings_do_not_count() -> None:
    event = {"text": 'a "quoted" [[[' * 100 + "\\", "more": "{" * 100}

    assert read_json(json.dumps(event).encode()) == event


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 980, 100_000])
def test_a_body_that_is_nested_too_deep_is_refused(depth: int) -> None:
    with pytest.raises(NotReadableJson, match="nested deeper"):
        read_json(b"[" * depth + b"]" * depth)


def test_a_crafted_body_is_refused_in_linear_time() -> None:
    started = time.process_time()

    with pytest.raises(NotReadableJson):
        read_json(b"[" * (MAX_DEPTH + 1) + b'"' + rb"\"" * (MAX_EVENT_BYTES // 2))

    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "change",
    [
        {"source": f"/{'k' * 20_000}/intake"},
        {"subject": f"case/{'a' * 20_000}"},
        {"time": "0001-01-01T00:00:00+14:00"},
        {"time": "9999-12-31T23:59:59-12:00"},
        {"sequence": "0000000000"},
        {"sequence": "\u0661" * 10},
    ],
)
def test_an_envelope_that_could_not_be_stored_is_refused(change: dict[str, str]) -> None:
    event = json.loads(next(body for name, _, body in samples() if name == "case.reported.v1"))
    message = message_class("case.reported.v1")
    assert message is not None
    assert message.model_validate(event)

    with pytest.raises(ValueError, match=next(iter(change))):
        message.model_validate(event | change)
