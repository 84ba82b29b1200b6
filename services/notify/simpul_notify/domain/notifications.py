"""What one message to one recipient says about the alerts that it contains."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from string import Formatter
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from simpul_notify.domain.alerts import PLAN_CLOCK, Alert, Occasion, highest_urgency
from simpul_notify.domain.links import ALPHABET, TOKEN_LENGTH
from simpul_notify.domain.responders import Recipient
from simpul_schema.references import referral_code
from simpul_schema.vocabulary import AlertChannel, Urgency

MAX_ALERTS: Final = 999
"""Alerts of one message at most; further ones are the next message."""
_SEVERITY: Final = (
    Occasion.ESCALATED,
    Occasion.OVERDUE,
    Occasion.ALARM,
    Occasion.UNACKNOWLEDGED,
    Occasion.OFFERED,
    Occasion.AMENDED,
    Occasion.CONSENT_WITHDRAWN,
    Occasion.REMINDED,
    Occasion.REVOKED,
)
"""A referral with several alerts in one message is named once, for the first of these."""
_GSM7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The basic GSM-7 alphabet; characters of its extension table count twice, so texts must not use them."""
SMS_SEGMENT_LENGTH = 160
"""Characters that fit into one SMS."""


EXAMPLE_URL: Final = "https://simpul.kabupaten.go.id"
"""Stands for the city's address in previews; an address of up to this length fits into every SMS."""
LINK_PATH: Final = "/a"
"""Path of the page by which a message is acknowledged; short, because it is part of an SMS."""


@dataclass(frozen=True)
class Notification:
    """One message by one channel to one responder, with everything that waits for this recipient."""

    notification_id: UUID
    recipient: Recipient
    alerts: tuple[Alert, ...]
    report_token: str = field(default="", repr=False)
    """With which a provider reports what came of it."""
    link_token: str = field(default="", repr=False)
    """Ends its link, by which the responder acknowledges it."""
    address_digest: str = ""
    """By what the number or address is known again after a change of the roster."""

    @property
    def urgency(self) -> Urgency:
        """The highest urgency of its alerts."""
        return highest_urgency(alert.urgency for alert in self.alerts)

    @cached_property
    def referrals(self) -> list[Alert]:
        """One alert for each referral, the most urgent first; what awaits an answer has the earliest deadline of it."""
        of_referral: dict[UUID, list[Alert]] = {}
        for alert in self.alerts:
            of_referral.setdefault(alert.referral_id, []).append(alert)
        named = [_combined(alerts) for alerts in of_referral.values()]
        return sorted(named, key=lambda alert: (tuple(Urgency).index(alert.urgency), alert.deadline))

    @property
    def kind(self) -> str:
        """The key of its text in `messages.yaml`."""
        occasions = {alert.occasion for alert in self.referrals}
        if len(self.referrals) == 1:
            return occasions.pop().name.lower()
        if occasions == {Occasion.REVOKED}:
            return "several_revoked"
        if occasions == {Occasion.ALARM}:
            return "several_alarms"
        return "several_offered" if all(occasion.awaits_answer for occasion in occasions) else "several"

    @property
    def occasions(self) -> list[tuple[Occasion, int]]:
        """What its referrals are about, the gravest first, with their numbers."""
        counts = Counter(alert.occasion for alert in self.referrals)
        return [(occasion, counts[occasion]) for occasion in _SEVERITY if counts[occasion]]

    @property
    def deadline(self) -> datetime:
        """The earliest deadline that its recipient can still meet; otherwise the earliest that has passed."""
        referrals = self.referrals
        upcoming = [alert.deadline for alert in referrals if alert.occasion.awaits_answer]
        passed = [alert.deadline for alert in referrals if alert.occasion is not Occasion.REVOKED]
        return min(upcoming or passed or [referrals[0].deadline])


@dataclass(frozen=True, slots=True)
class AlertText:
    """The text of a message; an SMS has no subject."""

    subject: str
    body: str


def _combined(alerts: Sequence[Alert]) -> Alert:
    if len(alerts) == 1:
        return alerts[0]
    first = min(alerts, key=lambda alert: (_SEVERITY.index(alert.occasion), alert.deadline))
    if not first.occasion.awaits_answer:
        return first
    waiting = [alert for alert in alerts if alert.occasion.awaits_answer]
    return replace(
        first,
        urgency=highest_urgency(alert.urgency for alert in waiting),
        deadline=min(alert.deadline for alert in waiting),
    )


