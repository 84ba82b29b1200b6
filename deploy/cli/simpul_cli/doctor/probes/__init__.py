"""Collects the facts of each area; what cannot be reached becomes a fact too."""

from simpul_cli.doctor.probes import (
    agencies,
    agreement,
    backups,
    broker,
    certificates,
    configuration,
    databases,
    keys,
    machine,
    messages,
    providers,
    vault,
)

__all__ = [
    "agencies",
    "agreement",
    "backups",
    "broker",
    "certificates",
    "configuration",
    "databases",
    "keys",
    "machine",
    "messages",
    "providers",
    "vault",
]
