"""`python -m tests.bench.duplicates`: finding a child who was reported before, by tokens and by clear text.

Every method sees the same stored reports and the same incoming ones. Simpul's sees tokens only. The others see all in
clear, and each gets the threshold that is best for it on another town (by F1); Simpul's is the one that is shipped.

Primero's rules are those of its MatchingService (primeroIMS/primero, app/services/matching_service.rb): a full-text
search over phonetic names and exact values; boosts of 15 for the name, 10 for sex and age, 5 for the birth date, 10
for a relative's name; one agreement suffices; 20 hits; scores divided by the best one; "possible" above 0.1, "likely"
when it is alone or more than 0.7 above the average. By its DuplicatedFieldAlertService an equal identity number is a
duplicate as well. Solr's weights are simplified to the boost times the logarithm of how rare the value is.
"""

import argparse
import math
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import jellyfish
from rapidfuzz import fuzz, process

from simpul_intake.duplicates import BlindIndex, ChildDescription, StoredTokens, describe_child, find_overlaps
from tests.bench.invented_children import Town, Written, build_town

KEY: Final = b"k" * 32
SEED, CALIBRATION_SEED = 2026, 71
PAIRS: Final = 5_000
RECALL, PRECISION = 0.95, 0.9
CANDIDATES: Final = 32
_ALL_YEARS: Final = frozenset(range(2005, 2028))


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a method found who was reported before."""

    name: str
    recall: float
    precision: float
    seconds: float

    @property
    def f1(self) -> float:
        return 2 * self.recall * self.precision / ((self.recall + self.precision) or 1)


Method = Callable[[Town], list[set[int]]]
"""Returns, for each incoming report, the positions of the stored reports it may belong to."""


def main() -> int:
    """1 when a rule is broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.duplicates", description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS, help="children who are reported twice")
    found = measure_methods(parser.parse_args().pairs)
    for line in table(found.values()):
        print(line)
    broken = failures(found)
    for rule in broken:
        print(f"BROKEN {rule}")
    return 1 if broken else 0


