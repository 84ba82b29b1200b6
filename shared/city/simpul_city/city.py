"""Reads the city from its folder: kelurahan, kecamatan, agencies."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from ruamel.yaml import YAML

from simpul_schema.vocabulary import Service, Urgency


class CityInvalid(Exception):
    """The city's folder contradicts itself; the message says where and what would be right."""


def read_yaml(path: Path) -> Any:
    """YAML 1.2, where `22:00` is a text and `no` is a word."""
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Kelurahan:
    """A ward with its official code."""

    code: str
    name: str
    kecamatan: str

    @property
    def slug(self) -> str:
        """The name as it stands in an agency's code."""
        return self.name.lower().replace(" ", "-")

    @property
    def satgas(self) -> str:
        """The code of its task force."""
        return f"satgas-kel-{self.slug}"

    @property
    def satgas_kecamatan(self) -> str:
        """The code of the task force of its kecamatan."""
        return f"satgas-kec-{self.kecamatan.lower()}"


@dataclass(frozen=True, slots=True)
class Agency:
    """A party that takes referrals."""

    code: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class OwnQueue:
    """A queue beside its inbox in which an agency gets a part of what is addressed to it."""

    agency: str
    name: str
    services: tuple[str, ...] = ()
    """All when empty."""
    urgencies: tuple[str, ...] = ()
    """All when empty."""


@dataclass(frozen=True, slots=True)
class EmergencyNumber:
    """Where a person gets help at once, shown on every page that could not do what it was asked."""

    number: str
    """As people write it."""
    name: Mapping[str, str]
    """What answers there, by language."""
    is_call: bool = True
    """Whether it is called; otherwise it is written to, as a WhatsApp number is."""

    @property
    def digits(self) -> str:
        """The number as a phone dials it."""
        return re.sub(r"[^0-9+]", "", self.number)


NATIONAL_EMERGENCY_NUMBERS: Final = (
    EmergencyNumber("129", {"id": "SAPA, layanan perempuan dan anak", "en": "SAPA, help for women and children"}),
    EmergencyNumber("08111-129-129", {"id": "SAPA lewat WhatsApp", "en": "SAPA by WhatsApp"}, is_call=False),
    EmergencyNumber("110", {"id": "Polisi", "en": "Police"}),
    EmergencyNumber("119", {"id": "Ambulans", "en": "Ambulance"}),
)
"""Indonesia's; a city replaces them in emergency_numbers.yaml."""


@dataclass(frozen=True)
class City:
    """One city as data."""

    code: str
    name: str
    zone: ZoneInfo
    kelurahan: tuple[Kelurahan, ...]
    agencies: tuple[Agency, ...]
    queues: tuple[OwnQueue, ...] = ()
    emergency_numbers: tuple[EmergencyNumber, ...] = NATIONAL_EMERGENCY_NUMBERS

    @classmethod
    def read(cls, folder: Path) -> "City":
        """Loads the city's files; CityInvalid when one of them is wrong or two contradict each other."""
        described = read_yaml(folder / "city.yaml")
        with (folder / "kelurahan.csv").open(encoding="utf-8", newline="") as file:
            wards = tuple(Kelurahan(row["code"], row["kelurahan"], row["kecamatan"]) for row in csv.DictReader(file))
        if len({ward.slug for ward in wards}) != len(wards):
            msg = f"{folder}/kelurahan.csv: two kelurahan share a name"
            raise CityInvalid(msg)
        agencies = [Agency(entry["code"], entry["name"], entry["kind"]) for entry in described["agencies"]]
        rungs = {ward.satgas_kecamatan: ward.kecamatan for ward in wards}
        agencies += [Agency(code, f"Satgas PPA Kecamatan {name}", "satgas_kecamatan") for code, name in rungs.items()]
        agencies += [Agency(w.satgas, f"Satgas PPA Kelurahan {w.name}", "satgas_kelurahan") for w in wards]
        queues = tuple(_own_queues(folder, described["agencies"]))
        return cls(
            described["code"], described["name"], ZoneInfo(described["zone"]), wards, tuple(agencies), queues,
            _emergency_numbers(folder / "emergency_numbers.yaml"),
        )  # fmt: skip

    @cached_property
    def agency_codes(self) -> frozenset[str]:
        """Every agency's code."""
        return frozenset(agency.code for agency in self.agencies)

    def queues_of(self, agency: str) -> tuple[OwnQueue, ...]:
        """The queues that an agency has beside its inbox."""
        return tuple(queue for queue in self.queues if queue.agency == agency)

    @cached_property
    def kinds(self) -> dict[str, str]:
        """The kind of each agency, by its code."""
        return {agency.code: agency.kind for agency in self.agencies}

    @cached_property
    def kecamatan_of(self) -> dict[str, str]:
        """The task force of the kecamatan above each task force of a kelurahan."""
        return {ward.satgas: ward.satgas_kecamatan for ward in self.kelurahan}

    @cached_property
    def _wards(self) -> dict[str, Kelurahan]:
        by_name = {ward.name.casefold(): ward for ward in self.kelurahan}
        return by_name | {ward.code: ward for ward in self.kelurahan} | {ward.slug: ward for ward in self.kelurahan}

    def find_kelurahan(self, words: str) -> Kelurahan | None:
        """The kelurahan of a name, slug or code; None when it is not one of this city's."""
        return self._wards.get(" ".join(words.split()).casefold())


def _emergency_numbers(path: Path) -> tuple[EmergencyNumber, ...]:
    if not path.exists():
        return NATIONAL_EMERGENCY_NUMBERS
    numbers = tuple(_emergency_number(path, entry) for entry in read_yaml(path) or ())
    if not numbers:
        msg = f"{path} is empty; without the file the national numbers are shown"
        raise CityInvalid(msg)
    return numbers


def _emergency_number(path: Path, entry: Mapping[str, Any]) -> EmergencyNumber:
    number, kind, names = str(entry.get("number", "")), entry.get("kind", "call"), entry.get("name", {})
    if not re.fullmatch(r"\+?[0-9][0-9 -]+", number):
        msg = f"{path}: {number or 'an entry'} is not a phone number"
        raise CityInvalid(msg)
    if kind not in ("call", "whatsapp"):
        msg = f"{path}: {number} has kind {kind}; call or whatsapp"
        raise CityInvalid(msg)
    if not all(names.get(language) for language in ("id", "en")):
        msg = f"{path}: {number} needs a name in id and en"
        raise CityInvalid(msg)
    return EmergencyNumber(number, names, is_call=kind == "call")


def _own_queues(folder: Path, entries: Iterable[Mapping[str, Any]]) -> Iterator[OwnQueue]:
    for entry in entries:
        for queue in entry.get("queues", ()):
            services, urgencies = tuple(queue.get("services", ())), tuple(queue.get("urgencies", ()))
            unknown = {*services} - {*map(str, Service)} | {*urgencies} - {*map(str, Urgency)}
            if unknown or not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", queue["name"]):
                wrong = ", ".join(sorted(unknown)) or queue["name"]
                msg = f"{folder}/city.yaml: {entry['code']} has a queue with {wrong}; see services and urgencies"
                raise CityInvalid(msg)
            yield OwnQueue(entry["code"], queue["name"], services, urgencies)
