"""Reads a city's folder: kelurahan, kecamatan, agencies, filtered queues and emergency numbers."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from ruamel.yaml import YAML

from simpul_schema.vocabulary import OUTSIDE_CITY, Service, Urgency

_NUMBER: Final = r"\+?[0-9][0-9 -]+"


class CityInvalid(Exception):
    """A file of the city's folder is wrong; the message names the file, the entry and what is allowed."""


def read_yaml(path: Path) -> Any:
    """Parses YAML 1.2, in which `22:00` and `no` are strings."""
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Kelurahan:
    """A ward with its official code."""

    code: str
    name: str
    kecamatan: str

    @property
    def slug(self) -> str:
        """The name as it appears in agency codes."""
        return self.name.lower().replace(" ", "-")

    @property
    def satgas(self) -> str:
        """The code of the ward's task force."""
        return f"satgas-kel-{self.slug}"

    @property
    def satgas_kecamatan(self) -> str:
        """The code of the task force of its kecamatan."""
        return f"satgas-kec-{self.kecamatan.lower()}"


@dataclass(frozen=True, slots=True)
class Agency:
    """An organisation that receives referrals."""

    code: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class FilteredQueue:
    """An additional queue that receives the agency's events for some services and urgencies only."""

    agency: str
    name: str
    services: tuple[str, ...] = ()
    """Services it takes; empty means all."""
    urgencies: tuple[str, ...] = ()
    """Urgencies it takes; empty means all."""


@dataclass(frozen=True, slots=True)
class EmergencyNumber:
    """A number for immediate help, shown on the public form and on every failure page."""

    number: str
    """The number as people write it."""
    name: Mapping[str, str]
    """Who answers, by language."""
    is_call: bool = True
    """False for a number that takes written messages, such as WhatsApp."""

    @property
    def digits(self) -> str:
        """The number as a phone dials it."""
        return re.sub(r"[^0-9+]", "", self.number)


@cache
def national_emergency_numbers() -> tuple[EmergencyNumber, ...]:
    """Reads the numbers of Indonesia; a city overrides them in emergency_numbers.yaml."""
    return _read_emergency_numbers(Path(__file__).with_name("national_emergency_numbers.yaml"))


