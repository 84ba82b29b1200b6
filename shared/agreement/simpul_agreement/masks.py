"""Sets of clauses as integers: bit n stands for the clause at position n."""

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Final

from simpul_agreement.model import Condition

_BITS: Final = tuple(tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256))
_CHUNK: Final = 64
"""Bytes that are skipped together where no bit of them is set."""


def bits_of(mask: int) -> list[int]:
    """The positions of the set bits, the lowest first."""
    data = mask.to_bytes((mask.bit_length() + 7) // 8, "little")
    if len(data) <= _CHUNK:
        # The usual case, in half of the time.
        return [first + bit for first, byte in zip(count(0, 8), data) if byte for bit in _BITS[byte]]
    return [
        first + bit
        for start in range(0, len(data), _CHUNK)
        if any(chunk := data[start : start + _CHUNK])
        for first, byte in zip(count(start * 8, 8), chunk)
        if byte
        for bit in _BITS[byte]
    ]


def mask_of(positions: Iterable[int]) -> int:
    """The integer with these bits set."""
    mask = 0
    for position in positions:
        mask |= 1 << position
    return mask


class Masks(dict[frozenset[str], int]):
    """The clauses that admit a set of values of one fact; computed once for each set that occurs."""

    def __init__(self, conditions: Mapping[int, Condition], everything: int) -> None:
        """`conditions` are those on the fact, by the position of their clause."""
        super().__init__()
        self.conditions = conditions
        self._indifferent = everything & ~mask_of(conditions)

    def __missing__(self, values: frozenset[str]) -> int:
        admitting = (position for position, condition in self.conditions.items() if condition.admits(values))
        self[values] = mask = self._indifferent | mask_of(admitting)
        return mask
