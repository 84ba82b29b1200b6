"""Limits of requests, and responses to failures."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from fastapi import Request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from simpul_city import City
from simpul_runtime.failure_responses import FailureResponses
from simpul_runtime.failures import FAILURE_MESSAGES, FailureCode, failure_code
from simpul_runtime.languages import language_of
from simpul_runtime.logging import configure_logging
from simpul_runtime.shell import Limits, Shell
from tests.support.agreements import KEDIRI

FAILURES = FailureResponses(City.read(KEDIRI).emergency_numbers)


async def send_request(
    app: Any, limits: Limits, parts: AsyncIterator[bytes] | None = None, **headers: str
) -> tuple[int, bytes]:
    """Returns status and body of the response; the request has a body if it has parts."""
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    if parts:
        given.append((b"transfer-encoding", b"chunked"))
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": given}
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        body = await anext(parts, None) if parts else None
        return {"type": "http.request", "body": body or b"", "more_body": body is not None}

    async def send(message: Any) -> None:
        sent.append(message)

    await Shell(app, {"/": limits}, FAILURES)(scope, receive, send)
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)


async def respond(send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})


async def read_all(_: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await respond(send)


async def respond_never(_: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(10)


async def fail(_: Any, receive: Any, send: Any) -> None:
    message = "Wenthilora Paksibumi"
    raise ValueError(message)


async def send_slowly(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        await asyncio.sleep(0.1)
        yield part


FORM = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (FORM, 200),
        (f"{FORM}; charset=utf-8", 200),
        ('multipart/form-data; charset="UTF-8"; boundary=b', 200),
        ("application/json; charset=latin-1", 200),
        # Decoding a field of a megabyte would take hours, during which nobody else is served.
        (f"{FORM}; charset=punycode", 400),
        (f"{FORM}; Charset=utf-8; CHARSET*=''idna", 400),
        (f"{FORM}; charset=utf-8x", 400),
    ],
)
async def test_a_form_with_files_is_read_in_no_other_character_set(content_type: str, status: int) -> None:
    assert (await send_request(read_all, Limits(), send_slowly(b"x"), content_type=content_type))[0] == status


async def test_a_request_that_takes_too_long_is_stopped_and_answered() -> None:
    status, body = await send_request(respond_never, Limits(seconds=0.05))

    assert (status, json.loads(body)["code"]) == (503, "timed_out")


async def test_a_slow_upload_does_not_count_against_the_time_limit() -> None:
    assert await send_request(read_all, Limits(seconds=0.15), send_slowly(b"a", b"b", b"c")) == (200, b"done")


async def test_a_response_that_has_started_has_no_time_limit() -> None:
    async def trickle(_: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.2)
        await send({"type": "http.response.body", "body": b"late"})

    assert await send_request(trickle, Limits(seconds=0.05)) == (200, b"late")


async def test_a_body_without_a_declared_size_is_limited_too() -> None:
    status, body = await send_request(read_all, Limits(body_bytes=10), send_slowly(b"x" * 6, b"x" * 6))

    assert (status, json.loads(body)["code"]) == (413, "too_large")


async def test_a_failure_is_logged_once_under_the_reference_in_the_response(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("test", "INFO")

    status, body = await send_request(fail, Limits())

    answered, (line,) = json.loads(body), capsys.readouterr().out.splitlines()
    logged = json.loads(line)
    assert (status, answered["code"]) == (503, "unexpected")
    assert (logged["reference"], logged["error"], logged["at"].partition(":")[0]) == (
        answered["reference"],
        "ValueError",
        "test_shell.py",
    )
    assert "Wenthilora" not in line + body.decode()


async def test_a_browser_gets_a_page_in_its_language() -> None:
    _, page = await send_request(
        fail, Limits(), accept="text/html,*/*;q=0.8", accept_language="en-GB,en;q=0.9,id;q=0.8"
    )

    assert b'<html lang="en">' in page
    assert b"Is anyone in danger right now?" in page
    assert b'href="tel:129"' in page
    assert b"refresh" not in page, "a POST is never repeated by itself"


def _of_the_database(state: str, *, is_connection_lost: bool = False) -> DBAPIError:
    cause = asyncpg.PostgresError("words that quote a value")
    cause.sqlstate = state
    return DBAPIError("", None, cause, connection_invalidated=is_connection_lost)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (_of_the_database("40001"), FailureCode.BUSY),
        (_of_the_database("40P01"), FailureCode.BUSY),
        (_of_the_database("53100"), FailureCode.STORAGE_FULL),
        (_of_the_database("53300"), FailureCode.DATABASE_UNAVAILABLE),
        (_of_the_database("57P03"), FailureCode.DATABASE_UNAVAILABLE),
        (_of_the_database("08006"), FailureCode.DATABASE_UNAVAILABLE),
        (_of_the_database("25006"), FailureCode.DATABASE_UNAVAILABLE),
        (_of_the_database("", is_connection_lost=True), FailureCode.DATABASE_UNAVAILABLE),
        (asyncpg.CannotConnectNowError("starting"), FailureCode.DATABASE_UNAVAILABLE),
        (ConnectionRefusedError(), FailureCode.DATABASE_UNAVAILABLE),
        (PoolTimeoutError(), FailureCode.DATABASE_UNAVAILABLE),
        (TimeoutError(), FailureCode.TIMED_OUT),
        (_of_the_database("23505"), FailureCode.UNEXPECTED),
        (KeyError("Wenthilora"), FailureCode.UNEXPECTED),
    ],
)
def test_each_failure_has_its_code(error: Exception, code: FailureCode) -> None:
    assert failure_code(error) is code


def test_each_failure_has_a_message() -> None:
    assert set(FAILURE_MESSAGES) == set(FailureCode)


@pytest.mark.parametrize(
    ("query", "accepted", "chosen", "language"),
    [
        ("", "", "", "id"),
        ("", "en", "", "en"),
        ("", "fr, en;q=0.4, id;q=0.6", "", "id"),
        ("", "id;q=0, en;q=0.1", "", "en"),
        ("", "in-ID, en;q=0.5", "", "id"),
        ("", "en;q=high, *", "", "id"),
        ("lang=en", "id", "", "en"),
        ("lang=xx", "en", "", "en"),
        ("lang=en", "en", "id", "id"),
    ],
)
def test_the_language_is_the_chosen_one_else_the_browsers_else_indonesian(
    query: str, accepted: str, chosen: str, language: str
) -> None:
    headers = [(b"accept-language", accepted.encode())]
    request = Request({"type": "http", "query_string": query.encode(), "headers": headers})

    assert language_of(request, chosen) == language
