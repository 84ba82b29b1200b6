"""Texts of alerts fit into one SMS and use the allowed variables only."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from ruamel.yaml import YAML

from simpul_city import City, read_yaml
from simpul_notify import texts
from simpul_notify.domain.alerts import Alert, Occasion
from simpul_notify.domain.notifications import MAX_ALERTS, AlertText, Notification, fits_one_sms
from simpul_notify.domain.responders import CHANNELS, Recipient
from simpul_notify.errors import TextInvalid
from simpul_notify.texts import KINDS, AlertTexts, longest_notifications
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import AlertChannel, Urgency

KEDIRI = Path(__file__).parents[3] / "deploy" / "kediri"
MESSAGES = KEDIRI / "messages.yaml"
CITY = City.read(KEDIRI)
TEXTS = AlertTexts.read(MESSAGES, CITY)
CODE = "{code}"
WAITING = read_yaml(MESSAGES)["waiting"]
CLOCKS = tuple(WAITING)
DEADLINE = datetime(2026, 12, 30, 16, 59, tzinfo=UTC)


@cache
def longest(clocks: tuple[str, ...], agency: str) -> tuple[Notification, ...]:
    """Messages with the longest values, built once; some have a thousand alerts."""
    return tuple(longest_notifications(dict.fromkeys(clocks), agency))


@pytest.fixture(scope="module", autouse=True)
def built_once() -> Iterator[None]:
    """Has every reading of texts render the same messages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "longest_notifications", lambda clocks, agency: longest(tuple(clocks), agency))
        yield


def an_alert(
    channel: AlertChannel = AlertChannel.SMS,
    urgency: Urgency = Urgency.HIGH,
    occasion: Occasion = Occasion.OFFERED,
    clock: str = "answer",
    agency: str = "satgas-kel-kampung-dalem",
) -> Alert:
    return Alert(
        uuid4(),
        uuid4(),
        UUID(int=7),
        uuid4(),
        (uuid4(),),
        "somebody",
        channel,
        urgency,
        DEADLINE,
        occasion,
        clock,
        agency,
    )


def message_of(*alerts: Alert) -> Notification:
    return Notification(uuid4(), alerts[0].recipient, alerts)


def described(*, sms: str = CODE, subject: str = CODE, body: str = CODE) -> dict[str, Any]:
    """A city's texts with one text replaced."""
    return {
        "waiting": {"other": {"id": "belum selesai"}},
        "counted": {name: {"id": "{n}"} for name in (*(occasion.name.lower() for occasion in Occasion), "other")},
        "entries": {name: {"id": "{n}"} for name in ("referrals", "plans")},
        "line": {"id": CODE},
        "revoked_line": {"id": CODE},
        "sms": {key: {"id": CODE} for key in KINDS} | {"overdue": {"id": sms}},
        "mail": {key: {"id": {"subject": subject, "body": body}} for key in KINDS},
    }


def texts_of(tmp_path: Path, *, sms: str = CODE, subject: str = CODE, body: str = CODE) -> AlertTexts:
    return read(tmp_path, described(sms=sms, subject=subject, body=body))


def read(tmp_path: Path, content: dict[str, Any]) -> AlertTexts:
    path = tmp_path / "messages.yaml"
    YAML(typ="safe", pure=True).dump(content, path)
    return AlertTexts.read(path, CITY)


@pytest.mark.slow
@pytest.mark.parametrize(("language", "occasion"), list(product(TEXTS.languages, Occasion)))
def test_every_sms_of_kediri_is_one_segment_with_the_longest_values(language: str, occasion: Occasion) -> None:
    kinds = product(Urgency, CLOCKS, CITY.agency_codes)

    rendered = {
        TEXTS.render(message_of(an_alert(AlertChannel.SMS, urgency, occasion, clock, agency)), language).body
        for urgency, clock, agency in kinds
    }

    assert [text for text in rendered if not fits_one_sms(text)] == []


@pytest.mark.parametrize(("language", "kind"), list(product(TEXTS.languages, KINDS[-4:])))
def test_every_sms_about_several_referrals_is_one_segment_with_the_largest_numbers(language: str, kind: str) -> None:
    messages = [each for each in longest(CLOCKS, "") if each.kind == kind]

    rendered = {TEXTS.render(each, language).body for each in messages if each.recipient.channel is AlertChannel.SMS}

    assert len(rendered) in (1, 3, 4)
    numbers = [[int(number) for number in re.findall(r"\b\d{3}\b", text)] for text in rendered]
    assert [text for text in rendered if not fits_one_sms(text)] == []
    assert max(len(each.alerts) for each in messages) in (MAX_ALERTS, 100 * len(Occasion))
    # What is counted together is counted, too.
    assert all(999 in found or (found[0] == 800 and sum(found[1:]) == 900) for found in numbers)


