"""Log lines hold ids and counts, never names, texts or secrets."""

import json
import logging
from uuid import uuid4

import pytest
import structlog

from simpul_runtime.logging import ALLOWED, configure_logging, redact

NAME = "Wenthilora Paksibumi"


@pytest.fixture(autouse=True)
def _configured(capsys: pytest.CaptureFixture[str]) -> None:
    # After capsys, so that the handler writes where the test looks.
    configure_logging("test", "INFO")


def test_ids_and_counts_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    case_id = uuid4()

    structlog.get_logger().info("case_referred", case_id=case_id, count=3)

    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["case_id"], line["count"]) == ("case_referred", str(case_id), 3)


@pytest.mark.parametrize(
    "fields",
    [{"child_name": NAME}, {"reason": NAME}, {"detail": {"nik": "9900000000000001"}}, {"agency": ["a", NAME]}],
)
def test_everything_else_is_redacted(fields: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger().warning("something_happened", **fields)

    written = capsys.readouterr().out
    assert "[redacted]" in written
    assert "Wenthilora" not in written
    assert "9900000000000001" not in written


def test_exception_is_written_as_type_and_place_without_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError(NAME)
    except ValueError as error:
        structlog.get_logger().error("it_failed", exc_info=error)

    line = json.loads(capsys.readouterr().out)
    assert (line["error"], line["at"].partition(":")[0]) == ("ValueError", "test_logging.py")
    assert "Wenthilora" not in json.dumps(line)


def test_library_line_shows_its_place_and_not_its_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    # Called again, because pytest adds its own handlers between setup and call.
    configure_logging("test", "INFO")

    logging.getLogger("some.library").error("could not store %s", NAME)

    written = capsys.readouterr().out
    assert "some.library" in written
    assert "Wenthilora" not in written


def test_password_in_an_address_is_cut_out() -> None:
    line = redact(None, "", {"url": "amqp://guest:geheim@127.0.0.1:5672/"})

    assert line["url"] == "amqp://127.0.0.1:5672/"


@pytest.mark.parametrize("key", ["party", "task"])
def test_party_and_task_of_an_alarm_are_written(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger().error("events_wait_for_key", **{key: "satgas-kel-bandar-lor"})

    assert json.loads(capsys.readouterr().out)[key] == "satgas-kel-bandar-lor"


def test_no_allowed_key_is_made_for_content() -> None:
    assert not ALLOWED & {"name", "child_name", "body", "payload", "text", "message", "phone", "address", "nik"}
