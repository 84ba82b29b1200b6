"""Weighs what agrees and what differs between a description and a candidate's comparison tokens."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Final

from simpul_intake.duplicates.description import ChildDescription
from simpul_intake.duplicates.spelling import MAX_PARTS, SHORT, Rarity, deletions, rarity, short_forms, skeleton, spell
from simpul_intake.duplicates.tokens import Has, almost_dates, almost_niks, encode_value

_EXACT, _TYPING, _SOUND, _SHORT_FORM, _WEAK, _INITIAL = 1.0, 0.8, 0.7, 0.6, 0.4, 0.2
"""How far a word counts that agrees in this way; weak is a typing error or a sound of a word that has few letters."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What agrees and what differs; a field that either side lacks is 0 in all its entries."""

    rare_names: float = 0
    common_names: float = 0
    everyday_names: float = 0
    differing_names: float = 0
    """Words of both names that have no counterpart."""
    extra_names: float = 0
    """Words that only the longer name has."""
    same_date: float = 0
    almost_same_date: float = 0
    other_date: float = 0
    same_year: float = 0
    neighbouring_year: float = 0
    other_year: float = 0
    same_sex: float = 0
    other_sex: float = 0
    same_ward: float = 0
    other_ward: float = 0
    same_house: float = 0
    same_street: float = 0
    other_street: float = 0
    rare_guardian_names: float = 0
    common_guardian_names: float = 0
    other_guardian: float = 0
    same_phone: float = 0
    other_phone: float = 0
    same_nik: float = 0
    almost_same_nik: float = 0
    other_nik: float = 0


class Search:
    """A description, prepared once for comparing it with many candidates."""

    def __init__(self, description: ChildDescription) -> None:
        self._parts = tuple(_SearchedWord.of(word) for word in description.name_parts)
        self._joined = tuple(
            encode_value("word", spell(one + other)) for one, other in pairwise(description.name_parts)
        )
        self._guardians = tuple(
            (encode_value("guardian", word), encode_value("guardian sound", skeleton(word)), rarity(word))
            for word in description.guardian_parts
        )
        born, years = description.birth_date, description.birth_years
        self._date = (encode_value("date", born.isoformat()), *almost_dates(born)) if born else ()
        self._years = _encode_years(years)
        self._near_years = _encode_years({year + off for year in years for off in (-1, 1)})
        self._nik = (encode_value("nik", description.nik), *almost_niks(description.nik)) if description.nik else ()
        self._house = encode_value("house", description.house) if description.house else b""
        self._plain = {
            field: tuple(encode_value(field, value) for value in values if value)
            for field, values in (
                ("sex", (description.sex,)), ("ward", (description.ward,)), ("phone", description.phones),
                ("street", description.street),
            )
        }  # fmt: skip

    def compare(self, has: Has) -> Evidence:
        """Collects the evidence of one candidate."""
        found = self._compare_names(has) | self._compare_births(has) | self._compare_guardians(has)
        for field, values in self._plain.items():
            if values and has(_KNOWN[field]):
                found[f"same_{field}" if any(map(has, values)) else f"other_{field}"] = 1
        if found.get("same_street") and self._house and has(self._house):
            found["same_house"] = 1
        if found.get("differing_names") and (found.get("other_date") or found.get("other_year")):
            # Brothers and sisters have the same parents, phone and home.
            found = {entry: value for entry, value in found.items() if entry not in _SHARED_BY_SIBLINGS}
        return Evidence(**found | self._compare_niks(has))

    def _compare_names(self, has: Has) -> dict[str, float]:
        count = next((number for number, value in _WORD_COUNTS if has(value)), 0)
        if not self._parts or not count:
            return {}
        points = [word.similarity(has) for word in self._parts]
        for at, value in enumerate(self._joined):
            if points[at] < _EXACT and has(value):
                points[at] = points[at + 1] = _EXACT
        shared = dict.fromkeys(Rarity, 0.0)
        for word, point in zip(self._parts, points, strict=True):
            shared[word.rarity] += point
        matched = sum(point > 0 for point in points)
        left, right = len(points) - matched, max(count - matched, 0)
        return {
            "rare_names": shared[Rarity.RARE],
            "common_names": shared[Rarity.COMMON],
            "everyday_names": shared[Rarity.EVERYWHERE],
            "differing_names": min(left, right),
            "extra_names": abs(left - right),
        }

    def _compare_births(self, has: Has) -> dict[str, float]:
        if self._date and has(_KNOWN["date"]):
            if has(self._date[0]):
                return {"same_date": 1}
            return {"almost_same_date" if any(map(has, self._date)) else "other_date": 1}
        if not self._years or not has(_KNOWN["year"]):
            return {}
        if any(map(has, self._years)):
            return {"same_year": 1}
        return {"neighbouring_year" if any(map(has, self._near_years)) else "other_year": 1}

    def _compare_guardians(self, has: Has) -> dict[str, float]:
        if not self._guardians or not has(_KNOWN["guardian"]):
            return {}
        rare = common = 0.0
        for word, sound, rank in self._guardians:
            point = _EXACT if has(word) else _SOUND if has(sound) else 0.0
            if rank is Rarity.RARE:
                rare += point
            else:
                common += point
        if not rare and not common:
            return {"other_guardian": 1}
        return {"rare_guardian_names": rare, "common_guardian_names": common}

    def _compare_niks(self, has: Has) -> dict[str, float]:
        if not self._nik or not has(_KNOWN["nik"]):
            return {}
        if has(self._nik[0]):
            return {"same_nik": 1}
        return {"almost_same_nik" if any(map(has, self._nik)) else "other_nik": 1}


