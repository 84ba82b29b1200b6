"""Invented children and what complaint centres write about them: spellings, gaps, errors, siblings, namesakes.

Every name is drawn from lists of frequent Indonesian names and put together by chance; nobody is meant.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Final

WARDS: Final = 46
TODAY: Final = datetime(2026, 11, 24, tzinfo=UTC)


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


BOYS: Final = _split("""
    Rizki Aditya Fajar Bagas Dimas Farhan Ilham Bayu Arya Galih Raka Fadil Hafiz Zaki Naufal Yusuf Ibrahim Hasan
    Umar Khoirul Syaiful Rafi Daffa Akbar Faisal Iqbal Wahyu Eko Agus Budi Joko Yoga Rendra Satria Candra Surya
    Teguh Alfian Ferdian Gilang Hendra Irfan Krisna Lutfi Maulana Nizar Oktavian Panji Rangga Septian Taufik
    Vino Wisnu Zainal Bima Cahyo Dwiki Evan Fikri Ghani Haidar Ivan Jalu Kevin Lintang Miftah Nanda Pramudya
    Reno Sultan Tegar Yudha Zidan
""")
GIRLS: Final = _split("""
    Putri Ayu Dewi Aisyah Nabila Zahra Salsabila Rahma Anisa Intan Citra Dinda Amelia Fitri Nadia Rani Laila
    Khairunnisa Syifa Aulia Nurul Maya Tiara Safitri Novita Wulan Indah Kartika Ratna Lestari Mega Natasya
    Oktavia Puspita Qonita Rosita Sinta Tika Umi Vania Wahyuni Yuliana Zaskia Alya Bunga Cantika Diah Elsa
    Febriana Gita Hana Inayah Jihan Kirana Luna Mutiara Najwa Olivia Permata Risma Sekar Tasya Utami Vira Windi
    Yasmin Zulfa Fatimah Khadijah Maharani
""")
LAST: Final = _split("""
    Pratama Saputra Kurniawan Setiawan Wijaya Santoso Hidayat Nugroho Ramadhan Prasetyo Wibowo Firmansyah
    Maulana Hakim Rahman Gunawan Susanto Purnomo Sudjatmiko Wicaksono Mahendra Syahputra Permana Utomo Hartono
    Suryadi Haryanto Zulkarnain Anggraini Rahmawati Wulandari Safitri Handayani Pertiwi Lestari Maharani Wati
    Susanti Puspitasari Oktaviani Khasanah Mukhlis Fauzi Cahyani Kusuma Yulianto Budiman Atmaja Darmawan Effendi
    Firdaus Ghozali Hermawan Iskandar Jauhari Kartono
""")
PARENTS: Final = _split("""
    Suparman Sutrisno Sumarno Slamet Wagiman Paimin Mulyono Sugeng Suyanto Sunardi Ngatno Kasiman Samsul Imam
    Yahya Juremi Bambang Supriyadi Hariyono Tukiran Sujono Sukarno Suwarno Cahyono Joko Agus Budi Eko Heri Dedi
    Mujiono Rohman Sholikin Sumiati Sulastri Siti Sri Wahyuni Endang Tutik Suharti Kasih Lilik Nurhayati Umi
    Kholifah Yuni Ida Rini Wiwik Titik Jumiati Mariyam Sudarmi Painem Suci Ratna Dwi Tri Rukmini Sumini Karsini
    Yatmi Musriah Zubaidah Choiriyah Chotimah
""")
_STREETS: Final = _split("""
    Melati Mawar Kenanga Anggrek Merpati Garuda Diponegoro Sudirman Kartini Pahlawan Veteran Pemuda Masjid Kawi Semeru
    Wilis Brantas Cendana Mangga Durian Rajawali Kutilang Teratai Dahlia Flamboyan Bougenvil Cempaka Seruni Nusa Indah
