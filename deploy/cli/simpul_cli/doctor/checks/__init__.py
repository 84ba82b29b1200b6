"""Pure checks, a file for each area and a function for each fault: found facts -> findings."""

from simpul_cli.doctor.checks import (
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
