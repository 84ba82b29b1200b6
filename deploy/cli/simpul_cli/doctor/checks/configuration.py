"""Faults of `.env` and of the city's folder."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from simpul_cli.doctor.finding import Finding, critical, warning
from simpul_cli.languages import Message as _

MIN_PASSWORD: Final = 16
"""Characters; `deploy/up` makes 48."""
ZONES: Final = ("Asia/Jakarta", "Asia/Pontianak", "Asia/Makassar", "Asia/Jayapura")
_PASSWORDS: Final = ("POSTGRES_PASSWORD", "RABBITMQ_PASSWORD")


@dataclass(frozen=True, slots=True)
class ConfigurationFacts:
    """Settings and the city as data."""

    settings: Mapping[str, str] | None = None
    """Of `.env`; None where it is not visible."""
    known_settings: frozenset[str] = frozenset()
    """The names in `.env.example`, with those in its comments."""
    required_settings: frozenset[str] = frozenset()
    is_readable_by_others: bool = False
    city_problem: str = ""
    """Why the city's folder cannot be read; empty if it can."""
    zone: str = "Asia/Jakarta"
    roster_gaps: Sequence[str] = field(default_factory=tuple)


def find_unreadable_city(facts: ConfigurationFacts) -> Iterator[Finding]:
    """Finds a city's folder that no service can read."""
    if facts.city_problem:
        cause = _("The city's folder cannot be read: {problem}", problem=facts.city_problem)
        yield critical("city_unreadable", cause, "simpul backup list  # put back the folder city")


def find_empty_settings(facts: ConfigurationFacts) -> Iterator[Finding]:
    """Finds settings without which Docker Compose refuses every command."""
    empty = sorted(name for name in facts.required_settings if not (facts.settings or {}).get(name))
    if facts.settings is not None and empty:
        yield critical("setting_empty", _("{names} in .env are empty.", names=", ".join(empty)), "deploy/up")


def find_unknown_settings(facts: ConfigurationFacts) -> Iterator[Finding]:
    """Finds settings that nothing reads, such as a name with a typing error."""
    for name in sorted(set(facts.settings or {}) - facts.known_settings):
        near = ", ".join(get_close_matches(name, facts.known_settings, n=1)) or "-"
        cause = _("{name} in .env has no effect; the closest setting is {near}.", name=name, near=near)
        yield warning("setting_unknown", cause, f"$EDITOR .env  # {name}")


def find_unusable_passwords(facts: ConfigurationFacts) -> Iterator[Finding]:
    """Finds passwords that break the addresses of which they become part."""
    for name, value in sorted((facts.settings or {}).items()):
        if name.startswith(_PASSWORDS) and value and not value.isalnum():
            cause = _("{name} in .env has other characters than letters and digits.", name=name)
            yield critical("password_unusable", cause, "deploy/up --new-passwords")


def find_weak_passwords(facts: ConfigurationFacts) -> Iterator[Finding]:
    """Finds passwords that can be guessed."""
    for name, value in sorted((facts.settings or {}).items()):
        if name.startswith(_PASSWORDS) and 0 < len(value) < MIN_PASSWORD:
            cause = _("{name} in .env is shorter than {count} characters.", name=name, count=MIN_PASSWORD)
            yield warning("password_weak", cause, "deploy/up --new-passwords")


def find_open_settings(facts: ConfigurationFacts) -> Iterator[Finding]:
    """Finds a `.env` that other accounts of the machine can read."""
    if facts.is_readable_by_others:
        yield critical("settings_readable", _("Other accounts can read the passwords in .env."), "chmod 600 .env")


def find_plain_agency_address(facts: ConfigurationFacts) -> Iterator[Finding]:
    """Finds an address for agencies without TLS."""
    address = (facts.settings or {}).get("AGENCY_BROKER", "")
    if address and urlsplit(address).scheme != "amqps":
        cause = _("AGENCY_BROKER in .env does not start with amqps://, so agencies would connect without TLS.")
        yield critical("agency_address_plain", cause, "$EDITOR .env  # AGENCY_BROKER=amqps://NAME:5671/")


def find_unknown_zone(facts: ConfigurationFacts) -> Iterator[Finding]:
    """Finds a time zone that this machine does not know."""
    try:
        ZoneInfo(facts.zone)
    except (ZoneInfoNotFoundError, ValueError):
        cause = _("city.yaml names the time zone {zone}, which does not exist.", zone=facts.zone)
        yield critical("zone_unknown", cause, "$EDITOR city/city.yaml  # zone: Asia/Jakarta")


def find_foreign_zone(facts: ConfigurationFacts) -> Iterator[Finding]:
    """Finds a time zone in which office hours and holidays fall on other hours than the city's."""
    if facts.zone not in ZONES:
        cause = _("city.yaml names the time zone {zone}, which is not one of Indonesia.", zone=facts.zone)
        yield warning("zone_foreign", cause, "$EDITOR city/city.yaml  # zone: Asia/Jakarta")


def find_roster_gaps(facts: ConfigurationFacts) -> Iterator[Finding]:
    """Finds parties that nobody could alert."""
    if facts.roster_gaps:
        shown = "; ".join(facts.roster_gaps[:3])
        cause = _("The roster has {count} faults: {shown}", count=len(facts.roster_gaps), shown=shown)
        yield critical("roster_incomplete", cause, "$EDITOR city/roster.yaml")


CHECKS: Final = (
    find_unreadable_city,
    find_empty_settings,
    find_unknown_settings,
    find_unusable_passwords,
    find_weak_passwords,
    find_open_settings,
    find_plain_agency_address,
    find_unknown_zone,
    find_foreign_zone,
    find_roster_gaps,
)