@pytest.mark.parametrize(("language", "channel", "occasion"), list(product(TEXTS.languages, CHANNELS, Occasion)))
def test_every_text_names_the_referral_and_what_is_needed_also_urgency_and_deadline(
    language: str, channel: AlertChannel, occasion: Occasion
) -> None:
    text = TEXTS.render(message_of(an_alert(channel, occasion=occasion)), language)

    assert referral_code(UUID(int=7)) in text.body
    is_needed = occasion is not Occasion.REVOKED
    # A withdrawn consent has a deadline by law and no urgency.
    assert (Urgency.HIGH.label(language) in text.body) is (is_needed and occasion is not Occasion.CONSENT_WITHDRAWN)
    assert ("30/12 23.59 WIB" in text.body) is is_needed


@pytest.mark.parametrize(("language", "channel"), list(product(TEXTS.languages, CHANNELS)))
@pytest.mark.parametrize("occasion", [Occasion.OVERDUE, Occasion.ESCALATED])
def test_an_overdue_text_names_the_late_agency_and_what_is_missing(
    language: str, channel: AlertChannel, occasion: Occasion
) -> None:

    bodies = [
        TEXTS.render(message_of(an_alert(channel, occasion=occasion, clock=clock, agency="rs-rujukan")), language).body
        for clock in ("answer", "service")
    ]

    assert all("rs-rujukan" in body for body in bodies)
    assert bodies[0] != bodies[1]


def test_an_unlisted_clock_uses_the_text_for_others() -> None:
    message = message_of(an_alert(occasion=Occasion.OVERDUE, clock="new_kind"))
    text = TEXTS.render(message, "id")

    assert "belum selesai" in text.body


@pytest.mark.parametrize("missing", KINDS)
def test_a_city_without_texts_for_an_occasion_is_refused(tmp_path: Path, missing: str) -> None:
    content = described()
    del content["sms"][missing]

    with pytest.raises(TextInvalid, match=missing):
        read(tmp_path, content)


def test_sender_and_subject_do_not_mention_violence() -> None:

    subjects = [TEXTS.render(message_of(an_alert(AlertChannel.MAIL)), language).subject for language in TEXTS.languages]

    code = referral_code(UUID(int=7))
    assert subjects == [f"{code} menunggu jawaban", f"{code} nengga wangsulan", f"{code} awaits an answer"]


def test_a_missing_language_falls_back_to_the_first() -> None:

    assert TEXTS.render(message_of(an_alert()), "fr") == TEXTS.render(message_of(an_alert()), "id")


@pytest.mark.parametrize("mention", ["{child_name}", "{}", "{0}", "{code", "{kelurahan}"])
@pytest.mark.parametrize("part", ["sms", "subject", "body"])
def test_a_text_with_an_unknown_variable_is_refused(tmp_path: Path, part: str, mention: str) -> None:
    with pytest.raises(TextInvalid, match="may only use code, urgency, deadline, agency, waiting, cases"):
        texts_of(tmp_path, **{part: f"{CODE} {mention}"})


@pytest.mark.parametrize("mention", ["{code.__class__}", "{urgency.x}", "{code[x]}", "{code:d}"])
def test_a_text_that_reads_inside_a_variable_is_refused(tmp_path: Path, mention: str) -> None:
    with pytest.raises(TextInvalid):
        texts_of(tmp_path, sms=mention)


def test_an_sms_of_160_characters_is_accepted(tmp_path: Path) -> None:
    sms = CODE + "a" * (160 - len(referral_code(UUID(int=7))))

    text = texts_of(tmp_path, sms=sms).render(message_of(an_alert(occasion=Occasion.OVERDUE)), "id")

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

    with pytest.raises(
        TextInvalid, match=r"messages.yaml:50: every text needs the languages id; sms overdue has en, id"
    ):
        read(tmp_path, content)


def test_a_mail_may_be_longer_than_an_sms(tmp_path: Path) -> None:
    text = texts_of(tmp_path, body=CODE + "a" * 500).render(message_of(an_alert(AlertChannel.MAIL)), "id")

    code = referral_code(UUID(int=7))
    assert text == AlertText(code, code + "a" * 500)


