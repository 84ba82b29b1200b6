"""Blind indexes: keyed tokens by which two descriptions are compared without their values.

A case has two sets of tokens, both made with a key that only intake holds: the first with HMAC-SHA256, the second with
keyed BLAKE2b (RFC 7693), which is three times as fast, because a search computes some dozens for each candidate.

*Lookup tokens* find candidates. Equal values of different cases give equal tokens, so each token joins several values
(two words of a name, a word and a year of birth): the frequency of a single value does not show.

*Comparison tokens* are made under a key of their own for each case, so that equal values of different cases look
unrelated. They are compared by computing the tokens of the searched description under the key of the candidate.

Both sets are sorted, so the order does not show to which field a token belongs, and filled up with random tokens
to one size, so the number does not show how much is known.
"""

import hmac
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from hashlib import blake2b
from itertools import combinations, pairwise, product
from typing import Final
from uuid import UUID

from simpul_intake.duplicates.description import ChildDescription
from simpul_intake.duplicates.spelling import SHORT, Rarity, deletions, rarity, short_forms, skeleton, spell

RULES: Final = 1
"""Raise it when spelling rules or tokens change; stored indexes of other rules are made again."""
LOOKUP_TOKENS: Final = 80
COMPARISON_TOKENS: Final = 192
_TOKEN_BYTES: Final = 4
_SHORT_SOUND: Final = 3
"""Consonants up to which too many names sound alike."""
_CALL_NAME_LETTERS: Final = range(3, 5)


@dataclass(frozen=True, slots=True)
class CaseTokens:
    """The tokens stored for a case."""

    lookup: tuple[int, ...]
    """Signed 32-bit numbers, as PostgreSQL's integer."""
    comparison: bytes
    """The comparison tokens, four bytes each."""


Has = Callable[[bytes], bool]
"""Returns whether a candidate has this value; see `encode_value`."""


def encode_value(field: str, text: str) -> bytes:
    """The bytes of one value of one field, of which a token is made."""
    return f"{field}|{text}".encode()