@dataclass(frozen=True, slots=True)
class _SearchedWord:
    rarity: Rarity
    exact: tuple[bytes, ...]
    typings: tuple[bytes, ...]
    typing_points: float
    sound: bytes
    sound_points: float
    short_forms: tuple[bytes, ...]
    initial: bytes
    """What a candidate has that abbreviates this word, or that this abbreviation stands for."""

    @classmethod
    def of(cls, word: str) -> "_SearchedWord":
        sound = skeleton(word)
        shorter = tuple(encode_value("short", form) for form in short_forms(word))
        return cls(
            rarity=rarity(word),
            exact=(encode_value("word", word), encode_value("joined", word)),
            typings=tuple(encode_value("typing", left) for left in deletions(word)),
            typing_points=_TYPING if len(word) > SHORT else _WEAK,
            sound=encode_value("sound", sound),
            sound_points=_SOUND if len(sound) > 2 else _WEAK if len(sound) > 1 else 0.0,
            short_forms=(encode_value("long", word), *shorter) if len(word) <= SHORT else shorter,
            initial=encode_value("initial" if len(word) == 1 else "word", word[0]),
        )

    def similarity(self, has: Has) -> float:
        if any(map(has, self.exact)):
            return _EXACT
        by_typing = self.typing_points if any(map(has, self.typings)) else 0.0
        by_sound = self.sound_points if has(self.sound) else 0.0
        if by_typing or by_sound:
            return max(by_typing, by_sound)
        if any(map(has, self.short_forms)):
            return _SHORT_FORM
        return _INITIAL if has(self.initial) else 0.0


_SHARED_BY_SIBLINGS: Final = frozenset(
    ("same_ward", "same_house", "same_street", "same_phone", "rare_guardian_names", "common_guardian_names")
)
_KNOWN: Final = {
    field: encode_value("known", field)
    for field in ("date", "year", "sex", "ward", "guardian", "phone", "nik", "street")
}
_WORD_COUNTS: Final = [(number, encode_value("words", str(number))) for number in range(1, MAX_PARTS + 1)]


def _encode_years(years: Iterable[int]) -> tuple[bytes, ...]:
    return tuple(encode_value("year", str(year)) for year in years)


WEIGHTS: Final = Evidence(
    rare_names=5.4,
    common_names=2.3,
    everyday_names=1.8,
    differing_names=-5.7,
    extra_names=-2.2,
    same_date=7.6,
    almost_same_date=2.1,
    other_date=-7.0,
    same_year=1.6,
    neighbouring_year=-2.5,
    other_year=-8.5,
    same_sex=0.2,
    other_sex=-4.5,
    same_ward=4.0,
    other_ward=-2.7,
    same_house=1.5,
    same_street=2.9,
    other_street=-2.8,
    rare_guardian_names=1.8,
    common_guardian_names=2.4,
    other_guardian=-0.4,
    same_phone=4.5,
    other_phone=-2.0,
    same_nik=7.4,
    almost_same_nik=5.0,
    other_nik=-8.2,
)
"""Bits that each entry adds, by logistic regression on invented reports (`tests/bench/invented_children.py`), where a
pair with 4 bits is as likely to be one child as not; `almost_same_nik` is too rare to fit and set by hand. They are
fitted to what was invented, not to real duplicates."""


def score(evidence: Evidence) -> float:
    """Adds up the evidence, in bits."""
    total = 0.0
    for name, weight in _WEIGHTS:
        total += weight * getattr(evidence, name)
    return total


_WEIGHTS: Final[tuple[tuple[str, float], ...]] = tuple(
    (entry.name, getattr(WEIGHTS, entry.name)) for entry in fields(Evidence)
)
