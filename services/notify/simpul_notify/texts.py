"""Reads `messages.yaml` and renders alerts from it."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from uuid import UUID

from simpul_city import City, read_yaml
from simpul_notify.domain import Alert, Labels, Occasion, Text, fill, fits_one_sms
from simpul_notify.errors import TextInvalid
from simpul_schema.vocabulary import AlertChannel, Urgency

Templates = Mapping[str, Mapping[str, str]]
"""Occasion -> language -> text."""


class Texts:
    """The texts of each occasion, channel and language."""

    def __init__(self, sms: Templates, mail: Mapping[str, Mapping[str, Mapping[str, str]]], labels: Labels) -> None:
        self._sms = sms
        self._mail = mail
        self._labels = labels

    @classmethod
    def read(cls, path: Path, city: City) -> "Texts":
        """The texts; TextInvalid when one is missing, mentions another variable or does not fit one SMS."""
        described = read_yaml(path)
        try:
            texts = cls(described["sms"], described["mail"], Labels(city.zone, described["waiting"]))
            texts.check(path, city)
        except KeyError as error:
            msg = f"{path}: there is no {error}"
            raise TextInvalid(msg) from error
        return texts

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages there are texts for."""
        return tuple(self._sms[_key(Occasion.OFFERED)])

    def render(self, alert: Alert, language: str) -> Text:
        """The words of one alert; the first language where the wanted one is missing."""
        if language not in self.languages:
            language = self.languages[0]
        occasion = _key(alert.occasion)
        if alert.channel is AlertChannel.SMS:
            return Text("", fill(self._sms[occasion][language], alert, language, self._labels))
        mail = self._mail[occasion][language]
        return Text(*(fill(mail[part], alert, language, self._labels) for part in ("subject", "body")))

    def check(self, path: Path, city: City) -> None:
        """Render everything once, with the longest values."""
        for occasion, kind in product(map(_key, Occasion), (self._sms, self._mail)):
            if set(kind[occasion]) != set(self.languages):
                msg = f"{path}: every text needs the same languages; those of {occasion} differ"
                raise TextInvalid(msg)
        for language, alert in product(self.languages, self._every_kind(city)):
            where = f"{alert.channel} {_key(alert.occasion)} {language}"
            try:
                text = self.render(alert, language)
            except (KeyError, IndexError, ValueError) as error:
                msg = f"{path}: {where} may only use code, urgency, deadline, agency and waiting, not {error}"
                raise TextInvalid(msg) from error
            if alert.channel is AlertChannel.SMS and not fits_one_sms(text.body):
                msg = f"{path}: {where} is not one GSM-7 segment ({len(text.body)} of 160 letters)"
                raise TextInvalid(msg)

    def _every_kind(self, city: City) -> Iterator[Alert]:
        nil, deadline = UUID(int=0), datetime(2026, 12, 31, tzinfo=UTC)
        longest = max(city.agency_codes, key=len)
        for channel, urgency, occasion, clock in product(AlertChannel, Urgency, Occasion, self._labels.waiting):
            yield Alert(nil, nil, nil, "", channel, urgency, deadline, occasion, clock, longest)


def _key(occasion: Occasion) -> str:
    return occasion.name.lower()
