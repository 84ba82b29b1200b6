"""Reads `messages.yaml`, checks its texts and renders messages from them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Final
from uuid import UUID

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError

from simpul_city import City, read_yaml
from simpul_notify.domain.alerts import PLAN_CLOCK, Alert, Occasion
from simpul_notify.domain.notifications import (
    EXAMPLE_URL,
    MAX_ALERTS,
    AlertText,
    Notification,
    TextVariables,
    fill_template,
    fits_one_sms,
    foreign_letters,
)
from simpul_notify.domain.responders import CHANNELS, Recipient
from simpul_notify.errors import TextInvalid
from simpul_schema.vocabulary import AlertChannel, Urgency

KINDS: Final = (
    *(occasion.name.lower() for occasion in Occasion),
    "several_offered",
    "several_revoked",
    "several_alarms",
    "several",
)
"""The texts that a city writes: one for each occasion, and four for a message about several."""
_PARTS: Final = ("waiting", "counted", "entries", "line", "revoked_line")
_VARIABLES: Final = "code, urgency, deadline, agency, waiting, cases, entries, counts, lines and link"

Templates = Mapping[str, Mapping[str, str]]
"""Kind -> language -> text."""


class AlertTexts:
    """The texts of messages, by kind, channel and language."""

    def __init__(
        self, sms: Templates, mail: Mapping[str, Mapping[str, Mapping[str, str]]], variables: TextVariables
    ) -> None:
        self._sms = sms
        self._mail = mail
        self._variables = variables

    @classmethod
    def read(cls, path: Path, city: City, public_url: str = EXAMPLE_URL) -> "AlertTexts":
        """Reads and checks the texts; `public_url` begins their links. Raises TextInvalid with the line of a fault."""
        try:
            described = read_yaml(path)
        except MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            msg = f"{path}:{line}: {error.problem or 'this is not YAML'}; quote a text that has a colon or braces"
            raise TextInvalid(msg) from error
        try:
            parts = {name: described[name] for name in _PARTS}
            # Without texts of its own, a mail counts as an SMS does, and lists what is late like everything else.
            parts["counted_in_mail"] = described.get("counted_in_mail", parts["counted"])
            parts["late_line"] = described.get("late_line", parts["line"])
            variables = TextVariables(city.zone, **parts, public_url=public_url.rstrip("/"))
            texts = cls(described["sms"], described["mail"], variables)
            texts.check_all(path, city)
        except (KeyError, TypeError) as error:
            msg = f"{path}: {error} is missing"
            raise TextInvalid(msg) from error
        return texts

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of the texts; the first one is the default."""
        return tuple(self._sms[KINDS[0]])

    @property
    def clocks(self) -> Mapping[str, object]:
        """The deadlines that `messages.yaml` names."""
        return self._variables.waiting

    def render(self, notification: Notification, language: str) -> AlertText:
        """Renders the text of a message, in the default language where the requested one is missing."""
        if language not in self.languages:
            language = self.languages[0]
        kind = notification.kind
        match notification.recipient.channel:
            case AlertChannel.SMS:
                return AlertText("", self._fill_sms(self._sms[kind][language], notification, language))
            case AlertChannel.MAIL:
                mail = self._mail[kind][language]
                subject, body = (self._fill(mail[part], notification, language) for part in ("subject", "body"))
                return AlertText(subject, body)
            case AlertChannel.OTHER:
                msg = "alerts are not sent by the channel other"
                raise TextInvalid(msg)

    def _fill_sms(self, template: str, notification: Notification, language: str) -> str:
        """Names the gravest kinds of events by as many words as fit, and counts the others together."""
        text = ""
        for count in range(len(notification.occasions), 0, -1):
            text = fill_template(template, notification, language, self._variables, max_counts=count)
            if fits_one_sms(text):
                break
        return text

    def _fill(self, template: str, notification: Notification, language: str) -> str:
        return fill_template(template, notification, language, self._variables)

    def check_all(self, path: Path, city: City) -> None:
        """Renders every text with the longest values; raises TextInvalid."""
        for kind, (channel, templates) in product(KINDS, (("sms", self._sms), ("mail", self._mail))):
            if set(templates[kind]) != set(self.languages):
                msg = (
                    f"{path}:{_line_in(path, channel, kind)}: every text needs the languages "
                    f"{', '.join(self.languages)}; {channel} {kind} has {', '.join(templates[kind])}"
                )
                raise TextInvalid(msg)
        longest = max(city.agency_codes, key=len)
        for language, notification in product(self.languages, longest_notifications(self._variables.waiting, longest)):
            self._check(path, notification, language)

    def _check(self, path: Path, notification: Notification, language: str) -> None:
        channel, kind = notification.recipient.channel, notification.kind
        try:
            text = self.render(notification, language)
        except (KeyError, IndexError, ValueError) as error:
            where = f"{path}:{_line_in(path, channel, kind, language)}: {channel} {kind} {language}"
            msg = f"{where} may only use {_VARIABLES}, not {error}"
            raise TextInvalid(msg) from error
        if channel is AlertChannel.SMS and not fits_one_sms(text.body):
            where = f"{path}:{_line_in(path, channel, kind, language)}: {channel} {kind} {language}"
            foreign = foreign_letters(text.body)
            reason = f"has letters that an SMS lacks: {foreign}" if foreign else f"{len(text.body)} of 160 letters"
            msg = f"{where} is not one GSM-7 segment ({reason}): {text.body}"
            raise TextInvalid(msg)


def _line_in(path: Path, *keys: str) -> int:
    """Returns the line of a key in a YAML file, or of the last key on the way that exists."""
    line, node = 1, YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    for key in keys:
        if not isinstance(node, CommentedMap) or key not in node:
            break
        line, node = node.lc.key(key)[0] + 1, node[key]
    return line


def longest_notifications(clocks: Mapping[str, object], agency: str) -> Iterator[Notification]:
    """Yields a message of every kind with the longest values."""
    nil, deadline = UUID(int=0), datetime(2026, 12, 30, 16, 59, tzinfo=UTC)

    def alerts(channel: AlertChannel, urgency: Urgency, clock: str, *occasions: Occasion) -> tuple[Alert, ...]:
        return tuple(
            Alert(nil, nil, UUID(int=n), UUID(int=n), (), "", channel, urgency, deadline, occasion, clock, agency)
            for n, occasion in enumerate(occasions)
        )

    for channel, urgency, occasion, clock in product(CHANNELS, Urgency, Occasion, clocks):
        yield Notification(nil, Recipient("", channel), alerts(channel, urgency, clock, occasion))
    # Numbers with as many digits as MAX_ALERTS allows. Only an SMS is limited; a mail is rendered as an example.
    alike = [(occasion,) * MAX_ALERTS for occasion in (Occasion.OFFERED, Occasion.REVOKED, Occasion.ALARM)]
    for urgency, occasions in product(Urgency, (*alike, tuple(Occasion) * 100)):
        sms = AlertChannel.SMS
        yield Notification(nil, Recipient("", sms), alerts(sms, urgency, next(iter(clocks)), *occasions))
    plans = alerts(AlertChannel.SMS, Urgency.MEDIUM, PLAN_CLOCK, *alike[0])
    mixed = tuple(replace(alert, clock="answer") if number >= 100 else alert for number, alert in enumerate(plans))
    yield Notification(nil, Recipient("", AlertChannel.SMS), mixed)
    for clock, occasions in product(clocks, (*(occasions[:2] for occasions in alike), tuple(Occasion))):
        mail = AlertChannel.MAIL
        yield Notification(nil, Recipient("", mail), alerts(mail, Urgency.HIGH, clock, *occasions))
