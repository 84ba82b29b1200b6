"""Texts of alerts: short enough, and free of everything but the three allowed variables."""

from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from ruamel.yaml import YAML

from simpul_notify.domain import Alert, Text, fits_one_sms
from simpul_notify.errors import TextInvalid
from simpul_notify.texts import Texts
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import AlertChannel, Urgency

MESSAGES = Path(__file__).parents[3] / "deploy" / "kediri" / "messages.yaml"
ZONE = ZoneInfo("Asia/Jakarta")
CODE = "{code}"


def an_alert(channel: AlertChannel = AlertChannel.SMS, urgency: Urgency = Urgency.HIGH) -> Alert:
    deadline = datetime(2026, 12, 30, 16, 59, tzinfo=UTC)
    return Alert(uuid4(), UUID(int=7), uuid4(), "somebody", channel, urgency, deadline)


def texts_of(tmp_path: Path, *, sms: str = CODE, subject: str = CODE, body: str = CODE) -> Texts:
    """Texts as a city would write them: one of them as given, the others harmless."""
    return read(tmp_path, {"sms": {"id": sms}, "mail": {"id": {"subject": subject, "body": body}}})


def read(tmp_path: Path, described: dict[str, Any]) -> Texts:
    path = tmp_path / "messages.yaml"
    YAML(typ="safe", pure=True).dump(described, path)
    return Texts.read(path, ZONE)


@pytest.mark.parametrize(("language", "urgency"), list(product(("id", "en"), Urgency)))
def test_every_sms_of_kediri_is_one_segment_with_the_longest_values(language: str, urgency: Urgency) -> None:
    text = Texts.read(MESSAGES, ZONE).render(an_alert(urgency=urgency), language)

    assert fits_one_sms(text.body), f"{len(text.body)} letters: {text.body}"


@pytest.mark.parametrize(("language", "channel"), list(product(("id", "en"), AlertChannel)))
def test_every_text_says_which_referral_how_urgent_and_until_when(language: str, channel: AlertChannel) -> None:
    text = Texts.read(MESSAGES, ZONE).render(an_alert(channel), language)

    assert referral_code(UUID(int=7)) in text.body
    assert Urgency.HIGH.label(language) in text.body
    assert "30/12 23.59 WIB" in text.body


def test_a_sender_and_a_subject_tell_nothing_of_the_matter() -> None:
    texts = Texts.read(MESSAGES, ZONE)

    subjects = [texts.render(an_alert(AlertChannel.MAIL), language).subject for language in ("id", "en")]

    code = referral_code(UUID(int=7))
    assert subjects == [f"{code} menunggu jawaban", f"{code} awaits an answer"]


def test_a_language_without_texts_gets_the_first() -> None:
    texts = Texts.read(MESSAGES, ZONE)

    assert texts.render(an_alert(), "jv") == texts.render(an_alert(), "id")


@pytest.mark.parametrize("mention", ["{child_name}", "{}", "{0}", "{code", "{kelurahan}"])
@pytest.mark.parametrize("place", ["sms", "subject", "body"])
def test_a_text_that_mentions_anything_else_is_refused(tmp_path: Path, place: str, mention: str) -> None:
    with pytest.raises(TextInvalid, match="may only use code, urgency and deadline"):
        texts_of(tmp_path, **{place: f"{CODE} {mention}"})


@pytest.mark.parametrize("mention", ["{code.__class__}", "{urgency.x}", "{code[x]}", "{code:d}"])
def test_a_text_that_looks_inside_a_variable_is_refused(tmp_path: Path, mention: str) -> None:
    with pytest.raises(TextInvalid):
        texts_of(tmp_path, sms=mention)


def test_an_sms_of_160_letters_is_taken(tmp_path: Path) -> None:
    sms = CODE + "a" * (160 - len(referral_code(UUID(int=7))))

    text = texts_of(tmp_path, sms=sms).render(an_alert(), "id")

    assert len(text.body) == 160


def test_an_sms_of_two_segments_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TextInvalid, match=r"sms id is not one GSM-7 segment \(161 of 160 letters\)"):
        texts_of(tmp_path, sms=CODE + "a" * (161 - len(referral_code(UUID(int=7)))))


@pytest.mark.parametrize("letter", ["\u2013", "\u2019", "\u20ac", "[", "\U0001f642"])
def test_a_letter_outside_the_basic_alphabet_is_refused(tmp_path: Path, letter: str) -> None:
    with pytest.raises(TextInvalid, match="not one GSM-7 segment"):
        texts_of(tmp_path, sms=CODE + letter)


def test_languages_of_sms_and_mail_must_agree(tmp_path: Path) -> None:
    with pytest.raises(TextInvalid, match="need the same languages"):
        read(tmp_path, {"sms": {"id": CODE, "en": CODE}, "mail": {"id": {"subject": CODE, "body": CODE}}})


def test_a_mail_may_be_longer_than_an_sms(tmp_path: Path) -> None:
    text = texts_of(tmp_path, body=CODE + "a" * 500).render(an_alert(AlertChannel.MAIL), "id")

    code = referral_code(UUID(int=7))
    assert text == Text(code, code + "a" * 500)
