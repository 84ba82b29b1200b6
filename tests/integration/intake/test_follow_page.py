"""Whoever holds the receipt learns what became of the report and adds to it, without JavaScript or a trace."""

import re
from io import BytesIO
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import aiohttp
import pytest

from simpul_dev.local_city import LocalCity
from tests.journeys.test_case_ends import change_case
from tests.journeys.test_cases_by_http import reported
from tests.support.ledger import eventually, rows
from tests.support.routing_api import call
from tests.unit.intake.test_received_files import tagged

FORM = {"content-type": "application/x-www-form-urlencoded"}
RECEIVED, HANDLED, CLOSED = "sudah diterima", "sedang ditangani", "ditangani dan ditutup"


@pytest.fixture
async def receipt(city: LocalCity) -> dict[str, Any]:
    return await reported(city, safe_now="no")


async def send_question(city: LocalCity, receipt: dict[str, Any], address: str = "", **fields: str) -> tuple[int, str]:
    """Sends the page's form; `address` is the client's as the gateway reports it."""
    sent = {"number": receipt["case_reference"], "receipt": receipt["receipt"]} | fields
    headers = FORM | ({"x-forwarded-for": address} if address else {})
    url = f"{city.url('intake')}/laporan"
    async with aiohttp.ClientSession() as session, session.post(url, data=urlencode(sent), headers=headers) as answer:
        return answer.status, await answer.text()


async def test_the_page_says_received_being_handled_and_closed_and_nothing_else(
    city: LocalCity, receipt: dict[str, Any]
) -> None:
    assert len(receipt["receipt"].split()) == 11
    status, first = await send_question(city, receipt)
    assert status == 200
    assert RECEIVED in first or HANDLED in first

    async def is_handled() -> bool:
        return HANDLED in (await send_question(city, receipt))[1]

    await eventually(is_handled, 60)
    spoken = {"case_reference": receipt["case_reference"].lower(), "receipt": f"  {receipt['receipt'].upper()} "}
    _, page = await send_question(city, spoken)
    assert HANDLED in page
    # The page lists every office of the city, for every case alike.
    page = re.sub("<select.*?</select>", "", page, flags=re.DOTALL)
    for secret in ("uptd-ppa", "polres", "Wenthilora", str(receipt["case_id"])):
        assert secret not in page
    assert re.findall("<script[^>]*>", page) == ['<script src="/leave.js" defer>']
    await change_case(city, str(receipt["case_id"]), "close", end="closed")

    async def is_closed() -> bool:
        return CLOSED in (await send_question(city, receipt))[1]

    await eventually(is_closed, 60)
    assert 'name="addition"' not in (await send_question(city, receipt))[1]


async def test_an_addition_reaches_the_case_once(city: LocalCity, receipt: dict[str, Any]) -> None:
    _, page = await send_question(city, receipt)
    shown = re.search(r'name="amendment_id" value="([0-9a-f-]{36})"', page)
    assert shown
    more = {"addition": "Ia bersembunyi di rumah bibinya.", "amendment_id": shown[1]}

    answers = [await send_question(city, receipt, **more) for _ in range(2)]
    edited = await send_question(city, receipt, **more | {"addition": "Teks lain."})
    broken = await send_question(city, receipt, **more | {"amendment_id": "7"})

    assert [status for status, _ in (*answers, edited, broken)] == [200, 200, 409, 409]
    assert all("Tambahan Anda tersimpan" in page for _, page in answers)
    assert "Teks lain." in edited[1]
    case_id = receipt["case_id"]
    revisions = await rows(
        city, "intake", "SELECT name, max(revision) AS n FROM section WHERE case_id = $1 GROUP BY name", case_id
    )
    assert {row["name"]: row["n"] for row in revisions}["narrative"] == 2


async def send_files(city: LocalCity, receipt: dict[str, Any], *files: tuple[str, bytes]) -> tuple[int, str]:
    """Sends the form for photos and documents as a browser does."""
    fields = {"lang": "id", "number": receipt["case_reference"], "receipt": receipt["receipt"]}
    form = aiohttp.FormData(fields, quote_fields=False)
    for name, content in files:
        form.add_field("file", BytesIO(content), filename=name, content_type="application/octet-stream")
    url = f"{city.url('intake')}/laporan/berkas"
    async with aiohttp.ClientSession() as session, session.post(url, data=form) as answer:
        return answer.status, await answer.text()


async def test_photos_and_documents_are_taken_by_their_content_and_never_shown_back(
    city: LocalCity, receipt: dict[str, Any]
) -> None:
    _, page = await send_question(city, receipt)
    assert 'enctype="multipart/form-data"' in page

    stored = await send_files(city, receipt, ("Wenthilora.jpg", tagged()), ("surat.pdf", b"%PDF-1.7 isi"))
    refused = await send_files(city, receipt, ("catatan.pdf", b"%PDF-1.7 lain"), ("foto.jpg", b"MZ bukan foto"))
    nothing = await send_files(city, receipt, ("", b""))
    wrong = await send_files(city, receipt | {"receipt": "salah " * 11}, ("surat.pdf", b"%PDF-1.7"))
    large = await send_files(city, receipt, ("besar.jpg", bytes(17 * 1024 * 1024)))

    assert [status for status, _ in (stored, refused, nothing, wrong, large)] == [200, 422, 422, 404, 413]
    assert "Berkas Anda tersimpan" in stored[1]
    assert "Berkas 2 bukan foto" in refused[1]
    assert "Pilih foto atau PDF" in nothing[1]
    assert "pilih berkas yang lebih kecil" in large[1]
    shown = stored[1] + (await send_question(city, receipt))[1]
    assert not [name for name in ("Wenthilora", "surat.pdf") if name in shown]
    found = await rows(city, "intake", "SELECT count(*) AS n FROM reporter_file WHERE case_id = $1", receipt["case_id"])
    assert found[0]["n"] == 2