""")
_MUHAMMAD: Final = ("Muhammad", "Muhamad", "Mohammad", "Mochamad", "Moh.", "Muh.", "M.", "Mohd", "Moch.", "Mohamad")

_SPELLINGS: Final = (
    ("u", "oe"), ("c(?=[aeiou])", "tj"), ("j", "dj"), ("y(?=[aeiou])", "j"), ("sy", "sj"), ("sy", "sh"), ("sy", "s"),
    ("kh", "ch"), ("ch", "kh"), ("kh", "h"), ("z", "s"), ("z", "j"), ("f", "v"), ("f", "p"), ("v", "f"), ("i$", "y"),
    ("ai", "ae"), ("au", "ao"), ("(?<=[aeiou])h$", ""), ("(?<=[aeiou])$", "h"), ("([bdlmnrst])(?=[aeiou])", r"\1\1"),
    (r"(.)\1", r"\1"), ("o$", "a"), ("a$", "o"), ("ki$", "qi"), ("th", "t"), ("sh", "s"), ("d$", "t"), ("oi", "ai"),
    ("iya", "ia"), ("uwa", "ua"), ("gh", "g"), ("zk", "sk"), ("k", "q"),
)  # fmt: skip
_CALL_NAMES: Final = {"Rizki": "Kiki", "Putri": "Puput", "Setiawan": "Iwan", "Kurniawan": "Wawan", "Dewi": "Wiwik"}
_MONTHS: Final = _split("""
    Januari Februari Maret April Mei Juni Juli Agustus September Oktober November Desember
""")


_SYLLABLES: Final = _split("""
    a za ra na fa ka la sya qui ze al ar el ki vi ri ni li zi di vin zel ren dar han sel mir tan yas kha nay rel
    vel bri keys zha dza fay ghi nez rin dra sha lyn mai jo wen cal ter gus har pan su wi bo no tri ko pra das
