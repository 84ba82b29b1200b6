"""Reads the key files and the directory."""

from datetime import datetime
from pathlib import Path

from simpul_cli.doctor.checks.keys import KeyFacts, KeyFile
from simpul_cli.doctor.sources import Sources
from simpul_cli.keys import key_file
from simpul_schema.catalog import SERVICES
from simpul_seal import Directory, KeyRing


def collect(sources: Sources, now: datetime) -> KeyFacts:
    """Collects the keys of the city's folder."""
    directory, problem, files = None, "", {}
    if sources.data:
        try:
            directory = Directory.read(sources.data / "directory" / "directory.json")
        except (OSError, ValueError, KeyError) as error:
            problem = type(error).__name__
        files = {service: _read(key_file(sources.data / "secrets", service)) for service in SERVICES}
    city = sources.read_city()
    return KeyFacts(now, directory, problem, files, SERVICES, city.agency_codes if city else frozenset())


def _read(path: Path) -> KeyFile:
    try:
        return KeyFile(KeyRing.read(path), mode=path.stat().st_mode & 0o777)
    except (OSError, ValueError, KeyError) as error:
        return KeyFile(problem=type(error).__name__)
