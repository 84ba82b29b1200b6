"""The rules of Kediri decide as the domain demands."""

from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpul_routing.domain import (
    CasePlan,
    Origin,
    ReferralState,
    Standing,
    facts_of,
    judge_reply,
    plan_case,
)
from simpul_routing.errors import ReplyRefusal, RulesInvalid
from simpul_routing.rules import read_rules
from simpul_runtime.city import City
from simpul_schema.messages.case import TriageFacts
from simpul_schema.vocabulary import (
    AgeBand,
    Answer,
    Channel,
    Place,
    ReferralRole,
    Relation,
    Reporter,
    Service,
    Sex,
    Urgency,
    Violence,
)

KEDIRI = Path(__file__).parents[3] / "deploy" / "kediri"
CITY = City.read(KEDIRI)
RULES = read_rules(KEDIRI / "rights.yaml", CITY)
NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)  # Friday, 22:00 in Kediri
HOME = Origin(satgas="satgas-kel-bandar-lor", centre="satgas-kec-kota")


def plan(*, origin: Origin = HOME, known: bool = True, **changes: Any) -> CasePlan:
    facts = TriageFacts(
        **{"channel": "phone", "reporter": "other", "violence": ("physical",), "place": "other", "safe_now": "yes"}
        | changes
    )
    seen = facts_of(facts.model_dump(mode="json", exclude={"complaint_centre"}), kelurahan_is_known=known)
    return plan_case(seen, origin, RULES, NOW, CITY.zone)


def led_by(decided: CasePlan) -> dict[Service, str]:
    return {r.service: r.agency for r in decided.referrals if r.role is ReferralRole.LEAD}


def test_the_city_has_all_its_agencies() -> None:
    assert len(CITY.kelurahan) == 46
    assert len(CITY.agencies) == 6 + 46 + 3


@pytest.mark.parametrize("violence", ["sexual", "trafficking"])
def test_r1_sexual_violence_and_trafficking_reach_police_and_hub_and_lock_mediation(violence: str) -> None:
    decided = plan(violence=(violence,))

    assert {"polres-ppa", "uptd-ppa"} <= {referral.agency for referral in decided.referrals}
    assert decided.mediation_locked


def test_r1_mediation_is_open_when_the_suspect_is_a_child() -> None:
    assert not plan(violence=("sexual",), perpetrator_is_child="yes").mediation_locked


def test_r3_immediate_danger_calls_emergency_where_the_child_reported() -> None:
    decided = plan(safe_now="no", origin=Origin(satgas="", centre="satgas-kec-kota"), known=False)

    called = {(r.agency, r.role) for r in decided.referrals if r.service is Service.EMERGENCY_PROTECTION}
    assert called == {("polres-ppa", ReferralRole.LEAD), ("satgas-kec-kota", ReferralRole.SUPPORT)}
    assert decided.urgency is Urgency.HIGH


@pytest.mark.parametrize("changes", [{"known": False}, {"violence": ("unknown",)}])
def test_r9_what_cannot_be_placed_goes_to_the_hub_for_manual_triage(changes: dict[str, Any]) -> None:
    assert led_by(plan(**changes))[Service.MANUAL_TRIAGE] == "uptd-ppa"


def test_a_trafficking_sign_counts_as_trafficking() -> None:
    assert "polres-ppa" in {referral.agency for referral in plan(trafficking_sign="yes").referrals}


def test_no_facts_leave_a_service_with_two_leads_or_a_case_without_one() -> None:
    """R10 over the product of the facts the rules look at."""
    answers = list(Answer)
    for violence, safe, injured, school, place, known in product(
        Violence, answers, answers, answers, (Place.HOUSEHOLD, Place.SCHOOL, Place.ONLINE), (True, False)
    ):
        decided = plan(
            violence=(violence,), safe_now=safe, injured=injured, in_school=school, place=place, known=known,
            age_band=AgeBand.FROM_6_TO_11, origin=HOME if known else Origin("", ""),
        )  # fmt: skip
        leads = [r.service for r in decided.referrals if r.role is ReferralRole.LEAD]
        assert leads
        assert len(leads) == len(set(leads))
        assert {r.agency for r in decided.referrals} <= CITY.agency_codes


_facts = st.builds(
    TriageFacts, channel=st.sampled_from(Channel), reporter=st.sampled_from(Reporter), place=st.sampled_from(Place),
    violence=st.lists(st.sampled_from(Violence), min_size=1, unique=True).map(tuple), sex=st.sampled_from(Sex),
    age_band=st.sampled_from(AgeBand), perpetrator_relation=st.sampled_from(Relation), kelurahan=st.just(""),
    complaint_centre=st.just(""),
    **{
        name: st.sampled_from(Answer)
        for name, field in TriageFacts.model_fields.items() if field.annotation is Answer
    },
)  # fmt: skip


@given(_facts, st.booleans())
def test_every_referral_is_asked_of_an_agency_at_most_once_per_service(facts: TriageFacts, known: bool) -> None:
    seen = facts_of(facts.model_dump(mode="json", exclude={"complaint_centre"}), kelurahan_is_known=known)

    decided = plan_case(seen, HOME if known else Origin("", ""), RULES, NOW, CITY.zone)

    asked = [(referral.service, referral.agency) for referral in decided.referrals]
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({"safe_now": "no"}, NOW + timedelta(minutes=15)),
        ({}, NOW + timedelta(hours=6)),
        # Friday evening: three working days end on Wednesday.
        ({"violence": ("psychological",)}, NOW + timedelta(days=5)),
    ],
)
def test_answer_is_due_by_urgency(changes: dict[str, Any], due: datetime) -> None:
    assert plan(**changes).answer_by == due


OFFERED = Standing("ylpa", ReferralState.OFFERED)


@pytest.mark.parametrize(
    ("standing", "agency", "wanted", "outcome"),
    [
        (OFFERED, "ylpa", ReferralState.DELIVERED, ReferralState.DELIVERED),
        (OFFERED, "ylpa", ReferralState.ACCEPTED, ReferralState.ACCEPTED),
        (Standing("ylpa", ReferralState.ACCEPTED), "ylpa", ReferralState.DELIVERED, ReferralState.ACCEPTED),
        (OFFERED, "rs-rujukan", ReferralState.ACCEPTED, ReplyRefusal.NOT_ITS_REFERRAL),
        (None, "ylpa", ReferralState.DELIVERED, ReplyRefusal.UNKNOWN_REFERRAL),
    ],
)
def test_reply_is_judged(
    standing: Standing | None, agency: str, wanted: ReferralState, outcome: ReferralState | ReplyRefusal
) -> None:
    assert judge_reply(standing, agency, wanted) is outcome


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("lead: rs-rujukan", "lead: rs-rujukkan", "rs-rujukkan is no agency"),
        ("- safe_now: [", "- save_now: [", "is no fact"),
        ("service: shelter", "service: social_aid", "two leads"),
        ("right: restitution\n", "right: education\n", "no service for"),
    ],
)
def test_rules_that_cannot_work_are_refused_with_the_reason(old: str, new: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "rights.yaml"
    services = (KEDIRI / "rights.yaml").read_text().partition("services:")
    path.write_text(services[0] + services[1] + services[2].replace(old, new))

    with pytest.raises(RulesInvalid, match=words):
        read_rules(path, CITY)