def in_message(*referrals: tuple[int, int, Occasion, Urgency, int]) -> Notification:
    """A message with alerts of (case, referral, occasion, urgency, minutes until the deadline)."""
    return message_of(
        *(
            replace(
                an_alert(AlertChannel.MAIL, urgency, occasion),
                case_id=UUID(int=case_id),
                referral_id=UUID(int=referral << 98),
                deadline=DEADLINE + timedelta(minutes=minutes),
            )
            for case_id, referral, occasion, urgency, minutes in referrals
        )
    )


def test_a_message_counts_cases_and_referrals_and_names_the_earliest_deadline_and_highest_urgency() -> None:
    message = in_message(
        (1, 1, Occasion.OFFERED, Urgency.MEDIUM, 0),
        (1, 2, Occasion.AMENDED, Urgency.HIGH, -5),
        (1, 2, Occasion.OFFERED, Urgency.MEDIUM, 3),
        (2, 3, Occasion.OFFERED, Urgency.LOW, 9),
    )

    sms = TEXTS.render(replace(message, recipient=Recipient("somebody", AlertChannel.SMS)), "id").body
    mail = TEXTS.render(message, "en").body

    assert sms == (
        "Simpul: 2 kasus, 3 rujukan menunggu. Kegentingan TINGGI. Batas jawab 30/12 23.54 WIB."
        " Konfirmasi: https://simpul.kabupaten.go.id/a/zzzzzzzzzzzz"
    )
    assert [line for line in mail.splitlines() if line.startswith("R-")] == [
        "R-000002 (satgas-kel-kampung-dalem): not answered, priority HIGH, due 30/12 23.54 WIB",
        "R-000001 (satgas-kel-kampung-dalem): not answered, priority MEDIUM, due 30/12 23.59 WIB",
        "R-000003 (satgas-kel-kampung-dalem): not answered, priority LOW, due 31/12 00.08 WIB",
    ]


def test_a_plan_to_confirm_is_no_referral() -> None:
    message = in_message(
        (1, 1, Occasion.OFFERED, Urgency.HIGH, 0),
        (1, 2, Occasion.OFFERED, Urgency.HIGH, 0),
        (2, 3, Occasion.OFFERED, Urgency.HIGH, 0),
    )
    plan = replace(message.alerts[2], clock="service_plan")

    text = TEXTS.render(replace(message, alerts=(*message.alerts[:2], plan)), "id")

    assert text.subject == "2 rujukan, 1 rencana menunggu jawaban"


def test_a_message_about_different_occasions_names_the_deadline_that_can_still_be_met() -> None:
    message = in_message(
        (1, 1, Occasion.OVERDUE, Urgency.HIGH, -60),
        (2, 2, Occasion.OFFERED, Urgency.MEDIUM, 0),
        (2, 3, Occasion.REVOKED, Urgency.LOW, -90),
    )

    text = TEXTS.render(replace(message, recipient=Recipient("somebody", AlertChannel.SMS)), "id")

    text_part, _, link = text.body.rpartition(" ")
    assert text_part == (
        "Simpul: 2 kasus: 1 lewat batas, 1 menunggu jawaban, 1 dicabut. Kegentingan TINGGI, batas 30/12 23.59 WIB."
    )
    assert link.startswith("https://")


def test_an_sms_about_every_kind_of_event_names_the_gravest_and_counts_the_others_and_keeps_its_link() -> None:
    every = in_message(*((n, n, occasion, Urgency.HIGH, 0) for n, occasion in enumerate(Occasion, 1)))

    text = TEXTS.render(replace(every, recipient=Recipient("somebody", AlertChannel.SMS)), "id").body

    assert text.startswith("Simpul: 8 kasus: 1 sudah 2x lewat batas, 1 lewat batas, 7 lainnya. Kegentingan TINGGI, ")
    assert text.endswith("/a/zzzzzzzzzzzz")
    assert fits_one_sms(text)


@pytest.mark.parametrize(
    ("language", "text"),
    [("id", "2 alarm sistem atau data"), ("jv", "2 alarm sistem utawi data"), ("en", "system or data alarms: 2")],
)
def test_several_alarms_count_no_case(language: str, text: str) -> None:
    alarms = in_message(*((n, n, Occasion.ALARM, Urgency.HIGH, 0) for n in (1, 2)))

    sms = TEXTS.render(replace(alarms, recipient=Recipient("somebody", AlertChannel.SMS)), language)

    assert sms.body.startswith(f"Simpul: {text}. ")
    assert "30/12 23.59 WIB" in sms.body


