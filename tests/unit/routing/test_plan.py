"""Plans of cases and their deadlines."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simpul_agreement.deadlines import Within
from simpul_agreement.engine import Decision, Origin
from simpul_agreement.plan import CasePlan, plan_case
from simpul_agreement.reports import situation_from_report
from simpul_routing.domain.facts import CaseFacts, ReportedFacts, read_report, referral_facts
from simpul_routing.stored_facts import decode_facts, encode_facts
from simpul_schema.messages.case import TriageFacts
from simpul_schema.messages.referral import ReferralFacts
from simpul_schema.vocabulary import ReferralRole, Service, Urgency, Violence
from tests.support.agreements import CITY, HOME, decide, kediri, reported

NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)  # Friday, 22:00 in Kediri


def planned(decision: Decision, origin: Origin = HOME) -> CasePlan:
    return plan_case(decision, kediri(), origin, NOW, CITY.zone)


def facts(**changes: object) -> TriageFacts:
    return TriageFacts.model_validate(
        {"channel": "phone", "reporter": "other", "violence": ["physical"], "place": "other"} | changes
    )


def test_the_city_has_all_its_agencies() -> None:
    assert len(CITY.kelurahan) == 46
    assert len(CITY.agencies) == 6 + 46 + 3


def test_every_referral_carries_its_version_and_clauses() -> None:
    plan = planned(decide(violence="physical", safe_now="no"))

    assert plan.agreement == "2026-11"
    assert all(referral.clauses for referral in plan.referrals)
    assert len({(referral.service, referral.agency) for referral in plan.referrals}) == len(plan.referrals)


@pytest.mark.parametrize(
    ("changes", "due"),
    [
        ({"safe_now": "no"}, NOW + timedelta(minutes=15)),
        ({"violence": "physical", "safe_now": "yes"}, NOW + timedelta(hours=6)),
        # Friday evening: three working days end on Wednesday.
        ({"violence": "psychological", "safe_now": "yes"}, NOW + timedelta(days=5)),
    ],
)
def test_answer_is_due_by_urgency(changes: dict[str, str], due: datetime) -> None:
    assert planned(decide(HOME, **changes)).answer_by == due


def test_working_days_leave_out_weekends_and_holidays() -> None:
    christmas_eve = datetime(2026, 12, 24, 2, 0, tzinfo=UTC)

    due = Within(working_days=1).due(christmas_eve, CITY.zone, kediri().calendar)

    assert due == datetime(2026, 12, 28, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "hours", "due"),
    [
        # Friday 22:00 in Kediri; offices are open from 7:00 to 15:30 on Monday.
        (NOW, 6, datetime(2026, 11, 30, 6, 0, tzinfo=UTC)),
        (NOW, 9, datetime(2026, 12, 1, 0, 30, tzinfo=UTC)),
        (datetime(2026, 11, 30, 8, 0, tzinfo=UTC), 1, datetime(2026, 12, 1, 0, 30, tzinfo=UTC)),
        (datetime(2026, 12, 24, 8, 0, tzinfo=UTC), 2, datetime(2026, 12, 28, 1, 30, tzinfo=UTC)),
    ],
)
def test_office_hours_count_only_while_offices_are_open(start: datetime, hours: int, due: datetime) -> None:
    assert Within(office_hours=hours).due(start, CITY.zone, kediri().calendar) == due


@pytest.mark.parametrize("lacking", ["urgency", "answer", "mediation", "basis", "assignments"])
def test_a_gap_in_the_agreement_becomes_a_manual_triage_and_an_alarm(lacking: str) -> None:
    empty = () if lacking == "assignments" else None

    plan = planned(replace(decide(violence="physical"), **{lacking: empty}))  # type: ignore[arg-type]

    assert not plan.is_covered
    triage = [referral for referral in plan.referrals if referral.service is Service.MANUAL_TRIAGE]
    assert [(referral.agency, referral.role) for referral in triage] == [("uptd-ppa", ReferralRole.LEAD)]
    assert plan.urgency is (Urgency.HIGH if lacking == "urgency" else Urgency.MEDIUM)
    assert plan.mediation_locked is (lacking == "mediation")


@given(st.frozensets(st.sampled_from(sorted(CITY.agency_codes)), max_size=20), st.sampled_from(["sexual", "neglect"]))
def test_r6_however_many_are_excluded_the_plan_addresses_none_of_them(excluded: frozenset[str], violence: str) -> None:
    origin = Origin(HOME.satgas, HOME.kecamatan, HOME.centre, excluded)

    plan = planned(decide(origin, violence=violence, safe_now="no"), origin)

    named = {party.code for party in kediri().parties} & CITY.agency_codes
    assert bool(plan.referrals) is bool((named | {HOME.satgas, HOME.kecamatan}) - excluded)
    assert not {referral.agency for referral in plan.referrals} & excluded


def test_a_report_maps_to_one_situation() -> None:
    situation, origin = situation_from_report(
        facts(kelurahan="Bujel", complaint_centre="polres-ppa", trafficking_sign="yes", excluded_agencies=["ylpa"]),
        CITY,
        kediri(),
        NOW,
    )

    assert situation["violence"] == {"physical", "trafficking"}
    assert situation["complaint_centre"] == {"police"}
    assert situation["excluded"] == {"foundation"}
    assert situation["time_of_report"] == {"night"}
    assert origin == Origin("satgas-kel-bujel", "satgas-kec-mojoroto", "polres-ppa", frozenset({"ylpa"}))


def test_an_unknown_kelurahan_or_centre_is_not_known_rather_than_an_error() -> None:
    situation, origin = situation_from_report(
        facts(kelurahan="Atlantis", complaint_centre="nobody"), CITY, kediri(), NOW
    )

    assert situation["residence"] == situation["complaint_centre"] == {"unknown"}
    assert origin == Origin()


def test_a_report_has_a_value_for_every_fact() -> None:
    situation, _ = situation_from_report(facts(), CITY, kediri(), NOW)

    assert situation.keys() == reported().keys()


def stored(report: str = "one", origin: Origin = HOME, **what: str) -> CaseFacts:
    """Builds stored facts of one report."""
    shared = referral_facts(facts(), CITY, mediation_locked=True)
    same: dict[str, object] = {name: value for name, value in what.items() if name in ReferralFacts.model_fields}
    same["violence"] = what.get("violence", "physical").split("+")
    return CaseFacts(
        {report: ReportedFacts(reported(**what), origin, ReferralFacts.model_validate(shared.model_dump() | same))}
    )


def test_stored_facts_are_read_as_they_were_written() -> None:
    both = (
        stored(violence="sexual+physical", safe_now="no")
        .merge_duplicate(stored("two"))
        .exclude_agencies(frozenset({"ylpa"}), "hub")
    )

    assert decode_facts(encode_facts(both)) == both


def test_of_two_reports_of_a_child_what_is_known_counts_and_of_contradictions_the_more_dangerous() -> None:
    first = stored(violence="physical", safe_now="yes", injured="no", pregnant="unknown", place="school")
    duplicate = stored("two", violence="sexual", safe_now="no", injured="yes", pregnant="no", place="household")

    together = first.merge_duplicate(duplicate)

    assert together.situation["violence"] == {"physical", "sexual"}
    assert [together.situation[name] for name in ("safe_now", "injured", "pregnant", "place")] == [
        {"no"},
        {"yes"},
        {"no"},
        {"school"},
    ]
    assert (together.shared.safe_now.value, together.shared.injured.value) == ("no", "yes")


def test_of_two_ages_the_younger_counts() -> None:
    first = stored(age_band="from_15_to_17", pregnant="yes")
    duplicate = stored("two", age_band="from_12_to_14")

    assert first.merge_duplicate(duplicate).situation["age_band"] == {"from_12_to_14"}
    assert duplicate.merge_duplicate(first).situation["age_band"] == {"from_12_to_14"}
    assert first.merge_duplicate(stored("three")).situation["age_band"] == {"from_15_to_17"}


@pytest.mark.parametrize("sign", [{"sexual_under_72h": "yes"}, {"pregnant": "yes", "age_band": "from_12_to_14"}])
def test_agencies_receive_implied_violence_besides_reported_violence(sign: dict[str, str]) -> None:
    shared = CaseFacts({"one": read_report(facts(**sign), CITY, kediri(), NOW)}).shared

    assert shared.violence == (Violence.PHYSICAL, Violence.SEXUAL)
    assert shared.implied_violence == (Violence.SEXUAL,)


def test_what_one_of_two_reports_names_is_not_implied() -> None:
    sign = CaseFacts({"one": read_report(facts(sexual_under_72h="yes"), CITY, kediri(), NOW)})
    named = stored("two", violence="sexual")

    together = sign.merge_duplicate(named).shared

    assert together.violence == (Violence.PHYSICAL, Violence.SEXUAL)
    assert together.implied_violence == ()


def test_new_facts_replace_those_of_their_own_report_only() -> None:
    case, other = uuid4(), uuid4()
    both = stored(str(case), violence="physical").merge_duplicate(stored(str(other), violence="sexual"))
    now = ReportedFacts(reported(violence="neglect", injured="yes"), Origin(excluded=frozenset({"ylpa"})), both.shared)

    after = both.amend_report(case, now)

    assert after.situation["violence"] == {"neglect", "sexual"}
    assert after.origin.excluded == {"ylpa"}
    assert after.amend_report(case, ReportedFacts(reported(), Origin(), both.shared)).origin.excluded == {"ylpa"}
