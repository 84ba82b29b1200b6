"""No exception and no representation of an object shows what a person wrote."""

import json
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from pydantic import BaseModel, ValidationError

from simpul_intake.api import AmendmentIn, ReportIn
from simpul_routing.api.actions import CloseIn, RightIn, UrgencyIn
from simpul_schema.messages import MESSAGES
from tests.support.canary import Canary
from tests.support.reports import a_report

CANARY = Canary()
SEEDED = a_report(
    identity=CANARY.identity(),
    narrative=CANARY.narrative(),
    kelurahan=CANARY.sentence,
    event_kelurahan=CANARY.sentence,
    violence=[CANARY.word],
)
EDGES: tuple[type[BaseModel], ...] = (ReportIn, AmendmentIn, CloseIn, RightIn, UrgencyIn, *MESSAGES)


def bodies(edge: type[BaseModel]) -> Iterator[str]:
    """Yields bodies with the canary in every field, as a wrong type, as an unknown field and in broken JSON."""
    for wrong in (CANARY.sentence, [CANARY.sentence], {CANARY.word: CANARY.sentence}):
        yield json.dumps(dict.fromkeys(edge.model_fields, wrong))
    yield json.dumps({CANARY.word: CANARY.sentence})
    yield json.dumps(CANARY.sentence)
    yield f'{{"by": "{CANARY.sentence}'


def refusal_of(edge: type[BaseModel], body: str) -> ValidationError | None:
    """Returns the error of a body; None where the model has only free texts and accepts it."""
    try:
        edge.model_validate_json(body)
    except ValidationError as error:
        return error
    return None


@pytest.mark.parametrize("edge", EDGES, ids=lambda edge: str(edge.__name__))
def test_the_text_of_a_validation_error_repeats_no_value(edge: type[BaseModel]) -> None:
    errors = [error for body in bodies(edge) if (error := refusal_of(edge, body))]

    assert len(errors) >= 4
    for error in errors:
        # The names of fields that the model lacks are the sender's, so only values are searched.
        texts = [str(error), repr(error), *traceback.format_exception(error)]
        assert CANARY.search("\n".join(texts).replace(CANARY.word, "").encode()) == []


def test_the_representation_of_a_report_shows_nothing_of_it() -> None:
    report_in = ReportIn.model_validate(SEEDED)
    amendment_in = AmendmentIn(
        amendment_id=uuid4(),
        receipt=CANARY.sentence,
        kelurahan=CANARY.sentence,
        violence=[CANARY.word],
        identity=report_in.identity,
        narrative=report_in.narrative,
    )
    objects = [report_in, amendment_in, report_in.to_report(datetime.now(UTC)), amendment_in.to_amendment(uuid4())]

    assert CANARY.search("\n".join(f"{one!r} {one}" for one in objects).encode()) == []
