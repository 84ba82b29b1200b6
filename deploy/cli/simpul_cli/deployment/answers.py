"""The five answers that only the city knows, and the settings that follow from them."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from simpul_cli.deployment.refusal import Refusal
from simpul_cli.languages import Message
from simpul_cli.languages import Message as _

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_DIGITS_AND_DOTS: Final = re.compile(r"[0-9.]+")
OWN_AUTHORITY: Final = "internal"
"""Value of GATEWAY_TLS: the gateway certifies itself."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question, the settings that its answer gives, and how to read the answer."""

    name: str
    """Its name in a file of answers."""
    text: Message
    read: Callable[[str], dict[str, str]]
    """Returns settings; raises Refusal for an unusable answer."""
    settings: tuple[str, ...]
    default: str = ""


def _read_site(answer: str) -> dict[str, str]:
    name = answer.strip().lower().rstrip(".")
    if not _NAME.fullmatch(name) or _DIGITS_AND_DOTS.fullmatch(name):
        raise Refusal(_("{answer} is not a name; write it without scheme and port: simpul.kota.example", answer=answer))
    return {"SITE_HOST": name, "AGENCY_BROKER": f"amqps://{name}:5671/"}


def _read_certificate(answer: str) -> dict[str, str]:
    answer = answer.strip()
    if answer and answer != OWN_AUTHORITY and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", answer):
        raise Refusal(_("{answer} is not a mail address; leave it empty for an own authority.", answer=answer))
    return {"GATEWAY_TLS": answer or OWN_AUTHORITY}


def _read_sms_gateway(answer: str) -> dict[str, str]:
    example = "http://user:password@gateway.example:13013/cgi-bin/sendsms"
    url = _with_account(answer, ("http", "https"), example)
    address = url._replace(netloc=url.netloc.rpartition("@")[2]).geturl()
    return {
        "KANNEL_URL": address,
        "KANNEL_USER": unquote(url.username or ""),
        "KANNEL_PASSWORD": unquote(url.password or ""),
    }


def _read_mail_server(answer: str) -> dict[str, str]:
    url = _with_account(answer, ("smtp",), "smtp://user:password@mail.example:587")
    return {
        "SMTP_HOST": url.hostname or "",
        "SMTP_PORT": str(url.port or 587),
        "SMTP_USER": unquote(url.username or ""),
        "SMTP_PASSWORD": unquote(url.password or ""),
    }


def _read_sender(answer: str) -> dict[str, str]:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", answer.strip()):
        raise Refusal(_("{answer} is not a mail address.", answer=answer))
    return {"MAIL_FROM": answer.strip()}


def _with_account(answer: str, schemes: Iterable[str], example: str) -> SplitResult:
    """Reads an address with user and password; the refusal never shows the answer, which has a password."""
    url = urlsplit(answer.strip())
    try:
        is_usable = url.scheme in schemes and bool(url.hostname and url.username and url.password) and url.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise Refusal(_("This is not an address with user and password; write it as {example}", example=example))
    return url


QUESTIONS: Final = (
    Question(
        "site",
        _("Name of the city's site, which leads to this machine (simpul.kota.example)"),
        _read_site,
        ("SITE_HOST", "AGENCY_BROKER"),
    ),
    Question(
        "certificate",
        _("Mail address for a public certificate by ACME; empty for an own authority"),
        _read_certificate,
        ("GATEWAY_TLS",),
        default=OWN_AUTHORITY,
    ),
    Question(
        "sms_gateway",
        _("Address of the SMS gateway (http://user:password@gateway.example:13013/cgi-bin/sendsms)"),
        _read_sms_gateway,
        ("KANNEL_URL", "KANNEL_USER", "KANNEL_PASSWORD"),
    ),
    Question(
        "mail_server",
        _("Address of the mail server (smtp://user:password@mail.example:587)"),
        _read_mail_server,
        ("SMTP_HOST", "SMTP_PORT", "SMTP_USER", "SMTP_PASSWORD"),
    ),
    Question("mail_sender", _("Sender of mails, which must not mention violence"), _read_sender, ("MAIL_FROM",)),
)
DEMO: Final = {
    "site": "localhost",
    "certificate": OWN_AUTHORITY,
    # Account and password of the simulated handset, which listens inside the demonstration only.
    "sms_gateway": "http://simpul:only-for-this-machine@handset:8080/cgi-bin/sendsms",
    "mail_server": "smtp://simpul:only-for-this-machine@handset:8025",
    "mail_sender": "simpul@kota.example",
}


@dataclass(frozen=True)
class Answers:
    """Answers by the name of their question."""

    given: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Answers":
        """Reads a YAML file of answers; raises Refusal when it has another form."""
        try:
            found = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, YAMLError) as error:
            raise Refusal(_("{file} cannot be read as YAML.", file=path)) from error
        known = [question.name for question in QUESTIONS]
        if not isinstance(found, dict) or set(found) - set(known):
            raise Refusal(_("{file} has other entries than {names}.", file=path, names=", ".join(known)))
        return cls({name: str(value or "") for name, value in found.items()})

    def settings(self, question: Question, get_answer: Callable[[Question], str] | None) -> dict[str, str]:
        """Returns the settings of one question; asks only for an answer that is not given."""
        if question.name in self.given:
            return question.read(self.given[question.name])
        if get_answer is None:
            raise Refusal(_("No answer to {name}: add it to the file of answers.", name=question.name))
        return question.read(get_answer(question))


def open_questions(settings: Mapping[str, str]) -> list[Question]:
    """Returns the questions whose settings are not complete."""
    return [question for question in QUESTIONS if not all(settings.get(name) for name in question.settings)]
