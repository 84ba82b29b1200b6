"""Finds reports about the same child without comparing names in clear."""

from simpul_intake.duplicates.description import ChildDescription, describe_child, read_date
from simpul_intake.duplicates.matching import Overlap, StoredTokens, find_overlaps, may_know
from simpul_intake.duplicates.tokens import BlindIndex, CaseTokens

__all__ = [
    "BlindIndex",
    "CaseTokens",
    "ChildDescription",
    "Overlap",
    "StoredTokens",
    "describe_child",
    "find_overlaps",
    "may_know",
    "read_date",
]
