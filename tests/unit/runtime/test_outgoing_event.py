"""An event may only carry the sealed sections that its message declares."""

import json
from uuid import UUID

import pytest

from simpul_runtime.outbox import OutgoingEvent, UndeclaredSection
from simpul_schema import Event, SectionContent
from simpul_schema.messages import CaseReportedV1, RightChangedV1
from simpul_schema.messages.case import TriageFacts
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.samples import section_sample

TRIAGE = TriageFacts.read(json.loads(section_sample("triage")))
FACTS = ReferralFacts.read(json.loads(section_sample("facts")))


def an_event(message: type[Event], section: str, content: SectionContent) -> OutgoingEvent:
    return OutgoingEvent(message, "case/1", UUID(int=1), {}, sealed={section: ("routing", content)})


def test_a_declared_section_is_carried() -> None:
    assert an_event(CaseReportedV1, "triage", TRIAGE).sealed == {"triage": ("routing", TRIAGE)}


@pytest.mark.parametrize(
    ("message", "section", "content"),
    [(CaseReportedV1, "facts", FACTS), (CaseReportedV1, "triage", FACTS), (RightChangedV1, "triage", TRIAGE)],
)
def test_any_other_section_is_refused(message: type[Event], section: str, content: SectionContent) -> None:
    with pytest.raises(UndeclaredSection, match=section):
        an_event(message, section, content)
