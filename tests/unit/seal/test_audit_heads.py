"""Signed heads of an audit: who signed them, and when two of them cannot be of one history."""

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpul_seal import (
    ContradictedHead,
    Contradiction,
    Directory,
    HeadNotSigned,
    SignedHead,
    find_contradictions,
    generate,
    make_head,
    read_head,
    read_heads,
    sign,
)

START = datetime(2026, 11, 1, tzinfo=UTC)
OLD, OLD_PUBLIC = generate("intake", not_before=START - timedelta(days=30), not_after=START + timedelta(days=1))
NEW, NEW_PUBLIC = generate("intake", not_before=START + timedelta(hours=12), not_after=START + timedelta(days=30))
OTHER, OTHER_PUBLIC = generate("routing", not_before=START, not_after=START + timedelta(days=30))
DIRECTORY = Directory([OLD_PUBLIC, NEW_PUBLIC, OTHER_PUBLIC])


def head(hour: int, content: str, ring=OLD, service: str = "intake") -> SignedHead:  # type: ignore[no-untyped-def]
    before = START + timedelta(hours=hour)
    return make_head(service, before, sha256(content.encode()).digest(), lambda body: sign(body, ring))


def contradicted(kind: Contradiction, hour: int, *contents: str) -> ContradictedHead:
    hashes = tuple(sorted(sha256(content.encode()).digest() for content in contents))
    return ContradictedHead(kind, "intake", START + timedelta(hours=hour), hashes)


def test_a_head_is_read_back_as_it_was_made() -> None:
    made = head(1, "a")

    assert read_head(made.to_dict(), DIRECTORY) == made
    assert read_heads([made.to_line(), "", head(2, "b").to_line()], DIRECTORY) == [made, head(2, "b")]


def test_an_earlier_head_may_be_stated_again_with_a_later_key_but_not_with_one_that_had_ended() -> None:
    assert read_head(head(1, "a", NEW).to_dict(), DIRECTORY).before == START + timedelta(hours=1)
    with pytest.raises(HeadNotSigned):
        read_head(head(48, "a", OLD).to_dict(), DIRECTORY)


@pytest.mark.parametrize(
    "kept",
    [
        head(1, "a", OTHER).to_dict(),
        head(1, "a", service="routing").to_dict(),
        head(1, "a").to_dict() | {"signature": head(1, "b").signature},
        head(1, "a").to_dict() | {"signature": ""},
        {"body": "{}", "signature": sign(b"{}", OLD)},
        {"body": "[]", "signature": sign(b"[]", OLD)},
        {},
        [],
        None,
    ],
    ids=range(9),
)
def test_what_the_service_has_not_signed_is_refused(kept: object) -> None:
    with pytest.raises(HeadNotSigned):
        read_head(kept, DIRECTORY)  # type: ignore[arg-type]
    with pytest.raises(HeadNotSigned, match="2"):
        read_heads([head(1, "a").to_line(), json.dumps(kept)], DIRECTORY)


def test_two_hashes_for_one_moment_are_two_histories() -> None:
    heads = [head(1, "a"), head(2, "b"), head(3, "c"), head(2, "forged", NEW)]

    assert find_contradictions(heads) == [contradicted(Contradiction.OTHER_HISTORY, 2, "b", "forged")]


def test_a_head_that_was_outgrown_before_is_a_shorter_history() -> None:
    heads = [head(1, "a"), head(2, "b"), head(3, "b"), head(4, "a")]

    assert find_contradictions(heads) == [contradicted(Contradiction.SHORTER, 4, "a")]


def test_a_shorter_history_is_one_contradiction_while_it_rests_and_another_when_it_is_shortened_again() -> None:
    heads = [head(1, "a"), head(2, "b"), head(3, "a"), head(4, "a"), head(5, "c"), head(6, "a")]

    assert find_contradictions(heads) == [contradicted(Contradiction.SHORTER, hour, "a") for hour in (3, 6)]


def test_another_hash_makes_another_contradiction() -> None:
    ids = [
        contradicted(kind, hour, *contents).compute_id()
        for kind in Contradiction
        for hour in (1, 2)
        for contents in (("a",), ("a", "b"), ("b", "a"))
    ]

    assert len(set(ids)) == 8


@given(st.lists(st.integers(0, 2), max_size=12), st.randoms(use_true_random=False))
def test_a_history_that_only_grows_contradicts_nothing_in_whatever_order_its_heads_come(
    grown: list[int], random: object
) -> None:
    heads = [head(hour, str(sum(grown[:hour]))) for hour in range(1, len(grown) + 1)]
    random.shuffle(heads)  # type: ignore[attr-defined]

    assert find_contradictions([*heads, *heads, head(2, "x", OTHER, "routing")]) == []
