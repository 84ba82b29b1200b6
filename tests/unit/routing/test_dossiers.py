"""Which releases of a dossier are withdrawn as a whole."""

from uuid import UUID

import pytest

from simpul_routing.domain.dossiers import DossierEvent, find_withdrawn_releases


def an_event(written: str) -> DossierEvent:
    """An event written as `+1 a b`: a release (or, with -, a withdrawal) with sequence 1 of the sections a and b."""
    number, *sections = written[1:].split()
    subject, _, sequence = number.rpartition("/")
    event_id = UUID(int=int(sequence))
    return DossierEvent(event_id, f"dossier/{subject}", int(sequence), frozenset(sections), written.startswith("-"))


@pytest.mark.parametrize(
    ("events", "withdrawn"),
    [
        (["+1 identity", "-2 identity"], [1]),
        (["+1 identity medical", "-2 identity"], []),
        (["+1 identity medical", "-2 identity", "-3 medical"], [1]),
        (["-3 medical", "+1 identity medical", "-2 identity"], [1]),
        (["+1 identity", "-2 identity", "+3 identity"], [1]),
        (["+1 identity", "+2 medical", "-3 medical"], [2]),
        (["+one/1 identity", "-two/2 identity"], []),
    ],
)
def test_a_release_is_withdrawn_when_later_withdrawals_cover_it(events: list[str], withdrawn: list[int]) -> None:
    found = find_withdrawn_releases(map(an_event, events))

    assert found == {UUID(int=number) for number in withdrawn}
