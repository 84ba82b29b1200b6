"""The public form answers every request with a helpful page."""

import json
from io import BytesIO
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import aiohttp
import pytest

from simpul_dev.local_city import LocalCity
from tests.support.form import ShownForm

NUMBERS = ("129", "08111-129-129", "110", "119")
FORM = "application/x-www-form-urlencoded"
HTML = "text/html,application/xhtml+xml,*/*;q=0.8"


def a_form(**changes: str) -> dict[str, str]:
    return {"report_id": str(uuid4()), "lang": "id", "violence": "physical", "age": "9"} | changes


def without_id(**changes: str) -> dict[str, str]:
    return {name: value for name, value in a_form(**changes).items() if name != "report_id"}


async def send_request(city: LocalCity, method: str, path: str, **request: Any) -> tuple[int, str, Any]:
    url = city.url("intake") + path
    async with aiohttp.ClientSession() as session, session.request(method, url, **request) as answer:
        return answer.status, await answer.text(), answer.headers


async def send(city: LocalCity, body: Any, kind: str = FORM, **headers: str) -> tuple[int, str]:
    sent = {"content-type": kind, "accept": HTML} | headers
    status, page, _ = await send_request(city, "POST", "/lapor", data=body, headers=sent)
    return status, page


def multipart(fields: dict[str, str]) -> bytes:
    parts = (f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{fields[name]}\r\n' for name in fields)
    return ("".join(parts) + "--b--\r\n").encode()


async def chunks(count: int) -> Any:
    for _ in range(count):
        yield b"chronology=" + b"x" * 65_536 + b"&"


UNREADABLE = "rusak dan tidak tersimpan"
UNSUPPORTED = "bukan isian formulir ini dan tidak tersimpan"
FILE = '--b\r\nContent-Disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\nx\r\n--b--\r\n'


@pytest.mark.parametrize(
    ("body", "kind", "status", "expected"),
    [
        (urlencode(without_id()), FORM, 422, "tiba tanpa nomornya"),
        (urlencode(a_form(report_id="7")), FORM, 422, "tiba tanpa nomornya"),
        ("", FORM, 422, "Pilih sedikitnya satu"),
        ("&&==%%%&\x00\xff", FORM, 422, "Pilih sedikitnya satu"),
        (urlencode(a_form(channel="pigeon")), FORM, 422, "Ada isian yang perlu diperbaiki"),
        (urlencode(a_form(lang="xx", age="999")), FORM, 422, "Paling besar 120"),
        (urlencode({f"field{number}": "x" for number in range(61)}), FORM, 400, UNREADABLE),
        ("{}", "application/json", 415, UNSUPPORTED),
        ("violence=physical", "text/plain", 415, UNSUPPORTED),
        ("violence=physical", "", 415, UNSUPPORTED),
        ("no boundary", "multipart/form-data", 400, UNREADABLE),
        ("\x00garbage", "multipart/form-data; boundary=b", 400, UNREADABLE),
        (FILE, "multipart/form-data; boundary=b", 400, UNREADABLE),
        (multipart(a_form()), "multipart/form-data; boundary=b; charset=undefined", 400, UNREADABLE),
    ],
    # Written out, because a name made from a random id would differ between the test processes.
    ids=[
        "no id", "no UUID", "empty", "garbage", "unknown channel", "unknown language", "61 fields", "JSON", "text",
        "no type", "no boundary", "not multipart", "file", "unknown charset",
    ],
)  # fmt: skip
async def test_an_invalid_form_is_explained_with_emergency_numbers_and_a_form(
    city: LocalCity, body: str | bytes, kind: str, status: int, expected: str
) -> None:
    sent = body if isinstance(body, bytes) else body.encode("latin-1")

    answered, page = await send(city, sent, kind)

    assert answered == status
    assert expected in page
    assert all(number in page for number in NUMBERS)
    assert UUID(ShownForm(page).value("report_id")).version == 4


@pytest.mark.parametrize("count", [17, 40], ids=["in pieces", "far too much"])
async def test_a_body_that_is_too_large_is_explained(city: LocalCity, count: int) -> None:
    in_pieces, page = await send(city, chunks(count))
    declared, other = await send(city, BytesIO(b"x" * 65_536 * count))

    assert (in_pieces, declared) == (413, 413)
    for shown in (page, other):
        assert "terlalu besar dan tidak tersimpan" in shown
        assert all(number in shown for number in NUMBERS)


async def test_a_form_without_its_number_is_accepted_when_sent_again(city: LocalCity) -> None:
    story = 'Kata <b>"tebal"</b> & lainnya'
    _, page = await send(city, urlencode(without_id(chronology=story, child_name="Wenthilora")))

    again = ShownForm(page)
    assert (again.value("chronology"), again.value("child_name"), again.value("age")) == (story, "Wenthilora", "9")
    assert (await send(city, urlencode(again.fields)))[0] == 200


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("en", "came without its number"),
        ("in-ID, en;q=0.5", "tiba tanpa nomornya"),
        ("xx, *;q=0", "tiba tanpa nomornya"),
    ],
)
async def test_without_a_language_field_the_browsers_language_is_used(
    city: LocalCity, accepted: str, expected: str
) -> None:
    body = urlencode({name: value for name, value in without_id().items() if name != "lang"})

    _, page = await send(city, body, **{"accept-language": accepted})

    assert expected in page


