"""What people write back, how their numbers are written, and what a link gives away."""

import re
from itertools import count
from uuid import UUID

import pytest

from simpul_notify.domain.answers import Answer, read_reply
from simpul_notify.domain.links import (
    ALPHABET,
    TOKEN_LENGTH,
    challenge_of,
    digest_of,
    language_of,
    token_for,
    token_from,
)
from simpul_notify.domain.numbers import is_same_number
from simpul_schema.references import referral_code

REFERRAL = UUID("7c6e5a10-1111-4222-8333-444455556666")
CODE = referral_code(REFERRAL)


@pytest.mark.parametrize(
    "text",
    [
        "TERIMA",
        "terima",
        "Terima.",
        "trima, makasih",
        "TRM",
        "siap",
        "Oke siap 86",
        "ya",
        "inggih pak",
        "OK",
        "saya terima, otw",
        "ok, terima kasih",
        f"ya {CODE}",
    ],
)
def test_spellings_of_terima_mean_on_it(text: str) -> None:
    read = read_reply(text)

    assert read is not None
    assert read.answer is Answer.ON_IT


@pytest.mark.parametrize("text", ["BANTU", "bantuan", "tolong", "terima, tapi tolong bantu", "Tulung!"])
def test_spellings_of_bantu_mean_help_also_with_others(text: str) -> None:
    read = read_reply(text)

    assert read is not None
    assert read.answer is Answer.NEEDS_HELP


@pytest.mark.parametrize(
    "text", ["ALIH", "alihkan", "tolong-lah", "dialihkan saja", "oper", "maaf saya cuti, alihkan ya"]
)
def test_spellings_of_alih_mean_somebody_else(text: str) -> None:
    read = read_reply(text)

    assert read is not None
    assert read.answer is (Answer.NEEDS_HELP if "tolong" in text else Answer.PASSES_ON)


@pytest.mark.parametrize(
    "text",
    ["", "?", "tidak terima", "blm siap", "gak bisa", "siapa ini", "terima atau alih", "ora iso", "STOP", "12345"],
)
def test_what_is_not_certain_means_nothing(text: str) -> None:
    assert read_reply(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "maaf ini siapa ya?",
        "Salah sambung, terima kasih",
        "Terima kasih, saya sedang cuti",
        "trima kasih",
        "Makasih",
        "Pesan otomatis: saya sedang rapat. Terima kasih",
        "oke tapi saya libur, hubungi Bu Rina",
        "siap?",
        "ya nanti saya kabari",
        "ok hubungi Bu Rina saja",
        "terimakasih infonya",
    ],
)
def test_a_polite_refusal_is_not_an_acknowledgement(text: str) -> None:
    assert read_reply(text) is None


@pytest.mark.parametrize("written", [CODE, CODE.lower(), CODE.replace("-", ""), CODE.replace("-", " ")])
def test_a_reply_may_name_the_referral(written: str) -> None:
    read = read_reply(f"terima {written}")

    assert read is not None
    assert read.code is not None
    assert read.code.first <= REFERRAL <= read.code.last


@pytest.mark.parametrize(
    "written", ["083400111006", "6283400111006", "+6283400111006", "0834-0011-1006", "+62 834 0011 1006"]
)
def test_a_number_is_recognised_however_the_gateway_writes_it(written: str) -> None:
    assert is_same_number(written, "+6283400111006")
    assert not is_same_number(written, "+6283400111007")
    assert not is_same_number(written, "")


@pytest.mark.parametrize(("language", "shown"), [("id", "id"), ("jv", "jv"), ("en", "en"), ("su", "id")])
def test_a_token_says_the_language_of_its_page_as_typed_by_anybody(language: str, shown: str) -> None:
    numbers = count(31**TOKEN_LENGTH // 2, 7919)

    tokens = [token_for(language, lambda: next(numbers)) for _ in range(20)]

    assert {language_of(token.upper()) for token in tokens} == {shown}


def test_the_largest_random_number_makes_a_token_of_full_length() -> None:
    tokens = {token_from(number) for number in (0, 1, len(ALPHABET) ** TOKEN_LENGTH - 1)}

    assert {len(token) for token in tokens} == {TOKEN_LENGTH}
    assert len(tokens) == 3
    assert not set("01ilo") & set(ALPHABET)


def test_a_link_typed_in_capitals_is_the_same() -> None:
    token = token_from(123456789)

    assert digest_of(token.upper()) == digest_of(token)
    assert challenge_of(token.upper()) == challenge_of(token)
    assert re.fullmatch(r"[1-9]\d", challenge_of(token))
