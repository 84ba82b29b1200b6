"""Finds settings of the kit that no version, or only an earlier one, reads: they would have no effect."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from simpul_agency.connectors import ConnectorSettings
from simpul_agency.settings import AgencySettings

PREFIX: Final = "SIMPUL_AGENCY_"
RENAMED: Final = {"ASK_AFTER": "GAP_TIMEOUT", "AUTOMATIC": "AUTO_ACCEPT", "PAGES_PORT": "WEB_INBOX_PORT"}
"""Settings of earlier versions."""
_OF_OTHER_PROGRAMS: Final = ("SCHEMA_DIR", "BROKER")
"""Read by the starters in other languages, and by the city's `simpul agency`."""
_ASSIGNMENT: Final = re.compile(rf"\s*(?:export\s+)?({PREFIX}\w+)\s*=", re.IGNORECASE)


def find_unknown_settings(environment: Mapping[str, str], settings_file: Path) -> dict[str, str]:
    """Finds unknown settings in the environment and the settings file; returns the closest known name of each."""
    try:
        lines = settings_file.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    in_file = [match[1] for match in map(_ASSIGNMENT.match, lines) if match]
    given = sorted({name.upper()[len(PREFIX) :] for name in (*environment, *in_file) if _has_prefix(name)})
    known = [name.upper() for name in (*AgencySettings.model_fields, *ConnectorSettings.model_fields)]
    return {
        f"{PREFIX}{name}": f"{PREFIX}{_find_closest(name, known)}"
        for name in given
        if name not in known and name not in _OF_OTHER_PROGRAMS
    }


def _has_prefix(name: str) -> bool:
    return name.upper().startswith(PREFIX)


def _find_closest(name: str, known: list[str]) -> str:
    return RENAMED.get(name) or get_close_matches(name, known, n=1, cutoff=0)[0]
