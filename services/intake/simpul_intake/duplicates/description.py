"""What of a report describes the child, in forms that can be compared."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from simpul_intake.duplicates.spelling import MAX_LETTERS, spell, split_name

_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        ("jan january januari", "feb february februari pebruari peb", "mar march maret mrt", "apr april", "may mei",
         "jun june juni", "jul july juli", "aug august agustus agu agt ags", "sep september sept",
         "oct october oktober okt", "nov november nopember nop", "dec december desember des"),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_NIK_DIGITS: Final = 16
_NIK_FEMALE: Final = 40
"""A girl's NIK carries the day of birth plus 40."""
_NOT_STREET: Final = frozenset(
    ("jalan", "jl", "jln", "gang", "gg", "nomor", "no", "nr", "blok", "rumah", "perumahan", "perum")
)
_AFTER_STREET: Final = frozenset(("rt", "rw", "kel", "kelurahan", "kec", "kecamatan", "desa", "dusun"))
_PHONE_DIGITS: Final = range(9, 15)
_ADULT_AT: Final = 18


@dataclass(frozen=True, slots=True)
class ChildDescription:
    """What is compared; empty fields are unknown."""

    name_parts: tuple[str, ...] = field(default=(), repr=False)
    """Spelled words of the child's name."""
    guardian_parts: tuple[str, ...] = field(default=(), repr=False)
    """Spelled words of the guardian's name, and of a parent that the child's name names."""
    birth_date: date | None = field(default=None, repr=False)
    birth_years: frozenset[int] = field(default=frozenset(), repr=False)
    """The year of the birth date, or the two years that an age leaves open."""
    sex: str = ""
    ward: str = ""
    """Code of the kelurahan."""
    nik: str = field(default="", repr=False)
    phones: tuple[str, ...] = field(default=(), repr=False)
    street: tuple[str, ...] = field(default=(), repr=False)
    """Spelled words of the street's name."""
    house: str = field(default="", repr=False)
    """Street and number."""
    closed_to: tuple[str, ...] = ()
    """Agencies that must learn nothing of the case."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known by which a child could be found."""
        return not (self.name_parts or self.nik or self.phones or self.guardian_parts)


def describe_child(
    identity: Mapping[str, str],
    *,
    ward: str,
    age: int | None,
    sex: str,
    reported_at: datetime,
    closed_to: Iterable[str] = (),
) -> ChildDescription:
    """Reads a report's identity; whatever cannot be read counts as unknown.

    `sex` is `female`, `male` or anything else for unknown; agencies that the case is `closed_to` never learn of it.
    """
    name = split_name(identity.get("child_name", ""))
    guardian = split_name(identity.get("guardian_name", ""))
    nik = _read_nik(identity.get("nik", ""))
    born = read_date(identity.get("birth_date", ""), reported_at.date()) or _birth_date_of_nik(nik, reported_at.date())
    street, house = _read_address(identity.get("address", ""))
    known_sex = sex if sex in ("female", "male") else _sex_of_nik(nik)
    return ChildDescription(
        name_parts=name.own,
        guardian_parts=tuple(dict.fromkeys((*guardian.own, *name.parent)))[:4],
        birth_date=born,
        birth_years=_birth_years(identity.get("birth_date", ""), born, age, reported_at),
        sex=known_sex,
        ward=ward,
        nik=nik,
        phones=_read_phones(identity.get("guardian_phone", ""), identity.get("safe_contact", "")),
        street=street,
        house=house,
        closed_to=tuple(closed_to),
    )


def read_date(text: str, today: date) -> date | None:
    """Reads a date of birth as people in Indonesia write it; None when it is incomplete or of no child."""
    parts = re.findall(r"\d+|[^\W\d_]+", text.casefold())
    numbers = [_MONTHS.get(part, int(part) if part.isdecimal() and len(part) <= 4 else -1) for part in parts]
    if len(numbers) != 3 or min(numbers) < 0:
        return None
    year, month, day = numbers if len(parts[0]) == 4 else (numbers[2], numbers[1], numbers[0])
    return _possible_date(_full_year(year, today), month, day, today)


def _birth_years(text: str, born: date | None, age: int | None, reported_at: datetime) -> frozenset[int]:
    if born:
        return frozenset({born.year})
    written = re.search(r"(?:19|20)\d\d", text)
    if written and 0 <= reported_at.year - int(written[0]) <= _ADULT_AT:
        return frozenset({int(written[0])})
    if age is None:
        return frozenset()
    return frozenset({reported_at.year - age - 1, reported_at.year - age})


def _full_year(year: int, today: date) -> int:
    if year > 99:
        return year
    century = today.year - today.year % 100
    return century + year if century + year <= today.year else century - 100 + year


def _possible_date(year: int, month: int, day: int, today: date) -> date | None:
    try:
        born = date(year, month, day)
    except ValueError:
        return None
    return born if born <= today and today.year - born.year <= _ADULT_AT else None


def _read_nik(text: str) -> str:
    digits = re.sub(r"\D", "", text)
    return digits if len(digits) == _NIK_DIGITS and len(set(digits)) > 1 else ""


def _birth_date_of_nik(nik: str, today: date) -> date | None:
    if not nik:
        return None
    day, month, year = int(nik[6:8]), int(nik[8:10]), int(nik[10:12])
    return _possible_date(_full_year(year, today), month, day - _NIK_FEMALE if day > _NIK_FEMALE else day, today)


def _sex_of_nik(nik: str) -> str:
    day = int(nik[6:8]) if nik else 0
    if 1 <= day <= 31:
        return "male"
    return "female" if 1 <= day - _NIK_FEMALE <= 31 else ""


def _read_address(text: str) -> tuple[tuple[str, ...], str]:
    """Reads the words of the street and, with them, the number of the house."""
    parts: list[str] = []
    number = ""
    for part in re.findall(r"[^\W\d_]+|\d+", text.casefold()):
        if part in _AFTER_STREET or number:
            break
        if part.isdecimal():
            number = part if parts else ""
        elif part not in _NOT_STREET and len(part) > 1:
            parts.append(spell(part[:MAX_LETTERS]))
    street = tuple(dict.fromkeys(parts))[:3]
    return street, f"{'|'.join(street)}|{int(number)}" if number and len(number) < 6 else ""


def _read_phones(*texts: str) -> tuple[str, ...]:
    found = []
    for text in texts:
        for written in re.findall(r"\+?\d[\d\s().-]{7,}\d", text):
            digits = re.sub(r"\D", "", written)
            digits = re.sub(r"^(?:00)?62", "0", digits)
            if len(digits) in _PHONE_DIGITS:
                found.append(digits)
    return tuple(dict.fromkeys(found))[:2]
