"""The benchmark of the duplicate search in small: by tokens as well as others in clear text."""

import pytest

from tests.bench import duplicates

PAIRS = 250


@pytest.mark.slow
def test_tokens_find_more_than_clear_text_rules_do() -> None:
    found = duplicates.measure_methods(PAIRS)

    ours = found.pop("simpul (tokens)")
    assert ours.recall > 0.9
    assert ours.precision > 0.9
    assert all(ours.f1 > other.f1 for other in found.values()), "\n".join(duplicates.table([ours, *found.values()]))
