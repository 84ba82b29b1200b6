"""Faults of the broker's certificate, the city's authority and the gateway's own certificate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from simpul_cli.doctor.finding import Finding, critical, warning
from simpul_cli.languages import Message as _

SOON: Final = timedelta(days=30)
VERY_SOON: Final = timedelta(days=7)
AUTHORITY_SOON: Final = timedelta(days=365)
"""Every agency needs a new certificate when the authority ends, so the warning comes a year before."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """The broker's certificate and what it depends on; None for what is not visible or does not exist."""

    now: datetime
    problem: str = ""
    """Why the broker's certificate cannot be read."""
    ends_at: datetime | None = None
    is_signed_by_authority: bool = True
    hosts: Sequence[str] = ()
    wanted_host: str = ""
    """The name by which agencies reach the broker."""
    served_ends_at: datetime | None = None
    """The end of the certificate that the broker really shows."""
    authority_ends_at: datetime | None = None
    gateway_ends_at: datetime | None = None
    """The end of the city's own certificate for the gateway; the gateway renews any other by itself."""


def find_unreadable_certificate(facts: CertificateFacts) -> Iterator[Finding]:
    """Finds a missing or damaged certificate of the broker."""
    if facts.problem:
        cause = _("The broker's certificate cannot be read ({problem}).", problem=facts.problem)
        yield critical("certificate_unreadable", cause, "deploy/up")


def find_ended_certificate(facts: CertificateFacts) -> Iterator[Finding]:
    """Finds a certificate with which no agency connects any more."""
    if facts.ends_at and facts.ends_at <= facts.now:
        cause = _("The broker's certificate ended on {day}: no agency can connect.", day=facts.ends_at.date())
        yield critical("certificate_ended", cause, "deploy/up")


def find_certificate_of_last_week(facts: CertificateFacts) -> Iterator[Finding]:
    """Finds a certificate that ends within 7 days."""
    if facts.ends_at and timedelta() < facts.ends_at - facts.now <= VERY_SOON:
        days = (facts.ends_at - facts.now).days
        yield critical(
            "certificate_ends_now", _("The broker's certificate ends in {days} days.", days=days), "deploy/up"
        )


def find_certificate_of_last_month(facts: CertificateFacts) -> Iterator[Finding]:
    """Finds a certificate that ends within 30 days."""
    if facts.ends_at and VERY_SOON < facts.ends_at - facts.now <= SOON:
        days = (facts.ends_at - facts.now).days
        yield warning(
            "certificate_ends_soon", _("The broker's certificate ends in {days} days.", days=days), "deploy/up"
        )


def find_foreign_certificate(facts: CertificateFacts) -> Iterator[Finding]:
    """Finds a certificate that agencies do not trust."""
    if facts.ends_at and not facts.is_signed_by_authority:
        cause = _("The city's authority did not sign the broker's certificate, so agencies refuse it.")
        yield critical("certificate_foreign", cause, "rm tls/broker/broker.pem tls/broker/broker.key && deploy/up")


def find_certificate_without_host(facts: CertificateFacts) -> Iterator[Finding]:
    """Finds a certificate for other names than the one that agencies use."""
    if facts.ends_at and facts.wanted_host and facts.wanted_host not in facts.hosts:
        cause = _("The broker's certificate is not for {host}, so agencies refuse it.", host=facts.wanted_host)
        yield critical("certificate_host", cause, "rm tls/broker/broker.pem tls/broker/broker.key && deploy/up")


def find_certificate_not_served(facts: CertificateFacts) -> Iterator[Finding]:
    """Finds a broker that still shows the certificate before the renewal."""
    if facts.ends_at and facts.served_ends_at and facts.served_ends_at < facts.ends_at:
        cause = _("The broker still shows the certificate that ends on {day}.", day=facts.served_ends_at.date())
        yield warning("certificate_not_served", cause, "deploy/up restart rabbitmq")


def find_ending_authority(facts: CertificateFacts) -> Iterator[Finding]:
    """Finds an authority that ends within a year."""
    if facts.authority_ends_at and facts.authority_ends_at - facts.now <= AUTHORITY_SOON:
        days = (facts.authority_ends_at - facts.now).days
        cause = _("The city's authority ends in {days} days; every agency then needs a new certificate.", days=days)
        yield warning("authority_ends", cause, "simpul tls init FOLDER --host NAME")


def find_ending_gateway_certificate(facts: CertificateFacts) -> Iterator[Finding]:
    """Finds the city's own certificate of the gateway when it ends within 30 days."""
    if facts.gateway_ends_at and facts.gateway_ends_at - facts.now <= SOON:
        days = (facts.gateway_ends_at - facts.now).days
        make = critical if facts.gateway_ends_at - facts.now <= VERY_SOON else warning
        cause = _("The gateway's certificate ends in {days} days.", days=days)
        yield make("gateway_certificate_ends", cause, "cp NEW.pem gateway/site.pem && deploy/up restart gateway")


CHECKS: Final = (
    find_unreadable_certificate,
    find_ended_certificate,
    find_certificate_of_last_week,
    find_certificate_of_last_month,
    find_foreign_certificate,
    find_certificate_without_host,
    find_certificate_not_served,
    find_ending_authority,
    find_ending_gateway_certificate,
)
