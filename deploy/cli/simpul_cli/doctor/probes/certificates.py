"""Reads certificates from the city's folder and from the broker's listener."""

import ssl
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from simpul_cli.doctor.checks.certificates import CertificateFacts
from simpul_cli.doctor.sources import Sources

TIMEOUT = 5.0
"""Seconds."""


def collect(sources: Sources, now: datetime) -> CertificateFacts:
    """Collects the certificates; without the city's folder there are none to check."""
    if sources.data is None:
        return CertificateFacts(now)
    tls = sources.data / "tls"
    try:
        broker = _read(tls / "broker" / "broker.pem")
        authority = _read(tls / "authority.pem")
    except (OSError, ValueError) as error:
        return CertificateFacts(now, problem=type(error).__name__)
    address = (sources.settings() or {}).get("AGENCY_BROKER", "")
    own = sources.data / "gateway" / "site.pem"
    return CertificateFacts(
        now,
        ends_at=broker.not_valid_after_utc,
        is_signed_by_authority=_is_issued_by(broker, authority),
        hosts=_hosts_of(broker),
        wanted_host=urlsplit(address).hostname or "",
        served_ends_at=_served_by(sources.broker_host),
        authority_ends_at=authority.not_valid_after_utc,
        gateway_ends_at=_read(own).not_valid_after_utc if own.exists() else None,
    )


def _read(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def _is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _hosts_of(certificate: x509.Certificate) -> tuple[str, ...]:
    with suppress(x509.ExtensionNotFound):
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return (*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress)))
    return ()


def _served_by(broker_host: str) -> datetime | None:
    """Returns the end of the certificate that a listener shows; None when it does not answer."""
    host, _, port = broker_host.rpartition(":")
    if not host:
        return None
    try:
        shown = ssl.get_server_certificate((host, int(port)), timeout=TIMEOUT)
    except (OSError, ValueError):
        return None
    return x509.load_pem_x509_certificate(shown.encode()).not_valid_after_utc
