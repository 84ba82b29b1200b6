"""Texts of alerts fit into one SMS and use the allowed variables only."""

from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from ruamel.yaml import YAML

from simpul_city import City, read_yaml
from simpul_notify.domain import Alert, AlertText, Occasion, fits_one_sms
from simpul_notify.errors import TextInvalid
from simpul_notify.texts import AlertTexts
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import AlertChannel, Urgency

KEDIRI = Path(__file__).parents[3] / "deploy" / "kediri"
MESSAGES = KEDIRI / "messages.yaml"
CITY = City.read(KEDIRI)
CODE = "{code}"
OCCASIONS = tuple(occasion.name.lower() for occasion in Occasion)
CLOCKS = tuple(read_yaml(MESSAGES)["waiting"])


def an_alert(
    channel: AlertChannel = AlertChannel.SMS,
    urgency: Urgency = Urgency.HIGH,
    occasion: Occasion = Occasion.OFFERED,
    clock: str = "answer",
    agency: str = "satgas-kel-kampung-dalem",
) -> Alert:
    deadline = datetime(2026, 12, 30, 16, 59, tzinfo=UTC)
    return Alert(uuid4(), UUID(int=7), uuid4(), "somebody", channel, urgency, deadline, occasion, clock, agency)


def described(*, sms: str = CODE, subject: str = CODE, body: str = CODE) -> dict[str, Any]:
    """A city's texts with one text replaced."""
    return {
        "waiting": {"other": {"id": "belum selesai"}},
        "sms": {key: {"id": CODE} for key in OCCASIONS} | {"overdue": {"id": sms}},
        "mail": {key: {"id": {"subject": subject, "body": body}} for key in OCCASIONS},
    }


def texts_of(tmp_path: Path, *, sms: str = CODE, subject: str = CODE, body: str = CODE) -> AlertTexts:
    return read(tmp_path, described(sms=sms, subject=subject, body=body))


def read(tmp_path: Path, content: dict[str, Any]) -> AlertTexts:
    path = tmp_path / "messages.yaml"
    YAML(typ="safe", pure=True).dump(content, path)
    return AlertTexts.read(path, CITY)


@pytest.mark.parametrize(("language", "occasion"), list(product(("id", "en"), Occasion)))
def test_every_sms_of_kediri_is_one_segment_with_the_longest_values(language: str, occasion: Occasion) -> None:
    texts = AlertTexts.read(MESSAGES, CITY)
    kinds = product(Urgency, CLOCKS, CITY.agency_codes)

    rendered = {
        texts.render_alert(an_alert(AlertChannel.SMS, urgency, occasion, clock, agency), language).body
        for urgency, clock, agency in kinds
    }

    assert [text for text in rendered if not fits_one_sms(text)] == []


@pytest.mark.parametrize(("language", "channel", "occasion"), list(product(("id", "en"), AlertChannel, Occasion)))
def test_every_text_names_referral_urgency_and_deadline(
    language: str, channel: AlertChannel, occasion: Occasion
) -> None:
    text = AlertTexts.read(MESSAGES, CITY).render_alert(an_alert(channel, occasion=occasion), language)

    assert referral_code(UUID(int=7)) in text.body
    assert Urgency.HIGH.label(language) in text.body
    assert "30/12 23.59 WIB" in text.body


@pytest.mark.parametrize(("language", "channel"), list(product(("id", "en"), AlertChannel)))
@pytest.mark.parametrize("occasion", [Occasion.OVERDUE, Occasion.ESCALATED])
def test_an_overdue_text_names_the_late_agency_and_what_is_missing(
    language: str, channel: AlertChannel, occasion: Occasion
) -> None:
    texts = AlertTexts.read(MESSAGES, CITY)

    bodies = [
        texts.render_alert(an_alert(channel, occasion=occasion, clock=clock, agency="rs-rujukan"), language).body
        for clock in ("answer", "service")
    ]

    assert all("rs-rujukan" in body for body in bodies)
    assert bodies[0] != bodies[1]


def test_an_unlisted_clock_uses_the_text_for_others() -> None:
    text = AlertTexts.read(MESSAGES, CITY).render_alert(an_alert(occasion=Occasion.OVERDUE, clock="new_kind"), "id")

    assert "belum selesai" in text.body


@pytest.mark.parametrize("missing", ["reminded", "overdue", "escalated"])
def test_a_city_without_texts_for_an_occasion_is_refused(tmp_path: Path, missing: str) -> None:
    content = described()
    del content["sms"][missing]

    with pytest.raises(TextInvalid, match=missing):
        read(tmp_path, content)


def test_sender_and_subject_do_not_mention_violence() -> None:
    texts = AlertTexts.read(MESSAGES, CITY)

    subjects = [texts.render_alert(an_alert(AlertChannel.MAIL), language).subject for language in ("id", "en")]

    code = referral_code(UUID(int=7))
    assert subjects == [f"{code} menunggu jawaban", f"{code} awaits an answer"]


def test_a_missing_language_falls_back_to_the_first() -> None:
    texts = AlertTexts.read(MESSAGES, CITY)

    assert texts.render_alert(an_alert(), "jv") == texts.render_alert(an_alert(), "id")


@pytest.mark.parametrize("mention", ["{child_name}", "{}", "{0}", "{code", "{kelurahan}"])
@pytest.mark.parametrize("part", ["sms", "subject", "body"])
def test_a_text_with_an_unknown_variable_is_refused(tmp_path: Path, part: str, mention: str) -> None:
    with pytest.raises(TextInvalid, match="may only use code, urgency, deadline, agency and waiting"):
        texts_of(tmp_path, **{part: f"{CODE} {mention}"})


@pytest.mark.parametrize("mention", ["{code.__class__}", "{urgency.x}", "{code[x]}", "{code:d}"])
def test_a_text_that_reads_inside_a_variable_is_refused(tmp_path: Path, mention: str) -> None:
    with pytest.raises(TextInvalid):
        texts_of(tmp_path, sms=mention)


def test_an_sms_of_160_characters_is_accepted(tmp_path: Path) -> None:
    sms = CODE + "a" * (160 - len(referral_code(UUID(int=7))))

    text = texts_of(tmp_path, sms=sms).render_alert(an_alert(occasion=Occasion.OVERDUE), "id")

    assert len(text.body) == 160


def test_an_sms_of_two_segments_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TextInvalid, match=r"sms overdue id is not one GSM-7 segment \(161 of 160 letters\)"):
        texts_of(tmp_path, sms=CODE + "a" * (161 - len(referral_code(UUID(int=7)))))


@pytest.mark.parametrize("letter", ["\u2013", "\u2019", "\u20ac", "[", "\U0001f642"])
def test_a_character_outside_the_basic_alphabet_is_refused(tmp_path: Path, letter: str) -> None:
    with pytest.raises(TextInvalid, match="not one GSM-7 segment"):
        texts_of(tmp_path, sms=CODE + letter)


def test_every_text_needs_the_same_languages(tmp_path: Path) -> None:
    content = described()
    content["sms"]["overdue"] = {"id": CODE, "en": CODE}

    with pytest.raises(TextInvalid, match="needs the same languages; those of overdue differ"):
        read(tmp_path, content)


def test_a_mail_may_be_longer_than_an_sms(tmp_path: Path) -> None:
    text = texts_of(tmp_path, body=CODE + "a" * 500).render_alert(an_alert(AlertChannel.MAIL), "id")

    code = referral_code(UUID(int=7))
    assert text == AlertText(code, code + "a" * 500)
