"""Runs every probe that its sources allow, and every check on what the probes found."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from simpul_city import City
from simpul_cli.doctor import checks, probes
from simpul_cli.doctor.finding import Finding, sort_findings
from simpul_cli.doctor.sources import Sources

AREAS: Final = (
    "configuration", "keys", "certificates", "machine", "databases", "broker", "messages", "agencies", "agreement",
    "providers", "vault", "backups",
)  # fmt: skip
"""The areas in the order in which they are examined."""


@dataclass
class Examination:
    """What was found, and which areas could not be examined."""

    findings: list[Finding] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def add(self, area: Iterable[Callable[[Any], Iterator[Finding]]], facts: object) -> None:
        """Runs the checks of an area."""
        self.findings += [finding for check in area for finding in check(facts)]


async def examine(sources: Sources, now: datetime) -> Examination:
    """Examines a city; an area whose sources are not given, or that another fault hides, is named as skipped."""
    found = Examination()
    city = sources.read_city()
    found.add(checks.configuration.CHECKS, probes.configuration.collect(sources))
    if sources.data:
        found.add(checks.keys.CHECKS, probes.keys.collect(sources, now))
        found.add(checks.certificates.CHECKS, probes.certificates.collect(sources, now))
    else:
        found.skipped += ["keys", "certificates"]
    usable = await _examine_databases(sources, found)
    is_broker_usable = await _examine_broker(sources, city, found)
    await _examine_city(replace(sources, databases=usable), city, found, now, is_broker_usable=is_broker_usable)
    await _examine_vault(replace(sources, databases=usable), found)
    if sources.backups:
        found.add(checks.backups.CHECKS, probes.backups.collect(sources.backups, now))
    else:
        found.skipped.append("backups")
    found.findings = list(sort_findings(found.findings))
    return found


async def _examine_databases(sources: Sources, found: Examination) -> dict[str, str]:
    """Examines databases and clocks; returns the addresses of the databases that this version can read."""
    facts, skews = await probes.databases.collect(sources.databases)
    found.add(checks.databases.CHECKS, facts)
    found.add(checks.machine.CHECKS, probes.machine.collect(sources, skews))
    if not sources.databases:
        found.skipped.append("databases")
    return {
        service: sources.databases[service]
        for service, database in facts.databases.items()
        if not database.problem and database.is_current
    }


async def _examine_broker(sources: Sources, city: City | None, found: Examination) -> bool:
    if not sources.rabbitmq_api or city is None:
        found.skipped.append("broker")
        return False
    facts = await probes.broker.collect(sources.rabbitmq_api, city, sources.broker_passwords)
    found.add(checks.broker.CHECKS, facts)
    return not facts.problem


async def _examine_city(
    sources: Sources, city: City | None, found: Examination, now: datetime, *, is_broker_usable: bool
) -> None:
    databases = sources.databases
    if city is None:
        found.skipped += ["messages", "agencies", "agreement", "providers"]
        return
    found.add(checks.messages.CHECKS, await probes.messages.collect(databases, city.code, now))
    agencies = await probes.agencies.collect(
        sources, city, is_broker_usable=is_broker_usable, is_routing_usable="routing" in databases
    )
    found.add(checks.agencies.CHECKS, agencies)
    found.add(checks.agreement.CHECKS, probes.agreement.collect(sources, city, now))
    settings = sources.settings()
    found.add(
        checks.providers.CHECKS, await probes.providers.collect(settings, databases.get("notify", ""), sources.city_dir)
    )
    if settings is None:
        found.skipped.append("providers")


async def _examine_vault(sources: Sources, found: Examination) -> None:
    if sources.data is None or "intake" not in sources.databases:
        found.skipped.append("vault")
        return
    facts = await probes.vault.collect(
        sources.data, intake_url=sources.databases["intake"], routing_url=sources.databases.get("routing", "")
    )
    found.add(checks.vault.CHECKS, facts)
