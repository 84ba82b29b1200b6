from pathlib import Path

import pytest

from simpul_cli.deployment.answers import DEMO, QUESTIONS, Answers, Question, open_questions
from simpul_cli.deployment.env_file import read_env, write_env
from simpul_cli.deployment.refusal import Refusal
from simpul_cli.languages import translator
from simpul_dev.demo.handset import ACCOUNT, PASSWORD
from simpul_schema.translations import preferred_language
from tests.unit.cli.deployment.conftest import REAL


def settings_of(answers: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for question in QUESTIONS:
        found |= Answers(answers).settings(question, None)
    return found


def test_five_questions_give_every_setting_that_only_the_city_knows() -> None:
    assert len(QUESTIONS) <= 5
    assert settings_of(REAL) == {
        "SITE_HOST": "simpul.kota.example",
        "AGENCY_BROKER": "amqps://simpul.kota.example:5671/",
        "GATEWAY_TLS": "admin@kota.example",
        "KANNEL_URL": "https://sms.example/cgi-bin/sendsms",
        "KANNEL_USER": "simpul",
        "KANNEL_PASSWORD": "s@fe",
        "SMTP_HOST": "mail.example",
        "SMTP_PORT": "587",
        "SMTP_USER": "robot",
        "SMTP_PASSWORD": "p/w",
        "MAIL_FROM": "robot@kota.example",
    }


def test_a_demonstration_logs_in_to_the_simulated_handset() -> None:
    found = settings_of(dict(DEMO))

    assert {found["KANNEL_USER"], found["SMTP_USER"]} == {ACCOUNT}
    assert {found["KANNEL_PASSWORD"], found["SMTP_PASSWORD"]} == {PASSWORD}


def test_only_open_questions_need_an_answer() -> None:
    prompted: list[str] = []

    def answer(question: Question) -> str:
        prompted.append(question.name)
        return REAL[question.name]

    found: dict[str, str] = {}
    for question in open_questions({"SITE_HOST": "a.example", "AGENCY_BROKER": "amqps://a.example/"}):
        found |= Answers({"certificate": ""}).settings(question, answer)

    assert prompted == ["sms_gateway", "mail_server", "mail_sender"]
    assert found["GATEWAY_TLS"] == "internal"
    assert open_questions(settings_of(REAL)) == []


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("site", "https://simpul.kota.example"), ("site", "192.0.2.1"), ("site", ""), ("certificate", "yes"),
        ("sms_gateway", "http://gateway.example/cgi-bin"), ("sms_gateway", "ftp://a:secret@b.example"),
        ("mail_server", "smtp://user:secret@mail.example:x"), ("mail_sender", "nobody"),
    ],
)  # fmt: skip
def test_an_unusable_answer_is_refused_without_showing_a_password(name: str, answer: str) -> None:
    with pytest.raises(Refusal) as refused:
        settings_of(REAL | {name: answer})

    assert "secret" not in str(refused.value)


def test_a_file_of_answers_is_read_and_one_with_other_entries_refused(tmp_path: Path) -> None:
    good, odd = tmp_path / "good.yaml", tmp_path / "odd.yaml"
    good.write_text("site: simpul.kota.example\ncertificate:\n")
    odd.write_text("sight: simpul.kota.example\n")

    assert Answers.read(good).given == {"site": "simpul.kota.example", "certificate": ""}
    with pytest.raises(Refusal, match=r"other entries than site, certificate"):
        Answers.read(odd)
    with pytest.raises(Refusal, match="No answer to mail_sender"):
        Answers.read(good).settings(QUESTIONS[-1], None)


def test_settings_survive_being_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    values = {"A": "plain-1", "B": "with space, $dollar and #", "SITE_HOST": "x.example"}

    write_env(path, values, "# a comment\nSITE_HOST=\nEMPTY=\n")

    assert read_env(path) == values | {"EMPTY": ""}
    assert path.read_text().startswith("# a comment\nSITE_HOST=x.example\n")
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(Refusal):
        write_env(path, {"A": "it's"}, "")


def test_texts_are_in_the_language_of_the_environment() -> None:
    assert preferred_language({"LANG": "id_ID.UTF-8"}) == "id"
    assert preferred_language({"LC_ALL": "C", "LANG": "id_ID.UTF-8"}) == preferred_language({}) == "en"
    assert translator("id")("Left to do:") == "Yang masih harus dilakukan:"
