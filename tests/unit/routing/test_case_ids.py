"""A list of cases is asked for by ids, separated by commas or repeated."""

from uuid import UUID

import pytest
from pydantic import TypeAdapter, ValidationError

from simpul_routing.api.paging import MAX_IDS, CaseIds

IDS = [UUID(int=number) for number in range(1, 4)]


@pytest.mark.parametrize("sent", [[",".join(map(str, IDS))], [*map(str, IDS)], [f"{IDS[0]},{IDS[1]}", str(IDS[2])]])
def test_ids_are_separated_by_commas_or_repeated(sent: list[str]) -> None:
    assert TypeAdapter(CaseIds).validate_python(sent) == IDS


@pytest.mark.parametrize("sent", [["no-id"], [""], [",".join([str(IDS[0])] * (MAX_IDS + 1))]])
def test_what_is_no_list_of_ids_is_refused(sent: list[str]) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(CaseIds).validate_python(sent)
