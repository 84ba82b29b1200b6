"""Faults of the vault's master keys and of the keys with which routing stores facts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from simpul_cli.doctor.finding import Finding, critical
from simpul_cli.languages import Message as _


@dataclass(frozen=True, slots=True)
class VaultFacts:
    """Every sealed row, opened with the keys of this machine."""

    key_file_problem: str = ""
    is_readable_by_others: bool = False
    missing: Mapping[str, int] = field(default_factory=dict)
    """Id of a master key that the key file lacks -> the rows that need it."""
    unopened: int = 0
    """Rows that no key opens although their master key is there: moved, altered, or of another case."""
    routing_unopened: int = 0
    """Cases whose facts no key of routing's key file opens."""
    routing_key: str = ""
    """The id of the newest key in that file."""


def find_unreadable_key_file(facts: VaultFacts) -> Iterator[Finding]:
    """Finds a missing or damaged file of master keys."""
    if facts.key_file_problem:
        cause = _("The vault's key file cannot be used: {problem}", problem=facts.key_file_problem)
        yield critical("vault_key_unreadable", cause, "simpul backup list  # secrets/vault.key")


def find_open_key_file(facts: VaultFacts) -> Iterator[Finding]:
    """Finds master keys that other accounts of the machine can read."""
    if facts.is_readable_by_others:
        yield critical(
            "vault_key_readable", _("Other accounts can read the vault's key file."), "chmod 600 secrets/vault.key"
        )


def find_missing_master_keys(facts: VaultFacts) -> Iterator[Finding]:
    """Finds identities that cannot be read because their master key is missing."""
    for key_id, count in sorted(facts.missing.items()):
        cause = _(
            "{count} keys of cases need the master key {key}, which secrets/vault.key lacks.",
            count=count,
            key=key_id or "-",
        )
        yield critical("vault_key_missing", cause, "simpul backup list  # put back secrets/vault.key with this key")


def find_unopened_rows(facts: VaultFacts) -> Iterator[Finding]:
    """Finds rows that were moved or altered."""
    if facts.unopened:
        cause = _("{count} sealed rows were moved or altered: no key opens them.", count=facts.unopened)
        yield critical("vault_rows_altered", cause, "simpul audit verify && simpul backup list")


def find_wrong_routing_keys(facts: VaultFacts) -> Iterator[Finding]:
    """Finds cases that routing cannot read because its key file lacks the key under which it stored them."""
    if facts.routing_unopened:
        cause = _(
            "No key of secrets/routing.key.json (newest: {key}) opens the facts of {count} cases.",
            key=facts.routing_key,
            count=facts.routing_unopened,
        )
        yield critical("routing_key_wrong", cause, "simpul backup list  # put back secrets/routing.key.json")


CHECKS: Final = (
    find_unreadable_key_file,
    find_open_key_file,
    find_missing_master_keys,
    find_unopened_rows,
    find_wrong_routing_keys,
)
