"""Faults of the keys of services and agencies, and of the directory of public keys."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from simpul_cli.doctor.finding import Finding, critical, warning
from simpul_cli.languages import Message as _
from simpul_seal import Directory, KeyRing

SOON: Final = timedelta(days=30)
VERY_SOON: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The private keys of one service as found."""

    ring: KeyRing | None = None
    problem: str = ""
    """Why the file cannot be read; empty if it can."""
    mode: int = 0o600


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """The directory, the key files, and who should have keys."""

    now: datetime
    directory: Directory | None = None
    directory_problem: str = ""
    files: Mapping[str, KeyFile] = field(default_factory=dict)
    """By service; empty where the key files are not visible."""
    services: Sequence[str] = ()
    agencies: frozenset[str] = frozenset()


def find_unreadable_directory(facts: KeyFacts) -> Iterator[Finding]:
    """Finds a directory that nobody can verify a signature with."""
    if facts.directory_problem:
        cause = _("The directory of public keys cannot be read ({problem}).", problem=facts.directory_problem)
        yield critical("directory_unreadable", cause, "simpul backup list")


def find_unreadable_key_files(facts: KeyFacts) -> Iterator[Finding]:
    """Finds a service that cannot start because its keys cannot be read."""
    for service, file in sorted(facts.files.items()):
        if file.problem:
            cause = _("The key file of {service} cannot be read ({problem}).", service=service, problem=file.problem)
            yield critical("key_file_unreadable", cause, "simpul backup list")


def find_swapped_key_files(facts: KeyFacts) -> Iterator[Finding]:
    """Finds a key file with the keys of another party."""
    for service, file in sorted(facts.files.items()):
        if file.ring and file.ring.party != service:
            cause = _("The key file of {service} holds the keys of {party}.", service=service, party=file.ring.party)
            yield critical("key_file_swapped", cause, f"simpul backup list  # secrets/{service}.key.json")


def find_open_key_files(facts: KeyFacts) -> Iterator[Finding]:
    """Finds key files that other accounts of the machine can read."""
    for service, file in sorted(facts.files.items()):
        if file.mode & 0o077:
            cause = _("Other accounts can read the key file of {service}.", service=service)
            yield critical("key_file_readable", cause, f"chmod 600 secrets/{service}.key.json")


def find_keys_not_in_file(facts: KeyFacts) -> Iterator[Finding]:
    """Finds keys to which others seal while the service lacks their private halves."""
    for service, file in sorted(facts.files.items()):
        if facts.directory is None or file.ring is None or file.ring.party != service:
            continue
        known = [e for e in facts.directory.entries if e.party == service and e.not_after > facts.now]
        if not all(file.ring.key(entry.keyid) for entry in known):
            cause = _("The directory has newer keys of {service} than its key file.", service=service)
            yield critical("key_not_in_file", cause, f"docker compose restart {service}")


def find_services_without_keys(facts: KeyFacts) -> Iterator[Finding]:
    """Finds services that cannot sign, so that their events wait."""
    for service in facts.services if facts.directory else ():
        if _ends_at(facts, service) is None:
            cause = _("The keys of {service} have ended, so its events wait.", service=service)
            yield critical("service_keys_ended", cause, f"simpul keys rotate {service}")


def find_services_with_ending_keys(facts: KeyFacts) -> Iterator[Finding]:
    """Finds services whose keys end within 30 days; within 7 days it is critical."""
    for service in facts.services if facts.directory else ():
        left = _left(facts, service)
        if left is not None and left < SOON:
            cause = _("The keys of {party} end in {days} days.", party=service, days=left.days)
            make = critical if left < VERY_SOON else warning
            yield make("service_keys_end_soon", cause, f"simpul keys rotate {service}")


def find_agencies_without_keys(facts: KeyFacts) -> Iterator[Finding]:
    """Finds agencies that were never enrolled; their events wait and their deadlines pass."""
    if facts.directory is None:
        return
    missing = sorted(facts.agencies - {entry.party for entry in facts.directory.entries})
    if missing:
        cause = _("{count} agencies are not enrolled: {names}", count=len(missing), names=_shorten(missing))
        yield warning("agency_not_enrolled", cause, "simpul agency enrol FOLDER")


def find_agencies_with_ended_keys(facts: KeyFacts) -> Iterator[Finding]:
    """Finds agencies whose keys have ended."""
    for agency in _enrolled(facts):
        if _ends_at(facts, agency) is None:
            cause = _("The keys of {party} have ended: its referrals wait here.", party=agency)
            remedy = f"simpul agency rotate-key {agency} --enrolment FILE --to FILE"
            yield critical("agency_keys_ended", cause, remedy)


def find_agencies_with_ending_keys(facts: KeyFacts) -> Iterator[Finding]:
    """Finds agencies whose keys end within 30 days."""
    for agency in _enrolled(facts):
        left = _left(facts, agency)
        if left is not None and left < SOON:
            cause = _("The keys of {party} end in {days} days.", party=agency, days=left.days)
            remedy = f"simpul agency rotate-key {agency} --enrolment FILE --to FILE"
            yield warning("agency_keys_end_soon", cause, remedy)


def _enrolled(facts: KeyFacts) -> list[str]:
    entries = facts.directory.entries if facts.directory else ()
    return sorted(facts.agencies & {entry.party for entry in entries})


def _ends_at(facts: KeyFacts, party: str) -> datetime | None:
    return facts.directory.usable_until(party, facts.now) if facts.directory else None


def _left(facts: KeyFacts, party: str) -> timedelta | None:
    end = _ends_at(facts, party)
    return end - facts.now if end else None


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


CHECKS: Final = (
    find_unreadable_directory,
    find_unreadable_key_files,
    find_swapped_key_files,
    find_open_key_files,
    find_keys_not_in_file,
    find_services_without_keys,
    find_services_with_ending_keys,
    find_agencies_without_keys,
    find_agencies_with_ended_keys,
    find_agencies_with_ending_keys,
)
