"""Reads `messages.yaml` and renders alerts from it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

from simpul_notify.domain import Alert, Text, fill, fits_one_sms
from simpul_notify.errors import TextInvalid
from simpul_runtime.city import read_yaml
from simpul_schema.vocabulary import AlertChannel, Urgency


class Texts:
    """The texts of each channel and language."""

    def __init__(self, sms: Mapping[str, str], mail: Mapping[str, Mapping[str, str]], zone: ZoneInfo) -> None:
        self._sms = sms
        self._mail = mail
        self._zone = zone

    @classmethod
    def read(cls, path: Path, zone: ZoneInfo) -> "Texts":
        """The texts; TextInvalid when one mentions another variable or does not fit one SMS."""
        described = read_yaml(path)
        texts = cls(described["sms"], described["mail"], zone)
        if set(texts.languages) != set(described["mail"]):
            msg = f"{path}: SMS and mail need the same languages"
            raise TextInvalid(msg)
        texts.check(path)
        return texts

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages there are texts for."""
        return tuple(self._sms)

    def render(self, alert: Alert, language: str) -> Text:
        """The words of one alert; the first language where the wanted one is missing."""
        if language not in self._sms:
            language = self.languages[0]
        if alert.channel is AlertChannel.SMS:
            return Text("", fill(self._sms[language], alert, language, self._zone))
        mail = self._mail[language]
        return Text(fill(mail["subject"], alert, language, self._zone), fill(mail["body"], alert, language, self._zone))

    def check(self, path: Path) -> None:
        """Render everything once, with the longest values."""
        identifier = UUID(int=0)
        for language, channel, urgency in product(self.languages, AlertChannel, Urgency):
            alert = Alert(identifier, identifier, identifier, "", channel, urgency, datetime(2026, 12, 31, tzinfo=UTC))
            try:
                text = self.render(alert, language)
            except (KeyError, IndexError, ValueError) as error:
                msg = f"{path}: {channel} {language} may only use code, urgency and deadline, not {error}"
                raise TextInvalid(msg) from error
            if channel is AlertChannel.SMS and not fits_one_sms(text.body):
                msg = f"{path}: sms {language} is not one GSM-7 segment ({len(text.body)} of 160 letters)"
                raise TextInvalid(msg)
