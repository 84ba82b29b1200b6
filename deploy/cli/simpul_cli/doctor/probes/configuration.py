"""Reads `.env`, the names that docker-compose.yml uses, and the city's folder."""

import re
from pathlib import Path

from simpul_city import City
from simpul_cli.doctor.checks.configuration import ConfigurationFacts
from simpul_cli.doctor.sources import Sources
from simpul_notify.errors import RosterInvalid
from simpul_notify.roster import read_escalation_levels, read_roster


def collect(sources: Sources) -> ConfigurationFacts:
    """Collects what the operator has written."""
    problem, zone = "", "Asia/Jakarta"
    gaps: tuple[str, ...] = ()
    try:
        zone = _read_zone(sources.city_dir)
        city = City.read(sources.city_dir)
        gaps = _read_gaps(sources.city_dir, city)
    except Exception as error:
        # Of a zone that does not exist there is a check of its own.
        problem = "" if type(error).__name__ == "ZoneInfoNotFoundError" else f"{type(error).__name__}: {error}"
    known, required = _names_in(sources.compose_file)
    env = sources.data / ".env" if sources.data else None
    return ConfigurationFacts(
        settings=sources.settings() if known else None,
        known_settings=known,
        required_settings=required,
        is_readable_by_others=bool(env and env.exists() and env.stat().st_mode & 0o077),
        city_problem=problem,
        zone=zone,
        roster_gaps=gaps,
    )


def _read_zone(city_dir: Path) -> str:
    found = re.search(r"^zone:\s*(\S+)", (city_dir / "city.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else ""


def _read_gaps(city_dir: Path, city: City) -> tuple[str, ...]:
    path = city_dir / "roster.yaml"
    try:
        read_roster(path, city, read_escalation_levels(city_dir / "agreement"))
    except RosterInvalid as error:
        return tuple(str(error).removeprefix(f"{path}: ").split("; "))
    except (OSError, KeyError, ValueError, TypeError) as error:
        return (f"roster.yaml: {type(error).__name__}",)
    return ()


def _names_in(compose_file: Path | None) -> tuple[frozenset[str], frozenset[str]]:
    """Returns the settings that the compose file reads, and those without which it refuses every command."""
    if compose_file is None or not compose_file.exists():
        return frozenset(), frozenset()
    text = compose_file.read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{(\w+)", text)) | set(re.findall(r"^\s+(SIMPUL_\w+):\s*$", text, re.MULTILINE))
    return frozenset(used | {"COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME"}), frozenset(re.findall(r"\$\{(\w+):\?", text))
