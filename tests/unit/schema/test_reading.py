"""What a reader makes of values that a later version added, and what a publisher may write."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from simpul_schema.messages import ReferralOfferedV1, ReplyReferralDeclinedV1
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.samples import samples, section_sample
from simpul_schema.vocabulary import DeclineReason, Service, Term, Violence

EXTENSIBLE = [term for term in Term.__subclasses__() if term.fallback_code]


def decline(reason: object) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(next(b for name, _, b in samples() if name == "reply.referral.declined.v1"))
    event["data"]["reason"] = reason
    return event


def test_a_reader_takes_an_unknown_value_for_the_fallback() -> None:
    event = decline("reason_of_a_later_version")

    assert ReplyReferralDeclinedV1.read(event).data.reason is DeclineReason.OTHER
    assert ReplyReferralDeclinedV1.read_json(json.dumps(event).encode()).data.reason is DeclineReason.OTHER


def test_a_reader_keeps_the_values_that_it_knows() -> None:
    assert ReplyReferralDeclinedV1.read(decline("no_capacity")).data.reason is DeclineReason.NO_CAPACITY


def test_an_unknown_kind_of_violence_is_read_as_not_known_which_a_person_must_triage() -> None:
    content = json.loads(section_sample("facts")) | {"violence": ["physical", "violence_of_a_later_version"]}

    facts = ReferralFacts.read_json(json.dumps(content).encode())

    assert facts.violence == (Violence.PHYSICAL, Violence.UNKNOWN)


def test_an_unknown_service_is_read_as_manual_triage() -> None:
    event = json.loads(next(body for name, _, body in samples() if name == "referral.offered.v1"))
    event["data"]["services"][0]["service"] = "service_of_a_later_version"

    assert ReferralOfferedV1.read(event).data.services[0].service is Service.MANUAL_TRIAGE


def test_a_publisher_cannot_write_a_value_that_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="reason"):
        ReplyReferralDeclinedV1.model_validate(decline("reason_of_a_later_version"))


@pytest.mark.parametrize("value", [7, None, ["other"], {"reason": "other"}])
def test_a_value_of_another_type_is_refused_by_readers_too(value: object) -> None:
    with pytest.raises(ValidationError, match="reason"):
        ReplyReferralDeclinedV1.read(decline(value))


def test_an_unknown_value_of_a_closed_enumeration_is_refused_by_readers_too() -> None:
    content = json.loads(section_sample("facts")) | {"sex": "sex_of_a_later_version"}

    with pytest.raises(ValidationError, match="sex"):
        ReferralFacts.read(content)


@pytest.mark.parametrize("term", EXTENSIBLE)
def test_a_fallback_is_a_value_of_its_enumeration(term: type[Term]) -> None:
    assert term(term.fallback_code).value == term.fallback_code


def test_the_enumerations_that_will_grow_have_a_fallback() -> None:
    assert {term.__name__ for term in EXTENSIBLE} >= {"DeclineReason", "Service", "AlertChannel", "Violence"}
