"""Names the next place of a change that starts in the contract; see docs/change-guide.md."""

import re
from pathlib import Path

import pytest

from simpul_agreement.facts import BY_NAME
from simpul_intake.api import ReportIn
from simpul_notify.channels import load_providers
from simpul_notify.domain.responders import CHANNELS
from simpul_notify.settings import NotifySettings
from simpul_routing.domain.lifecycle import ReplyKind, ServiceState, Standing, judge_reply
from simpul_schema.catalog import ANY_AGENCY, ANY_SERVICE, CATALOG, CatalogRow
from simpul_schema.messages import message_class
from simpul_schema.messages.case import TriageFacts
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.vocabulary import DeclineReason, Term, Urgency

ROOT = Path(__file__).parents[2]
NOT_DECIDED_ON = {"channel", "reporter", "sex", "guardian_relation", "suspect_has_phone"}
"""Facts of a report that no clause of an agreement reads."""
DERIVED = {
    "kelurahan": "residence",
    "complaint_centre": "complaint_centre",
    "excluded_agencies": "excluded",
    "suggested_exclusions": "excluded",
    "trafficking_sign": "violence",
    "happened_at": "time_since_event",
    "sexual_under_72h": "time_since_event",
    "event_kelurahan": "event_area",
}
"""Fact of a report -> the fact of the agreement that is made from it."""
NOT_SHARED = {
    "channel",
    "complaint_centre",
    "reporter",
    "kelurahan",
    "event_kelurahan",
    "excluded_agencies",
    "suggested_exclusions",
}
"""Facts of a report that agencies do not receive with an offer."""
NOT_IN_FORM = {
    "channel",
    "complaint_centre",
    "duplicate_reason",
    "duplicate_search",
    "excluded_agencies",
    "narrative",
    "received_at",
    "sexual_under_72h",
}
"""What only complaint centres send, the channel, a group whose fields have names of their own, and what follows from
when it happened."""
DECLINED_IN_DANGER = {
    "no_capacity",
    "already_served",
    "conflict_of_interest",
    "data_missing",
    "client_unreachable",
    "consent_needed",
}
"""Reasons for which an agency may decline a child in danger before first aid; routing refuses the others."""
FROM_SERVICES = [row for row in CATALOG if row.publisher != ANY_AGENCY]


def enumerations() -> list[type[Term]]:
    """Lists the enumerations of the contract and of the agreement."""
    return sorted(Term.__subclasses__(), key=lambda term: term.__name__)


@pytest.mark.parametrize("enumeration", enumerations(), ids=lambda term: term.__name__)
def test_every_value_has_a_label_in_both_languages(enumeration: type[Term]) -> None:
    assert [value.name for value in enumeration if not (value.label("id") and value.label("en"))] == []


@pytest.mark.parametrize("row", FROM_SERVICES, ids=lambda row: row.wire_name)
def test_every_event_is_made_by_the_publisher_that_the_catalogue_names(row: CatalogRow) -> None:
    message = message_class(row.wire_name)
    assert message is not None
    is_shared = row.publisher == ANY_SERVICE
    package = ROOT / ("shared/runtime" if is_shared else f"services/{row.publisher}/simpul_{row.publisher}")
    modules = [path for path in package.rglob("*.py") if path.name != "consumers.py"]

    assert any(re.search(rf"\b{message.__name__}\b", path.read_text()) for path in modules)


def test_every_channel_has_a_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KANNEL_URL", "KANNEL_USER", "KANNEL_PASSWORD", "SMTP_HOST", "SMTP_USER", "SMTP_PASSWORD"):
        monkeypatch.setenv(f"SIMPUL_{name}", "x")
    used = load_providers(NotifySettings.model_fields["providers"].default.split(","))

    assert {provider.capabilities.channel for provider in used} == set(CHANNELS)


def test_intake_takes_every_fact_of_a_report() -> None:
    assert TriageFacts.model_fields.keys() - ReportIn.model_fields.keys() == {"age_band", "suggested_exclusions"}


def test_the_form_of_intake_has_a_field_for_every_fact() -> None:
    form = (ROOT / "services" / "intake" / "simpul_intake" / "templates" / "form.html").read_text()

    missing = {name for name in ReportIn.model_fields if not re.search(rf"\b{name}\b", form)}
    assert missing == NOT_IN_FORM


def test_the_agreement_reads_every_fact_of_a_report() -> None:
    read = {DERIVED.get(name, name) for name in TriageFacts.model_fields.keys() - NOT_DECIDED_ON}

    assert read <= BY_NAME.keys()


def test_every_fact_of_a_report_is_shared_with_agencies_or_withheld() -> None:
    assert TriageFacts.model_fields.keys() - ReferralFacts.model_fields.keys() == NOT_SHARED


def test_every_decline_reason_is_allowed_or_refused_for_a_child_in_danger() -> None:
    danger = Standing(ServiceState.OFFERED, Urgency.HIGH, has_first_aid=False)
    outcomes = {reason: judge_reply(danger, ReplyKind.DECLINED, reason) for reason in DeclineReason}

    allowed = {reason.value for reason, outcome in outcomes.items() if outcome is ServiceState.DECLINED}
    assert allowed == DECLINED_IN_DANGER
