"""Faults of the SMS gateway and the mail server."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from simpul_cli.doctor.finding import Finding, critical, warning
from simpul_cli.languages import Message as _

MAX_WAIT: Final = timedelta(minutes=5)
MANY_ATTEMPTS: Final = 3
MAX_SHARE_FAILED: Final = 0.2
MIN_SENT: Final = 10


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider as a probe and notify's alerts of a day show it."""

    problem: str = ""
    """`unreachable`, `login`, `certificate` or empty."""
    oldest_waiting: timedelta = timedelta()
    attempts: int = 0
    """The most attempts of an alert that still waits."""
    sent: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class ProviderFacts:
    """The providers by channel, `sms` and `mail`."""

    providers: Mapping[str, Provider] = field(default_factory=dict)


def find_unreachable_providers(facts: ProviderFacts) -> Iterator[Finding]:
    """Finds providers that do not answer."""
    for channel, provider in sorted(facts.providers.items()):
        if provider.problem == "unreachable":
            cause = _("The provider of {channel} does not answer.", channel=channel)
            yield critical("provider_unreachable", cause, f"$EDITOR .env  # {_SETTING[channel]}")


def find_wrong_passwords(facts: ProviderFacts) -> Iterator[Finding]:
    """Finds providers that refuse our password."""
    for channel, provider in sorted(facts.providers.items()):
        if provider.problem == "login":
            cause = _("The provider of {channel} refuses the user or the password.", channel=channel)
            yield critical("provider_login", cause, f"$EDITOR .env && deploy/up  # {_PASSWORD[channel]}")


def find_untrusted_providers(facts: ProviderFacts) -> Iterator[Finding]:
    """Finds mail servers whose certificate is not trusted, so that no mail leaves."""
    for channel, provider in sorted(facts.providers.items()):
        if provider.problem == "certificate":
            cause = _("The certificate of the provider of {channel} is not trusted.", channel=channel)
            yield critical("provider_certificate", cause, "$EDITOR .env && deploy/up  # SIMPUL_SMTP_CA_FILE")


def find_waiting_alerts(facts: ProviderFacts) -> Iterator[Finding]:
    """Finds alerts that do not leave."""
    for channel, provider in sorted(facts.providers.items()):
        if provider.oldest_waiting > MAX_WAIT:
            minutes = int(provider.oldest_waiting.total_seconds() // 60)
            cause = _("Alerts by {channel} have waited for {minutes} minutes.", channel=channel, minutes=minutes)
            yield critical("alerts_waiting", cause, "deploy/up logs notify")


def find_repeated_attempts(facts: ProviderFacts) -> Iterator[Finding]:
    """Finds providers that refuse the same alert again and again."""
    for channel, provider in sorted(facts.providers.items()):
        if provider.attempts >= MANY_ATTEMPTS:
            cause = _(
                "The provider of {channel} has refused an alert {count} times.",
                channel=channel,
                count=provider.attempts,
            )
            yield warning("alerts_refused", cause, "deploy/up logs notify")


def find_failed_alerts(facts: ProviderFacts) -> Iterator[Finding]:
    """Finds channels on which many alerts of the last day failed for good."""
    for channel, provider in sorted(facts.providers.items()):
        total = provider.sent + provider.failed
        if total >= MIN_SENT and provider.failed / total > MAX_SHARE_FAILED:
            cause = _(
                "{failed} of {total} alerts by {channel} failed since yesterday.",
                failed=provider.failed,
                total=total,
                channel=channel,
            )
            yield warning("alerts_failed", cause, "$EDITOR city/roster.yaml")


_SETTING: Final = {"sms": "KANNEL_URL", "mail": "SMTP_HOST, SMTP_PORT"}
_PASSWORD: Final = {"sms": "KANNEL_PASSWORD", "mail": "SMTP_PASSWORD"}
CHECKS: Final = (
    find_unreachable_providers,
    find_wrong_passwords,
    find_untrusted_providers,
    find_waiting_alerts,
    find_repeated_attempts,
    find_failed_alerts,
)