@dataclass(frozen=True)
class City:
    """One city as data."""

    code: str
    name: str
    zone: ZoneInfo
    kelurahan: tuple[Kelurahan, ...]
    agencies: tuple[Agency, ...]
    filtered_queues: tuple[FilteredQueue, ...] = ()
    emergency_numbers: tuple[EmergencyNumber, ...] = field(default_factory=national_emergency_numbers)
    agency_numbers: Mapping[str, str] = field(default_factory=dict)
    """Agency code -> the telephone number on which other agencies reach it."""

    @classmethod
    def read(cls, folder: Path) -> "City":
        """Reads the city's folder; raises CityInvalid when a file is wrong."""
        described = read_yaml(folder / "city.yaml")
        with (folder / "kelurahan.csv").open(encoding="utf-8", newline="") as file:
            wards = tuple(Kelurahan(row["code"], row["kelurahan"], row["kecamatan"]) for row in csv.DictReader(file))
        if len({ward.slug for ward in wards}) != len(wards):
            msg = f"{folder}/kelurahan.csv: two kelurahan share a name"
            raise CityInvalid(msg)
        agencies = [Agency(entry["code"], entry["name"], entry["kind"]) for entry in described["agencies"]]
        districts = {ward.satgas_kecamatan: ward.kecamatan for ward in wards}
        agencies += [
            Agency(code, f"Satgas PPA Kecamatan {name}", "satgas_kecamatan") for code, name in districts.items()
        ]
        agencies += [Agency(w.satgas, f"Satgas PPA Kelurahan {w.name}", "satgas_kelurahan") for w in wards]
        queues = tuple(_read_filtered_queues(folder, described["agencies"]))
        return cls(
            described["code"],
            described["name"],
            ZoneInfo(described["zone"]),
            wards,
            tuple(agencies),
            queues,
            _read_emergency_numbers(folder / "emergency_numbers.yaml"),
            _read_agency_numbers(folder / "agency_numbers.yaml", frozenset(agency.code for agency in agencies)),
        )

    @cached_property
    def agency_codes(self) -> frozenset[str]:
        """The codes of all agencies."""
        return frozenset(agency.code for agency in self.agencies)

    def filtered_queues_of(self, agency: str) -> tuple[FilteredQueue, ...]:
        """The filtered queues of one agency."""
        return tuple(queue for queue in self.filtered_queues if queue.agency == agency)

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Agency code -> kind."""
        return {agency.code: agency.kind for agency in self.agencies}

    @cached_property
    def kecamatan_of(self) -> dict[str, str]:
        """Task force of a kelurahan -> task force of its kecamatan."""
        return {ward.satgas: ward.satgas_kecamatan for ward in self.kelurahan}

    @cached_property
    def _wards(self) -> dict[str, Kelurahan]:
        by_name = {ward.name.casefold(): ward for ward in self.kelurahan}
        return by_name | {ward.code: ward for ward in self.kelurahan} | {ward.slug: ward for ward in self.kelurahan}

    def find_kelurahan(self, name_or_code: str) -> Kelurahan | None:
        """The kelurahan with this name, slug or code; None when the city has no such kelurahan."""
        return self._wards.get(" ".join(name_or_code.split()).casefold())

    def locate_kelurahan(self, written: str) -> str:
        """The code of the kelurahan with this name, slug or code; `outside` stays, and anything else becomes empty."""
        if written.strip().casefold() == OUTSIDE_CITY:
            return OUTSIDE_CITY
        ward = self.find_kelurahan(written)
        return ward.code if ward else ""


def _read_emergency_numbers(path: Path) -> tuple[EmergencyNumber, ...]:
    if not path.exists():
        return national_emergency_numbers()
    numbers = tuple(_parse_emergency_number(path, entry) for entry in read_yaml(path) or ())
    if not numbers:
        msg = f"{path} is empty; list at least one number, or delete the file to show the national numbers"
        raise CityInvalid(msg)
    return numbers


def _read_agency_numbers(path: Path, codes: frozenset[str]) -> dict[str, str]:
    numbers = {str(code): str(number) for code, number in (read_yaml(path) or {}).items()} if path.exists() else {}
    for code, number in numbers.items():
        if code not in codes:
            msg = f"{path}: the city has no agency {code}"
            raise CityInvalid(msg)
        if not re.fullmatch(_NUMBER, number):
            msg = f"{path}: {number or 'an entry'} of {code} is not a phone number"
            raise CityInvalid(msg)
    return numbers


def _parse_emergency_number(path: Path, entry: Mapping[str, Any]) -> EmergencyNumber:
    number, kind, names = str(entry.get("number", "")), entry.get("kind", "call"), entry.get("name", {})
    if not re.fullmatch(_NUMBER, number):
        msg = f"{path}: {number or 'an entry'} is not a phone number"
        raise CityInvalid(msg)
    if kind not in ("call", "whatsapp"):
        msg = f"{path}: {number} has kind {kind}; use call or whatsapp"
        raise CityInvalid(msg)
    if not all(names.get(language) for language in ("id", "en")):
        msg = f"{path}: {number} needs a name in id and en"
        raise CityInvalid(msg)
    return EmergencyNumber(number, names, is_call=kind == "call")


def _read_filtered_queues(folder: Path, entries: Iterable[Mapping[str, Any]]) -> Iterator[FilteredQueue]:
    for entry in entries:
        for queue in entry.get("queues", ()):
            services, urgencies = tuple(queue.get("services", ())), tuple(queue.get("urgencies", ()))
            unknown = {*services} - {*map(str, Service)} | {*urgencies} - {*map(str, Urgency)}
            if unknown or not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", queue["name"]):
                wrong = ", ".join(sorted(unknown)) or queue["name"]
                msg = (
                    f"{folder}/city.yaml: {entry['code']} has a filtered queue with {wrong}; name it with lower-case "
                    "letters, digits and hyphens, and use services and urgencies of the vocabulary"
                )
                raise CityInvalid(msg)
            yield FilteredQueue(entry["code"], queue["name"], services, urgencies)
