"""Reads `messages.yaml`, checks its texts and renders alerts from them."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from uuid import UUID

from simpul_city import City, read_yaml
from simpul_notify.domain import Alert, AlertText, Occasion, TextVariables, fits_one_sms, render_template
from simpul_notify.errors import TextInvalid
from simpul_schema.vocabulary import AlertChannel, Urgency

Templates = Mapping[str, Mapping[str, str]]
"""Occasion -> language -> text."""


class AlertTexts:
    """The texts of alerts, by occasion, channel and language."""

    def __init__(
        self, sms: Templates, mail: Mapping[str, Mapping[str, Mapping[str, str]]], variables: TextVariables
    ) -> None:
        self._sms = sms
        self._mail = mail
        self._variables = variables

    @classmethod
    def read(cls, path: Path, city: City) -> "AlertTexts":
        """Reads and checks the texts; raises TextInvalid."""
        described = read_yaml(path)
        try:
            texts = cls(described["sms"], described["mail"], TextVariables(city.zone, described["waiting"]))
            texts.check_all(path, city)
        except KeyError as error:
            msg = f"{path}: {error} is missing"
            raise TextInvalid(msg) from error
        return texts

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of the texts; the first one is the default."""
        return tuple(self._sms[_occasion_key(Occasion.OFFERED)])

    def render_alert(self, alert: Alert, language: str) -> AlertText:
        """Renders the text of an alert, in the default language where the requested one is missing."""
        if language not in self.languages:
            language = self.languages[0]
        occasion = _occasion_key(alert.occasion)
        match alert.channel:
            case AlertChannel.SMS:
                return AlertText("", self._fill(self._sms[occasion][language], alert, language))
            case AlertChannel.MAIL:
                mail = self._mail[occasion][language]
                subject, body = (self._fill(mail[part], alert, language) for part in ("subject", "body"))
                return AlertText(subject, body)

    def _fill(self, template: str, alert: Alert, language: str) -> str:
        return render_template(template, alert, language, self._variables)

    def check_all(self, path: Path, city: City) -> None:
        """Renders every text with the longest values; raises TextInvalid."""
        for occasion, templates in product(map(_occasion_key, Occasion), (self._sms, self._mail)):
            if set(templates[occasion]) != set(self.languages):
                msg = f"{path}: every text needs the same languages; those of {occasion} differ"
                raise TextInvalid(msg)
        for language, alert in product(self.languages, self._alerts_of_every_kind(city)):
            where = f"{alert.channel} {_occasion_key(alert.occasion)} {language}"
            try:
                text = self.render_alert(alert, language)
            except (KeyError, IndexError, ValueError) as error:
                msg = f"{path}: {where} may only use code, urgency, deadline, agency and waiting, not {error}"
                raise TextInvalid(msg) from error
            if alert.channel is AlertChannel.SMS and not fits_one_sms(text.body):
                msg = f"{path}: {where} is not one GSM-7 segment ({len(text.body)} of 160 letters)"
                raise TextInvalid(msg)

    def _alerts_of_every_kind(self, city: City) -> Iterator[Alert]:
        nil, deadline = UUID(int=0), datetime(2026, 12, 31, tzinfo=UTC)
        longest = max(city.agency_codes, key=len)
        for channel, urgency, occasion, clock in product(AlertChannel, Urgency, Occasion, self._variables.waiting):
            yield Alert(nil, nil, nil, "", channel, urgency, deadline, occasion, clock, longest)


def _occasion_key(occasion: Occasion) -> str:
    return occasion.name.lower()