""")


@dataclass(frozen=True, slots=True)
class Family:
    """Parents with one household."""

    father: str
    mother: str
    phone: str
    ward: int
    street: str
    house: int


@dataclass(frozen=True, slots=True)
class Child:
    """A child with the name of the birth certificate."""

    number: int
    parts: tuple[str, ...]
    born: date
    sex: str
    nik: str
    family: Family


@dataclass(frozen=True, slots=True)
class Written:
    """What one centre wrote about a child."""

    child: int
    identity: dict[str, str]
    age: int | None
    sex: str
    ward: str
    reported_at: datetime


@dataclass(frozen=True, slots=True)
class Town:
    """Reports that are stored, and reports that come in afterwards."""

    stored: list[Written] = field(default_factory=list)
    incoming: list[Written] = field(default_factory=list)
    """The first `pairs` of them are about a child with a stored report, the others about nobody stored."""


def build_town(pairs: int, seed: int) -> Town:
    """Makes `pairs` children who are reported twice, as many others, and a third as many who come in only once.

    Half of the others are brothers and sisters, some of the same age, of the children who are reported twice.
    """
    chance = Random(seed)
    twice = [_child(number, _family(chance), chance) for number in range(pairs)]
    relatives = [_sibling(pairs + at, child, chance) for at, child in enumerate(chance.sample(twice, 2 * pairs // 3))]
    strangers = [_child(2 * pairs + number, _family(chance), chance) for number in range(2 * pairs // 3)]
    unseen = relatives[: pairs // 6] + strangers[: pairs // 6]
    others = relatives[pairs // 6 :] + strangers[pairs // 6 :]
    stored = [write(child, _days_ago(chance, 30, 700), chance) for child in (*twice, *others)]
    incoming = [write(child, _days_ago(chance, 0, 30), chance) for child in (*twice, *unseen)]
    return Town(stored, incoming)


def write(child: Child, at: datetime, chance: Random) -> Written:
    """Writes a report about a child as a hurried person does."""
    identity = {"child_name": write_name(child, chance)}
    age: int | None = at.year - child.born.year - ((at.month, at.day) < (child.born.month, child.born.day))
    if chance.random() < 0.55:
        identity["birth_date"] = _write_date(child.born, chance)
    elif chance.random() < 0.07:
        age = None
    elif chance.random() < 0.1:
        age = max(0, min(17, (age or 0) + chance.choice((-1, 1))))
    if chance.random() < 0.3:
        identity["nik"] = child.nik if chance.random() > 0.04 else _one_digit_off(child.nik, chance)
    if chance.random() < 0.75:
        guardian = child.family.father if chance.random() < 0.6 else child.family.mother
        identity["guardian_name"] = " ".join(respell(word, chance, 0.2) for word in guardian.split())
    if chance.random() < 0.6:
        number = child.family.phone if chance.random() > 0.15 else _phone(chance)
        identity["guardian_phone"] = number if chance.random() < 0.6 else f"+62 {number[1:4]}-{number[4:]}"
    if chance.random() < 0.6:
        identity["address"] = _write_address(child.family, chance)
    ward = child.family.ward if chance.random() > 0.08 else chance.randrange(WARDS)
    sex = child.sex if chance.random() > 0.01 else {"male": "female", "female": "male"}[child.sex]
    return Written(
        child.number,
        identity,
        age,
        sex if chance.random() > 0.03 else "unknown",
        f"ward-{ward}" if chance.random() > 0.05 else "",
        at,
    )


def write_name(child: Child, chance: Random) -> str:
    """Writes a name as it sounds, shortened or misspelled."""
    parts = list(child.parts)
    if chance.random() < 0.03:
        return _call_name(parts, chance)
    if len(parts) > 2 and chance.random() < 0.3:
        del parts[chance.choice((1, 2, -1))]
    elif len(parts) == 2 and chance.random() < 0.12:
        del parts[chance.choice((0, 1, 1))]
    if len(parts) > 1 and chance.random() < 0.04:
        parts.reverse()
    parts = [respell(word, chance, 0.25) for word in parts]
    if chance.random() < 0.08:
        at = max(range(len(parts)), key=lambda place: len(parts[place]))
        parts[at] = mistype(parts[at], chance)
    if len(parts) > 1 and chance.random() < 0.05:
        parts[-1] = f"{parts[-1][0].upper()}."
    if len(parts) > 1 and chance.random() < 0.03:
        parts[:2] = [parts[0] + parts[1].lower()]
    name = " ".join(parts)
    if chance.random() < 0.04:
        name += f" {'bin' if child.sex == 'male' else 'binti'} {child.family.father}"
    if chance.random() < 0.05:
        name = f"{chance.choice(('An.', 'Adik', 'Sdr.', 'Ananda'))} {name}"
    return chance.choice((str, str, str, str.upper, str.lower))(name)


def respell(word: str, chance: Random, rate: float) -> str:
    """Spells a word in another way that sounds the same, as often as `rate`."""
    if word == "Muhammad":
        return chance.choice(_MUHAMMAD)
    if chance.random() >= rate:
        return word
    lower = word.lower()
    usable = [rule for rule in _SPELLINGS if re.search(rule[0], lower)]
    for pattern, replacement in chance.sample(usable, min(len(usable), chance.choice((1, 1, 2)))):
        lower = re.sub(pattern, replacement, lower, count=1)
    return lower.capitalize()


def mistype(word: str, chance: Random) -> str:
    """Makes one typing error: a letter wrong, missing, doubled or in the wrong place."""
    at = chance.randrange(1, max(len(word) - 1, 2))
    changes: Sequence[Callable[[], str]] = (
        lambda: word[:at] + chance.choice("aeiounmrstkdl") + word[at + 1 :],
        lambda: word[:at] + word[at + 1 :],
        lambda: word[:at] + word[at : at + 1] + word[at:],
        lambda: word[:at] + word[at : at + 2][::-1] + word[at + 2 :],
    )
    return chance.choice(changes)()


def _call_name(parts: Sequence[str], chance: Random) -> str:
    word = chance.choice(parts)
    if word in _CALL_NAMES and chance.random() < 0.5:
        return _CALL_NAMES[word]
    size = chance.choice((3, 4))
    return (word[:size] if chance.random() < 0.4 else word[-size:]).capitalize()


def _child(number: int, family: Family, chance: Random, born: date | None = None, last: str = "") -> Child:
    sex = chance.choice(("male", "female"))
    given = BOYS if sex == "male" else GIRLS
    parts = [_name_word(given, chance)]
    if chance.random() < 0.5:
        parts.append(_name_word(given, chance))
    if chance.random() < 0.85:
        parts.append(last or _name_word(LAST, chance))
    if sex == "male" and chance.random() < 0.3:
        parts.insert(0, "Muhammad" if chance.random() < 0.75 else "Ahmad")
    elif sex == "female" and chance.random() < 0.1:
        parts.insert(0, "Siti")
    day = born or (TODAY - timedelta(days=chance.randrange(800, 17 * 365))).date()
    nik_day = day.day + 40 * (sex == "female")
    nik = f"9935{chance.randrange(100):02}{nik_day:02}{day.month:02}{day.year % 100:02}{chance.randrange(10_000):04}"
    return Child(number, tuple(dict.fromkeys(parts)), day, sex, nik, family)


def _name_word(names: Sequence[str], chance: Random) -> str:
    """Draws a frequent name, or makes one of the many that parents invent."""
    if chance.random() < 0.55:
        return _frequent(names, chance)
    return "".join(chance.choice(_SYLLABLES) for _ in range(chance.choice((2, 3, 3)))).capitalize()


def _sibling(number: int, of: Child, chance: Random) -> Child:
    apart = 0 if chance.random() < 0.03 else chance.choice((-1, 1)) * chance.randrange(330, 2500)
    born = min(
        max(of.born + timedelta(days=apart), TODAY.date() - timedelta(days=17 * 365)), TODAY.date() - timedelta(800)
    )
    shared = of.parts[-1] if chance.random() < 0.3 and len(of.parts) > 1 else ""
    return _child(number, of.family, chance, born, shared)


def _family(chance: Random) -> Family:
    father, mother = (" ".join(_name_word(PARENTS, chance) for _ in range(chance.choice((1, 2, 2)))) for _ in range(2))
    street = _name_word(PARENTS, chance) if chance.random() < 0.5 else chance.choice(_STREETS)
    return Family(father, mother, _phone(chance), chance.randrange(WARDS), street, chance.randrange(1, 120))


def _write_address(family: Family, chance: Random) -> str:
    """Writes where a family lives, or lived until it moved."""
    street = respell(family.street, chance, 0.15)
    house = family.house if chance.random() > 0.06 else chance.randrange(1, 120)
    if chance.random() < 0.05:
        street = chance.choice(_STREETS)
    return chance.choice(
        (
            f"Jl. {street} No. {house}",
            f"Jalan {street} {house}",
            f"{street} {house} RT 02 RW 05",
            f"Jl {street}",
            f"jln. {street} no {house}, RT 3/RW 1",
            f"Gang {street} {house}",
        )
    )


def _frequent(names: Sequence[str], chance: Random) -> str:
    """Draws a name; those at the beginning of the list are many times as frequent as those at its end."""
    if chance.random() < 0.5:
        return chance.choice(names)
    return names[min(int(chance.paretovariate(0.75)) - 1 + chance.randrange(3), len(names) - 1)]


def _phone(chance: Random) -> str:
    return f"0800{chance.randrange(10**8):08}"


def _days_ago(chance: Random, least: int, longest: int) -> datetime:
    return TODAY - timedelta(days=chance.randrange(least, longest + 1))


def _write_date(born: date, chance: Random) -> str:
    if chance.random() < 0.04:
        born = chance.choice(
            (
                lambda: born.replace(day=min(born.month, 28), month=min(born.day, 12)),
                lambda: born.replace(day=max(1, min(28, born.day + chance.choice((-1, 1))))),
                lambda: born.replace(year=born.year + chance.choice((-1, 1)), day=min(born.day, 28)),
            )
        )()
    return chance.choice(
        (
            born.isoformat(),
            f"{born.day}-{born.month}-{born.year}",
            f"{born:%d/%m/%Y}",
            f"{born.day} {_MONTHS[born.month - 1]} {born.year}",
            f"{born:%d.%m.%y}",
        )
    )


def _one_digit_off(nik: str, chance: Random) -> str:
    at = chance.randrange(len(nik))
    return nik[:at] + str((int(nik[at]) + chance.randrange(1, 10)) % 10) + nik[at + 1 :]