def test_a_mail_marks_what_is_late() -> None:
    message = in_message((1, 1, Occasion.OVERDUE, Urgency.HIGH, -60), (2, 2, Occasion.OFFERED, Urgency.HIGH, 0))

    lines = [line for line in TEXTS.render(message, "id").body.splitlines() if line.startswith("R-")]

    assert lines == [
        "R-000001 (satgas-kel-kampung-dalem): belum dijawab, kegentingan TINGGI, LEWAT BATAS 30/12 22.59 WIB",
        "R-000002 (satgas-kel-kampung-dalem): belum dijawab, kegentingan TINGGI, batas 30/12 23.59 WIB",
    ]


def test_a_referral_with_several_alerts_is_named_once_for_the_gravest() -> None:
    message = in_message(
        (1, 1, Occasion.REMINDED, Urgency.HIGH, 0),
        (1, 1, Occasion.ESCALATED, Urgency.HIGH, -60),
        (1, 1, Occasion.OVERDUE, Urgency.HIGH, -60),
    )

    assert [alert.occasion for alert in message.referrals] == [Occasion.ESCALATED]
    assert message.kind == "escalated"


@pytest.mark.parametrize(("language", "channel"), list(product(TEXTS.languages, CHANNELS)))
@pytest.mark.parametrize("occasion", [occasion for occasion in Occasion if occasion is not Occasion.REVOKED])
def test_every_message_that_awaits_something_ends_in_its_own_link(
    language: str, channel: AlertChannel, occasion: Occasion
) -> None:
    message = replace(message_of(an_alert(channel, occasion=occasion)), link_token="k7pq2mzx9dta")

    assert "https://simpul.kabupaten.go.id/a/k7pq2mzx9dta" in TEXTS.render(message, language).body


def test_a_fault_is_named_with_its_line(tmp_path: Path) -> None:
    source = MESSAGES.read_text()
    path = tmp_path / "messages.yaml"

    def refusal(before: str, after: str) -> str:
        path.write_text(source.replace(before, after, 1))
        with pytest.raises(TextInvalid) as refused:
            AlertTexts.read(path, CITY)
        return str(refused.value).removeprefix(f"{path}:")

    dash = refusal('id: "Simpul: {code} menunggu jawaban Anda.', 'id: "Simpul: {code} menunggu \u2013 jawaban Anda.')
    line = 1 + next(n for n, text in enumerate(source.splitlines()) if "menunggu jawaban Anda. Kegentingan" in text)
    assert dash.startswith(f"{line}: sms offered id is not one GSM-7 segment (has letters that an SMS lacks: \u2013)")
    name = refusal("Confirm: {link}", "Confirm: {name}")
    assert name.startswith(f"{line + 2}: sms offered en may only use code, urgency,")
    assert refusal("waiting:\n", "waiting: {\n").partition(":")[0].isdecimal()


def test_an_address_that_is_too_long_for_an_sms_is_refused() -> None:
    with pytest.raises(TextInvalid, match="is not one GSM-7 segment"):
        AlertTexts.read(MESSAGES, CITY, "https://sistem-rujukan-terpadu.pemerintah-kota-kediri.go.id")


def test_kediri_writes_to_people_in_their_language() -> None:
    offered = message_of(an_alert())

    assert TEXTS.languages == ("id", "jv", "en")
    assert "nengga wangsulan panjenengan" in TEXTS.render(offered, "jv").body
    assert TEXTS.render(offered, "su") == TEXTS.render(offered, "id")


def test_a_mail_counts_in_full_and_an_sms_in_short() -> None:
    def about(channel: AlertChannel) -> AlertText:
        occasions = (Occasion.REMINDED, Occasion.ESCALATED)
        alerts = [replace(an_alert(channel, occasion=each), referral_id=uuid4()) for each in occasions]
        return TEXTS.render(message_of(*alerts), "id")

    assert "1 sudah 2x lewat batas, 1 mendekati batas. " in about(AlertChannel.SMS).body
    assert about(AlertChannel.MAIL).subject == "2 rujukan: 1 dua kali melewati batas waktu, 1 mendekati batas waktu"