def measure_methods(pairs: int) -> dict[str, Quality]:
    """Measures every method on one town; the thresholds of the clear-text ones come from another."""
    town, other = build_town(pairs, SEED), build_town(max(pairs // 5, 200), CALIBRATION_SEED)
    methods: dict[str, Method] = {
        "simpul (tokens)": find_by_tokens,
        "rapidfuzz": ClearText(rapidfuzz_similarities, other),
        "jellyfish": ClearText(jellyfish_similarities, other),
        "primero, possible": Primero(likely_only=False),
        "primero, likely": Primero(likely_only=True),
    }
    return {name: _measure(name, method, town) for name, method in methods.items()}


def failures(found: Mapping[str, Quality]) -> list[str]:
    """Broken rules, in words."""
    ours = found["simpul (tokens)"]
    broken = []
    if ours.recall < RECALL:
        broken.append(f"recall is {ours.recall:.3f}, at least {RECALL} is wanted")
    if ours.precision < PRECISION:
        broken.append(f"precision is {ours.precision:.3f}, at least {PRECISION} is wanted")
    return broken + [
        f"{other.name} finds better in clear text: F1 {other.f1:.3f} against {ours.f1:.3f}"
        for other in found.values()
        if other.f1 > ours.f1
    ]


def table(found: Iterable[Quality]) -> list[str]:
    """One line a method."""
    return [f"{'':20}{'recall':>8}{'precision':>11}{'F1':>7}{'seconds':>9}"] + [
        f"{one.name:20}{one.recall:8.3f}{one.precision:11.3f}{one.f1:7.3f}{one.seconds:9.1f}" for one in found
    ]


def _measure(name: str, method: Method, town: Town) -> Quality:
    started = time.perf_counter()
    answers = method(town)
    return _judge(name, answers, town, time.perf_counter() - started)


def _judge(name: str, answers: Sequence[set[int]], town: Town, seconds: float) -> Quality:
    right = flagged = wanted = 0
    where = {written.child: at for at, written in enumerate(town.stored)}
    for written, answer in zip(town.incoming, answers, strict=True):
        true = where.get(written.child)
        wanted += true is not None
        right += true in answer
        flagged += len(answer)
    return Quality(name, right / wanted, right / (flagged or 1), seconds)


def find_by_tokens(town: Town) -> list[set[int]]:
    """Simpul's search, with a dictionary in place of the database's index."""
    index = BlindIndex(KEY)
    stored = [index.make_tokens(UUID(int=at), describe(written)) for at, written in enumerate(town.stored)]
    holders: dict[int, list[int]] = defaultdict(list)
    for at, tokens in enumerate(stored):
        for token in tokens.lookup:
            holders[token].append(at)
    answers = []
    for written in town.incoming:
        description = describe(written)
        hits = Counter(at for token in index.make_probe(description) for at in holders[token])
        candidates = [StoredTokens(UUID(int=at), stored[at].comparison) for at, _ in hits.most_common(CANDIDATES)]
        answers.append({overlap.case_id.int for overlap in find_overlaps(index, description, candidates)})
    return answers


def describe(written: Written) -> ChildDescription:
    """Reads a report as intake does."""
    return describe_child(
        written.identity, ward=written.ward, age=written.age, sex=written.sex, reported_at=written.reported_at
    )


Similarities = Callable[[str, Mapping[int, str]], dict[int, float]]
"""Compares a name with others, all in lower case; leaves out what is under LEAST_SIMILAR."""
LEAST_SIMILAR: Final = 0.7
AGREEMENT: Final = 0.1
_STEPS: Final = tuple(step / 100 for step in range(70, 150, 2))


def rapidfuzz_similarities(name: str, others: Mapping[int, str]) -> dict[int, float]:
    """The weighted ratio, which allows for missing and swapped words."""
    found = process.extract(name, others, scorer=fuzz.WRatio, score_cutoff=100 * LEAST_SIMILAR, limit=None)
    return {at: similarity / 100 for _, similarity, at in found}


def jellyfish_similarities(name: str, others: Mapping[int, str]) -> dict[int, float]:
    """Jaro and Winkler's similarity, as registers use it for names."""
    compare = jellyfish.jaro_winkler_similarity
    return {at: similarity for at, other in others.items() if (similarity := compare(name, other)) >= LEAST_SIMILAR}


class ClearText:
    """A rule as registers use it: an equal NIK, or a similar name with a fitting year of birth and no other sex.

    Each further field that agrees counts as so much similarity of the name.
    """

    def __init__(self, compare: Similarities, calibration: Town) -> None:
        self._compare = compare
        scored = self._score_town(calibration)

        def f1(threshold: float) -> float:
            return _judge("", [_above(scores, threshold) for scores in scored], calibration, 0).f1

        self._threshold = max(_STEPS, key=f1)

    def __call__(self, town: Town) -> list[set[int]]:
        return [_above(scores, self._threshold) for scores in self._score_town(town)]

    def _score_town(self, town: Town) -> list[dict[int, float]]:
        stored = [describe(written) for written in town.stored]
        names = [written.identity["child_name"].lower() for written in town.stored]
        born: dict[int, list[int]] = defaultdict(list)
        niks: dict[str, list[int]] = defaultdict(list)
        for at, child in enumerate(stored):
            for year in child.birth_years or _ALL_YEARS:
                born[year].append(at)
            niks[child.nik].append(at)
        answers = []
        for written in town.incoming:
            child, name = describe(written), written.identity["child_name"].lower()
            years = {year + off for year in child.birth_years or _ALL_YEARS for off in (-1, 0, 1)}
            near = {at for year in years for at in born.get(year, ())}
            others = {at: names[at] for at in near if {child.sex, stored[at].sex} != {"male", "female"}}
            scores = {
                at: similarity + AGREEMENT * _count_agreements(child, stored[at])
                for at, similarity in self._compare(name, others).items()
            }
            answers.append(scores | dict.fromkeys(niks[child.nik] if child.nik else (), math.inf))
        return answers


def _count_agreements(ours: ChildDescription, theirs: ChildDescription) -> int:
    return sum(
        bool(mine) and mine == yours
        for mine, yours in (
            (ours.ward, theirs.ward), (ours.phones, theirs.phones), (ours.birth_date, theirs.birth_date),
            (ours.guardian_parts, theirs.guardian_parts), (ours.house, theirs.house),
        )
    )  # fmt: skip


def _above(scores: Mapping[int, float], threshold: float) -> set[int]:
    return {at for at, score in scores.items() if score >= threshold}


class Primero:
    """Primero's rules; see the head of this file."""

    def __init__(self, *, likely_only: bool) -> None:
        self._likely_only = likely_only

    def __call__(self, town: Town) -> list[set[int]]:
        holders: dict[tuple[str, str], list[int]] = defaultdict(list)
        for at, written in enumerate(town.stored):
            for term, _ in _primero_terms(written):
                holders[term].append(at)
        return [self._matches(written, holders, len(town.stored)) for written in town.incoming]

    def _matches(self, written: Written, holders: Mapping[tuple[str, str], list[int]], count: int) -> set[int]:
        scores: dict[int, float] = defaultdict(float)
        for term, boost in _primero_terms(written):
            found = holders.get(term, ())
            for at in found:
                scores[at] += boost * math.log(1 + count / len(found))
        hits = sorted(scores.items(), key=lambda hit: -hit[1])[:20]
        same_number = set(holders.get(("nik", written.identity.get("nik", "")), ()))
        if not hits:
            return same_number
        best = hits[0][1]
        average = sum(score / best for _, score in hits) / len(hits)
        least = average + 0.7 if self._likely_only and len(hits) > 1 else 0.1
        return same_number | {at for at, score in hits if score / best > least}


def _primero_terms(written: Written) -> list[tuple[tuple[str, str], float]]:
    names = [(("name", jellyfish.metaphone(word)), 15.0) for word in _plain_names(written.identity["child_name"])]
    relatives = [
        (("relative", jellyfish.metaphone(word)), 10.0)
        for word in _plain_names(written.identity.get("guardian_name", ""))
    ]
    exact = (("sex", written.sex, 10.0), ("age", str(written.age), 10.0), ("nik", written.identity.get("nik", ""), 0.0),
             ("date", written.identity.get("birth_date", ""), 5.0))  # fmt: skip
    return names + relatives + [((field, value), boost) for field, value, boost in exact if value not in ("", "None")]


def _plain_names(name: str) -> list[str]:
    return [word for word in re.split(r"\W+", name.lower()) if word]


if __name__ == "__main__":
    sys.exit(main())
