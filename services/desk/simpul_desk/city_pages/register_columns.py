"""The columns of the register of cases, which a city orders as the ministry's form (SIMFONI PPA) asks for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from simpul_city import CityInvalid, read_yaml

FILE_NAME: Final = "register.yaml"
"""Its name in the folder of a city."""
FIELDS: Final = (
    "reference", "happened_on", "reported_on", "place", "event_kecamatan", "city", "sex", "age", "kecamatan",
    "violence", "suspect_relation", "suspect_is_child", "services", "agencies", "outcomes", "urgency", "state",
    "ended_on",
)  # fmt: skip
"""What Simpul knows of a case without its dossier; every other column stays empty for the office."""
USUAL: Final = Path(__file__).with_name(FILE_NAME)
"""The columns of a city without a file of its own."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the register."""

    name: str
    field: str = ""
    """One of FIELDS; empty for what the office fills in."""


def read_columns(city_dir: Path) -> tuple[Column, ...]:
    """Reads the columns of a city; without a file of its own they are the usual ones. Raises CityInvalid."""
    path = city_dir / FILE_NAME if (city_dir / FILE_NAME).exists() else USUAL
    described = read_yaml(path)
    entries = described.get("columns") if isinstance(described, Mapping) else None
    if not isinstance(entries, list) or not entries:
        msg = f"{path}: write `columns`, a list of names and fields"
        raise CityInvalid(msg)
    return tuple(_read_column(path, number, entry) for number, entry in enumerate(entries, 1))


def _read_column(path: Path, number: int, entry: Any) -> Column:
    name, field = (str(entry.get(key, "")) for key in ("name", "field")) if isinstance(entry, Mapping) else ("", "")
    if not name or (field and field not in FIELDS):
        msg = f"{path}: column {number} needs a `name`, and its `field` must be one of {', '.join(FIELDS)} or missing"
        raise CityInvalid(msg)
    return Column(name, field)