async def test_guesses_are_locked_out_without_locking_out_the_reporting_person(
    city: LocalCity, receipt: dict[str, Any]
) -> None:
    wrong = receipt | {"receipt": "salah " * 11}
    guesses = [await send_question(city, wrong, address="198.51.100.7") for _ in range(6)]

    assert [status for status, _ in guesses] == [404] * 5 + [429]
    # Also with the right words: a guess must not show whether it was right.
    assert (await send_question(city, receipt, address="198.51.100.7"))[0] == 429
    assert (await send_question(city, receipt, address="198.51.100.8"))[0] == 200
    unknown = {"case_reference": "K-0000-0000", "receipt": receipt["receipt"]}
    nobodys = [await send_question(city, unknown, address="198.51.100.9") for _ in range(6)]
    assert [status for status, _ in nobodys] == [404] * 5 + [429]
    assert guesses[0][1].replace(receipt["case_reference"], "K-0000-0000") == nobodys[0][1]


@pytest.mark.parametrize(("body", "status"), [("", 404), ("number=%00&receipt=%ff", 404), ("{}", 404)])
async def test_whatever_is_sent_is_answered_with_the_page(city: LocalCity, body: str, status: int) -> None:
    url = f"{city.url('intake')}/laporan"
    async with aiohttp.ClientSession() as session:
        async with session.post(url, data=body, headers=FORM | {"x-forwarded-for": "198.51.100.20"}) as answer:
            assert answer.status == status
            assert 'action="/laporan"' in await answer.text()
        async with session.post(url, json={"receipt": str(uuid4())}) as answer:
            assert answer.status == 415
        async with session.get(f"{url}?lang=en") as answer:
            assert "Your receipt words" in await answer.text()


async def test_a_centre_gets_the_same_answer_by_the_api(city: LocalCity, receipt: dict[str, Any]) -> None:
    url = f"{city.url('intake')}/cases/{receipt['case_id']}/progress"
    async with aiohttp.ClientSession() as session:
        async with session.post(url, json={"receipt": receipt["receipt"]}) as answer:
            assert (await answer.json())["progress"] in ("received", "being_handled")
        async with session.post(url, json={"receipt": "x"}, headers={"x-forwarded-for": "198.51.100.30"}) as answer:
            assert (answer.status, (await answer.json())["code"]) == (404, "receipt_unknown")


async def test_an_office_that_is_involved_is_named_for_a_person_to_decide(
    city: LocalCity, receipt: dict[str, Any]
) -> None:
    _, page = await send_question(city, receipt)
    shown = re.search(r'name="amendment_id" value="([0-9a-f-]{36})"', page)
    assert shown

    # A code that no office of the city has is left out.
    for code in ("nobody", "ylpa"):
        more = {"involved": code, "amendment_id": str(uuid4())}
        status, page = await send_question(city, receipt, **more)
        assert (status, "Tambahan Anda tersimpan" in page) == (200, True)

    async def is_suggested() -> bool:
        path = f"/cases/{receipt['case_id']}"
        _, case, _ = await call(city, "GET", path)
        return [one["agency"] for one in case["suggested_exclusions"]] == ["ylpa"]

    await eventually(is_suggested, 60)


async def test_a_question_of_the_case_manager_is_answered_on_the_page(city: LocalCity, receipt: dict[str, Any]) -> None:
    answer, path = "Ya, ia kembali pukul sebelas.", f"/cases/{receipt['case_id']}"

    async def send(question: str) -> int:
        _, _, headers = await call(city, "GET", path)
        version = {"If-Match": headers.get("ETag", "")}
        return (await call(city, "POST", f"{path}/questions", json={"question": question}, headers=version))[0]

    async def is_sent() -> bool:
        # An agency's reply may change the case meanwhile.
        return await send("Is <b>he</b> at home at night?") == 204

    await eventually(is_sent, 60)
    assert [await send(wrong) for wrong in (" ", "x" * 501)] == [422, 422]

    async def is_shown() -> bool:
        return "Is &lt;b&gt;he&lt;/b&gt; at home at night?" in (await send_question(city, receipt))[1]

    await eventually(is_shown, 60)
    wrong = receipt | {"receipt": "salah " * 11}
    assert "at home" not in (await send_question(city, wrong, address="198.51.100.40"))[1]
    _, page = await send_question(city, receipt)
    name = re.search(r'name="(answer-[0-9a-f-]{36})"', page)
    amendment = re.search(r'name="amendment_id" value="([0-9a-f-]{36})"', page)
    assert name
    assert amendment
    assert f'<label for="{name[1]}">Jawaban Anda</label>' in page

    forged = await send_question(city, receipt, **{f"answer-{uuid4()}": answer}, amendment_id=str(uuid4()))
    assert (forged[0], "at home" in forged[1]) == (409, True)
    sent = [await send_question(city, receipt, **{name[1]: answer}, amendment_id=amendment[1]) for _ in range(2)]
    assert [(status, "Tambahan Anda tersimpan" in page, "at home" in page) for status, page in sent] == [
        (200, True, False)
    ] * 2

    url = f"{city.url('intake')}/cases/{receipt['case_id']}/progress"
    async with aiohttp.ClientSession() as session, session.post(url, json={"receipt": receipt["receipt"]}) as found:
        assert (await found.json())["questions"] == []