@dataclass(frozen=True, slots=True)
class TextVariables:
    """City-specific values for the variables of texts."""

    zone: ZoneInfo
    waiting: Mapping[str, Mapping[str, str]]
    """Clock -> language -> what is missing; `other` covers clocks that are not listed."""
    counted: Mapping[str, Mapping[str, str]]
    """Occasion -> language -> how an SMS about several referrals counts them, with `{n}` for the number.

    `other` counts those together for which there is no room.
    """
    counted_in_mail: Mapping[str, Mapping[str, str]]
    """The same in a mail, which has room for whole words."""
    entries: Mapping[str, Mapping[str, str]]
    """`referrals`, `plans`, `alarms` -> language -> how a message about several counts them; `{n}` is the number."""
    line: Mapping[str, str]
    """Language -> what a mail about several referrals says about each."""
    late_line: Mapping[str, str]
    """The same about a referral whose deadline has passed."""
    revoked_line: Mapping[str, str]
    """The same about a revoked referral."""
    public_url: str = EXAMPLE_URL
    """Where responders reach notify."""


def fill_template(
    template: str,
    notification: Notification,
    language: str,
    variables: TextVariables,
    *,
    max_counts: int = len(Occasion),
) -> str:
    """Fills in the variables of a template; raises KeyError for an unknown variable.

    `{counts}` names at most `max_counts` kinds of events and counts the others together.
    """
    referrals = notification.referrals
    values = _values_of(referrals[0], language, variables) | {
        "urgency": notification.urgency.label(language),
        "deadline": _moment(notification.deadline, variables.zone),
        "cases": len({alert.case_id for alert in referrals if alert.occasion.concerns_referral}),
        "entries": _count_entries(referrals, language, variables),
        "link": f"{variables.public_url}{LINK_PATH}/{notification.link_token or ALPHABET[-1] * TOKEN_LENGTH}",
        "counts": _count_occasions(notification, language, variables, max_counts),
    }
    if "{lines}" in template:
        values["lines"] = "\n".join(_line_of(alert, language, variables) for alert in referrals)
    return _fill(template, values)


def _count_occasions(notification: Notification, language: str, variables: TextVariables, max_counts: int) -> str:
    is_mail = notification.recipient.channel is AlertChannel.MAIL
    texts = variables.counted_in_mail if is_mail else variables.counted
    counts = [(occasion.name.lower(), number) for occasion, number in notification.occasions]
    if others := sum(number for _, number in counts[max_counts:]):
        counts[max_counts:] = [("other", others)]
    return ", ".join(_fill(texts[name][language], {"n": number}) for name, number in counts)


def _count_entries(referrals: Sequence[Alert], language: str, variables: TextVariables) -> str:
    """Counts referrals, service plans and alarms apart, such as `2 rujukan, 1 rencana`."""
    alarms = sum(not alert.occasion.concerns_referral for alert in referrals)
    plans = sum(alert.clock == PLAN_CLOCK and alert.occasion.concerns_referral for alert in referrals)
    counted = (("referrals", len(referrals) - plans - alarms), ("plans", plans), ("alarms", alarms))
    # A city's texts of an earlier version have no word for alarms.
    texts = {"alarms": variables.entries["referrals"], **variables.entries}
    return ", ".join(_fill(texts[name][language], {"n": count}) for name, count in counted if count)


def _line_of(alert: Alert, language: str, variables: TextVariables) -> str:
    match alert.occasion:
        case Occasion.REVOKED:
            lines = variables.revoked_line
        case Occasion.OVERDUE | Occasion.ESCALATED:
            lines = variables.late_line
        case _:
            lines = variables.line
    return _fill(lines[language], _values_of(alert, language, variables))


def _values_of(alert: Alert, language: str, variables: TextVariables) -> dict[str, object]:
    waiting = variables.waiting.get(alert.clock, variables.waiting["other"])
    return {
        "code": referral_code(alert.referral_id),
        "urgency": alert.urgency.label(language),
        "deadline": _moment(alert.deadline, variables.zone),
        "agency": alert.agency,
        "waiting": waiting[language],
    }


def _moment(moment: datetime, zone: ZoneInfo) -> str:
    return moment.astimezone(zone).strftime("%d/%m %H.%M")


def _fill(template: str, values: Mapping[str, object]) -> str:
    for _, name, how, conversion in Formatter().parse(template):
        # Plain names only: `{code.x}` or `{code[0]}` would read attributes or items of a value.
        if name is not None and (name not in values or how or conversion):
            raise KeyError(name)
    return template.format_map(values)


def fits_one_sms(text: str) -> bool:
    """Whether the text fits into one GSM-7 segment."""
    return len(text) <= SMS_SEGMENT_LENGTH and set(text) <= _GSM7


def foreign_letters(text: str) -> str:
    """Returns the letters that the GSM-7 alphabet lacks, such as dashes and curly quotes."""
    return " ".join(sorted(set(text) - _GSM7))