@pytest.mark.parametrize(
    "text",
    ["%FF%FE%00", "a%00b", ("x" * 99 + "%0D%0A") * 200, "%F0%9F%98%80" * 19_000, "%EA%A6%97" * 20_000],
    ids=["not UTF-8", "NUL", "20,000 letters with line breaks", "emoji", "Javanese script"],
)
async def test_any_typed_text_is_accepted(city: LocalCity, text: str) -> None:
    body = urlencode(a_form()) + f"&chronology={text}&perpetrator_description={text}"

    status, page = await send(city, body)

    assert status == 200, page[:300]


async def test_a_text_that_is_too_long_is_kept(city: LocalCity) -> None:
    story = "x" * 20_001

    status, page = await send(city, urlencode(a_form(chronology=story)))

    assert status == 422
    assert ShownForm(page).value("chronology") == story


async def test_the_same_form_twice_is_one_report_also_as_multipart(city: LocalCity) -> None:
    form = a_form(chronology="Satu\r\ndua")

    first = await send(city, urlencode(form))
    second = await send(city, multipart(form), "multipart/form-data; boundary=b")

    assert first == second
    assert first[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "expected"),
    [
        ("GET", "/tidak-ada", 404, "Halaman ini tidak ada"),
        ("GET", "/tidak-ada?lang=en", 404, "This page does not exist"),
        ("PUT", "/lapor", 405, "tidak dapat dipakai dengan cara itu"),
    ],
)
async def test_a_wrong_url_is_explained(city: LocalCity, method: str, path: str, status: int, expected: str) -> None:
    answered, page, headers = await send_request(city, method, path, headers={"accept": HTML, "accept-language": "id"})

    assert answered == status
    assert expected in page
    assert all(number in page for number in NUMBERS)
    assert ("allow" in headers) == (status == 405)
    assert "default-src 'none'" in headers["content-security-policy"]


async def test_a_program_gets_failures_as_json(city: LocalCity) -> None:
    report = {"data": b'{"report_id": "\xff"}', "headers": {"content-type": "application/json"}}

    answers = [
        await send_request(city, "GET", "/tidak-ada"),
        await send_request(city, "DELETE", "/reports"),
        await send_request(city, "POST", "/reports", data=b" " * 300_000),
        await send_request(city, "POST", "/reports", **report),
    ]

    shown = [(status, json.loads(body)["code"]) for status, body, _ in answers]
    assert shown == [(404, "not_found"), (405, "method_not_allowed"), (413, "too_large"), (400, "unreadable")]
    assert all(set(json.loads(body)["messages"]) == {"id", "en"} for _, body, _ in answers)


async def test_day_and_hour_of_the_event_are_taken_and_shown_again(city: LocalCity) -> None:
    event = {"happened_on": "2026-11-01", "happened_hour": "21", "event_kelurahan": "outside", "kelurahan": "outside"}

    refused, page = await send(city, urlencode(without_id(**event)))
    again = ShownForm(page)
    accepted, _ = await send(city, urlencode(again.fields))

    assert (refused, accepted) == (422, 200)
    assert {name: again.value(name) for name in event} == event


@pytest.mark.parametrize(
    ("happened_on", "expected"),
    [("2999-01-01", "sesudah laporan"), ("2001-01-01", "belum lahir"), ("kemarin", "2026-11-24T21")],
)
async def test_an_impossible_time_of_the_event_is_explained(city: LocalCity, happened_on: str, expected: str) -> None:
    status, page = await send(city, urlencode(a_form(happened_on=happened_on)))

    assert status == 422
    assert expected in page
    assert ShownForm(page).value("happened_on") == happened_on