class BlindIndex:
    """Makes and compares tokens under one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._lookup_keys: dict[str, bytes] = {}

    @cached_property
    def version(self) -> str:
        """Names the rules and the key; stored tokens of another version cannot be compared."""
        return f"{RULES}.{hmac.digest(self._key, b'version', 'sha256')[:4].hex()}"

    def make_tokens(self, case_id: UUID, description: ChildDescription) -> CaseTokens:
        """Makes the tokens to store for a case."""
        lookup = self._lookup_tokens(description, description.birth_years)
        key = self._case_key(case_id)
        comparison = [_comparison_token(key, value) for value in comparison_values(description)]
        return CaseTokens(
            tuple(_signed(token) for token in _fill(lookup, LOOKUP_TOKENS)),
            b"".join(_fill(comparison, COMPARISON_TOKENS)),
        )

    def make_probe(self, description: ChildDescription) -> tuple[int, ...]:
        """Makes the lookup tokens of which a candidate for this description has at least one."""
        # An age is often a year off.
        years = {year + off for year in description.birth_years for off in (-1, 0, 1)}
        return tuple(_signed(token) for token in dict.fromkeys(self._lookup_tokens(description, years)))

    def open_candidate(self, case_id: UUID, comparison: bytes) -> Has:
        """Returns a function that returns whether a case has a value."""
        key = self._case_key(case_id)
        # Searching the bytes may also hit the end of one token and the start of the next: once in five million times.
        return lambda value: _comparison_token(key, value) in comparison

    def _case_key(self, case_id: UUID) -> bytes:
        return hmac.digest(self._key, b"compare|" + case_id.bytes, "sha256")

    def _lookup_tokens(self, description: ChildDescription, years: Collection[int]) -> list[bytes]:
        tokens = []
        for field, text in _lookups(description, sorted(years)):
            key = self._lookup_keys.get(field)
            if key is None:
                key = hmac.digest(self._key, f"lookup|{field}".encode(), "sha256")
                self._lookup_keys[field] = key
            tokens.append(hmac.digest(key, text.encode(), "sha256")[:_TOKEN_BYTES])
        return tokens


def _comparison_token(key: bytes, value: bytes) -> bytes:
    return blake2b(value, key=key, digest_size=_TOKEN_BYTES).digest()


def _lookups(description: ChildDescription, years: Sequence[int]) -> Iterator[tuple[str, str]]:
    """Yields the fields and joined values, the rarest first, because a set has a limited size."""
    if description.nik:
        yield "nik", description.nik
    yield from (("phone", phone) for phone in description.phones)
    if description.birth_date:
        yield "date", _date_key(description.birth_date)
    if description.house:
        yield from (("house, year", f"{description.house}|{year}") for year in years)
    parts = [_LookupWord.of(word) for word in description.name_parts]
    yield from _name_lookups(parts, description.ward, years)
    whole = skeleton(spell("".join(description.name_parts)))
    if len(whole) > _SHORT_SOUND:
        yield "whole name", whole
    guardians = [_LookupWord.of(word) for word in description.guardian_parts]
    yield from _guardian_lookups(parts, guardians, description.ward, years)
    if description.ward:
        for word in parts:
            yield from (("typing, ward", f"{left}|{description.ward}") for left in word.typings)
        for form in (form for word in description.name_parts for form in _call_names(word)):
            yield from (("call name, year, ward", f"{form}|{year}|{description.ward}") for year in years)


def _guardian_lookups(
    parts: Sequence["_LookupWord"], guardians: Sequence["_LookupWord"], ward: str, years: Sequence[int]
) -> Iterator[tuple[str, str]]:
    for guardian, word in product(guardians, parts):
        if guardian.is_telling or word.is_telling:
            yield "word, guardian", f"{word.sound}|{guardian.sound}"
    for guardian in guardians:
        if ward and guardian.is_telling:
            yield from (("guardian, year, ward", f"{guardian.sound}|{year}|{ward}") for year in years)
    for one, other in combinations(guardians, 2):
        yield from (("guardian, year", f"{_pair(one, other)}|{year}") for year in years)


def _call_names(word: str) -> tuple[str, ...]:
    return (word,) if len(word) <= SHORT else short_forms(word, _CALL_NAME_LETTERS)


def _name_lookups(parts: Sequence["_LookupWord"], ward: str, years: Sequence[int]) -> Iterator[tuple[str, str]]:
    for one, other in combinations(parts, 2):
        if one.is_telling or other.is_telling:
            yield "two words", _pair(one, other)
        else:
            yield from (("two words, year", f"{_pair(one, other)}|{year}") for year in years)
    for word in parts:
        if word.is_telling:
            yield from (("word, year", f"{word.sound}|{year}") for year in years)
        if ward and word.is_telling:
            yield "word, ward", f"{word.sound}|{ward}"
        elif ward and len(parts) == 1:
            yield from (("word, year, ward", f"{word.sound}|{year}|{ward}") for year in years)


@dataclass(frozen=True, slots=True)
class _LookupWord:
    sound: str
    is_telling: bool
    """False for a word that thousands of children carry."""
    typings: tuple[str, ...]

    @classmethod
    def of(cls, word: str) -> "_LookupWord":
        sound, is_telling = skeleton(word), rarity(word) > Rarity.EVERYWHERE
        return cls(
            sound,
            is_telling,
            tuple(left for left in deletions(sound)[1:] if len(left) >= _SHORT_SOUND) if is_telling else (),
        )


def _pair(one: _LookupWord, other: _LookupWord) -> str:
    return "|".join(sorted((one.sound, other.sound)))


def comparison_values(description: ChildDescription) -> Iterator[bytes]:
    """Yields every value by which a candidate may agree or differ; a very long name comes last, where a set may end."""
    yield from (encode_value("closed", agency) for agency in description.closed_to)
    yield encode_value("words", str(len(description.name_parts)))
    for known, is_known in (
        ("date", description.birth_date), ("year", description.birth_years), ("sex", description.sex),
        ("ward", description.ward), ("street", description.street), ("guardian", description.guardian_parts),
        ("phone", description.phones), ("nik", description.nik),
    ):  # fmt: skip
        if is_known:
            yield encode_value("known", known)
    for guardian in description.guardian_parts:
        yield encode_value("guardian", guardian)
        yield encode_value("guardian sound", skeleton(guardian))
    if description.birth_date:
        yield encode_value("date", description.birth_date.isoformat())
        yield from almost_dates(description.birth_date)
    yield from (encode_value("year", str(year)) for year in description.birth_years)
    yield encode_value("sex", description.sex)
    yield encode_value("ward", description.ward)
    yield from (encode_value("street", word) for word in description.street)
    yield encode_value("house", description.house)
    yield from (encode_value("phone", phone) for phone in description.phones)
    if description.nik:
        yield encode_value("nik", description.nik)
        yield from almost_niks(description.nik)
    for word in description.name_parts:
        yield from _word_values(word)
    for one, other in pairwise(description.name_parts):
        yield encode_value("joined", spell(one + other))


def _word_values(word: str) -> Iterator[bytes]:
    """Yields what a word of a name may be recognised by: itself, its sound, a typing error, its short forms."""
    yield encode_value("word", word)
    yield encode_value("sound", skeleton(word))
    yield encode_value("initial", word[0])
    yield from (encode_value("typing", left) for left in deletions(word))
    if len(word) <= SHORT:
        yield encode_value("short", word)
    yield from (encode_value("long", form) for form in short_forms(word))


def almost_dates(born: date) -> Iterator[bytes]:
    """Yields what is left of a date when one part is wrong, and the date with day and month in either order."""
    yield encode_value("date turned", _date_key(born))
    yield encode_value("day and month", f"{born.day}|{born.month}")
    yield encode_value("month and year", f"{born.month}|{born.year}")
    yield encode_value("day and year", f"{born.day}|{born.year}")


def almost_niks(nik: str) -> Iterator[bytes]:
    """Yields the NIK with each digit hidden in turn."""
    yield from (encode_value("nik digit", f"{nik[:at]}.{nik[at + 1 :]}") for at in range(len(nik)))


def _date_key(born: date) -> str:
    return f"{born.year}|{min(born.day, born.month)}|{max(born.day, born.month)}"


def _fill(tokens: Iterable[bytes], size: int) -> list[bytes]:
    kept = list(dict.fromkeys(tokens))[:size]
    noise = os.urandom(_TOKEN_BYTES * (size - len(kept)))
    return sorted((*kept, *(noise[at : at + _TOKEN_BYTES] for at in range(0, len(noise), _TOKEN_BYTES))))


def _signed(token: bytes) -> int:
    return int.from_bytes(token, "big", signed=True)
