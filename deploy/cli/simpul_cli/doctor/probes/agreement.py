"""Reads the versions of the agreement."""

from datetime import datetime

from simpul_agreement import read_agreement
from simpul_agreement.versions import State
from simpul_city import City
from simpul_cli.deployment.interim import versions_of
from simpul_cli.deployment.refusal import Refusal
from simpul_cli.doctor.checks.agreement import AgreementFacts
from simpul_cli.doctor.sources import Sources
from simpul_seal import Directory


def collect(sources: Sources, city: City, now: datetime) -> AgreementFacts:
    """Collects the version that decides and the newest one."""
    today = now.astimezone(city.zone).date()
    try:
        versions = versions_of(sources.city_dir, city, sources.read_directory() or Directory([]), now)
    except Refusal as refusal:
        return AgreementFacts(today, problem=str(refusal))
    if not versions:
        return AgreementFacts(today, problem="city/agreement")
    newest, deciding = versions[-1], next((v for v in reversed(versions) if v.decides), None)
    shown = read_agreement((deciding or newest).folder, city, with_positions=False)
    return AgreementFacts(
        today,
        version=deciding.folder.name if deciding else "",
        is_interim=bool(deciding and deciding.standing.state is State.INTERIM),
        unsigned_by=(deciding or newest).standing.unsigned_by,
        newest=newest.folder.name,
        is_newest_proven=newest.standing.state is not State.DRAFT,
        valid_until=shown.valid_until,
        last_holiday=max(shown.holidays, default=None),
    )
