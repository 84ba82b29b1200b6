"""Invariants of cases over random histories on a real database."""

import random
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from simpul_agreement.engine import Engine
from simpul_agreement.implications import normalize_situation
from simpul_agreement.model import Disclosure, Phase
from simpul_agreement.plan import caretaker
from simpul_routing import errors
from simpul_routing.domain.exclusions import SuggestionState
from simpul_routing.domain.service_plan import AddedService, PlanChanges, ServicePlan
from simpul_routing.repository import find_open_plan
from simpul_routing.stored_facts import case_context, decode_facts
from simpul_schema.vocabulary import CancelReason, CaseEnd, DeclineReason, ReferralRole, Service, Urgency
from tests.integration.routing.conftest import Room
from tests.integration.routing.test_dossiers import terms as terms_of
from tests.support.actors import BOARD, acting
from tests.support.agreements import CITY, DAY, kediri

AGENCIES = ["polres-ppa", "uptd-ppa", "ylpa", "dinsos-peksos", "klinik-pendidikan", "rs-rujukan", "satgas-kel-bujel"]
ANSWERS = (
    "safe_now",
    "injured",
    "in_school",
    "pregnant",
    "perpetrator_lives_with_child",
    "disability_need",
    "perpetrator_is_child",
    "trafficking_sign",
)
REPLIES = ("delivered", "seen", "accepted", "accepted", "started", "completed", "declined", "declined")
ENDS = (
    "referral.declined.v1",
    "referral.rerouted.v1",
    "referral.completed.v1",
    "referral.cancelled.v1",
    "referral.revoked.v1",
)
"""After these events an agency no longer has to act on the services that they name."""
ITS_OWN_DOING = ("referral.declined.v1", "referral.reply_refused.v1")
REFUSED = (
    errors.AgencyExcluded,
    errors.AgencyNotEligible,
    errors.AlreadyServed,
    errors.CaseEnded,
    errors.CaseMerged,
    errors.CaseNotEnded,
    errors.DecisionOutstanding,
    errors.ExclusionUndecided,
    errors.MediationLocked,
    errors.OtherServiceOutstanding,
    errors.PlanUnknown,
    errors.ReferralUnknown,
    errors.RightsUnsettled,
    errors.StageNotAllowed,
    errors.SuggestionAlreadyDecided,
    errors.SuggestionUnknown,
)


ENGINE = Engine(kediri(), DAY)
NEEDS = {
    clause.effect.service.value: {section.value for section in clause.effect.sections}
    for clause in kediri().clauses
    if isinstance(clause.effect, Disclosure)
}
"""The sections that each service needs, by the agreement."""


class History:
    """Random actions of agencies and case managers."""

    def __init__(self, room: Room, seed: int) -> None:
        self.room = room
        self.dice = random.Random(seed)
        self.cases: list[UUID] = []

    def facts(self) -> dict[str, Any]:
        dice = self.dice
        return {
            "violence": dice.sample(["physical", "sexual", "neglect", "unknown"], dice.randint(1, 2)),
            "place": dice.choice(["household", "school", "other"]),
            **{name: dice.choice(["yes", "no", "unknown"]) for name in ANSWERS},
        }

    async def report(self) -> None:
        excluded = self.dice.sample(AGENCIES, self.dice.randint(0, 2))
        suggested = self.dice.sample(AGENCIES, self.dice.choice([0, 0, 2, 7]))
        self.cases.append(
            await self.room.report(**self.facts(), excluded_agencies=excluded, suggested_exclusions=suggested)
        )

    async def reply(self) -> None:
        rows = await self.room.rows(
            "SELECT service_id::text, referral_id::text, case_id::text, agency FROM service"
            " ORDER BY offered_at, referral_id, position"
        )
        kind = self.dice.choice(
            ["delivered", "seen", "accepted", "accepted", "started", "completed", "declined", "declined"]
        )
        more: dict[str, Any] = {}
        if kind == "declined":
            more["reason"] = self.dice.choice([DeclineReason.NO_CAPACITY, DeclineReason.CONFLICT_OF_INTEREST]).value
        if kind == "completed":
            more["outcome"] = "served"
        chosen = self.dice.choice(rows)
        if self.dice.random() < 0.3:
            # About every service of the referral to which the reply applies.
            more["service_ids"] = []
        elif self.dice.random() < 0.3:
            more["service_ids"] = [row["service_id"] for row in rows if row["referral_id"] == chosen["referral_id"]]
        await self.room.reply(kind, chosen, **more)

    async def amend(self) -> None:
        suggested = self.dice.sample(AGENCIES, self.dice.choice([0, 0, 1]))
        await self.room.amend(self.dice.choice(self.cases), **self.facts(), suggested_exclusions=suggested)

    async def decide(self, case: UUID, version: int) -> None:
        agency = self.dice.choice(AGENCIES)
        state = self.dice.choice([SuggestionState.CONFIRMED, SuggestionState.REJECTED])
        await self.room.triage.decide_suggestion(case, version, agency, state, by=acting("city-board"), reason="x")

    async def exclude(self, case: UUID, version: int) -> None:
        agency = self.dice.choice(AGENCIES)
        await self.room.triage.exclude_agency(case, version, agency, by=BOARD, reason="too close")

    async def change_urgency(self, case: UUID, version: int) -> None:
        await self.room.triage.change_urgency(case, version, self.dice.choice(list(Urgency)), by=BOARD, reason="x")

    async def offer_service(self, case: UUID, version: int) -> None:
        service, agency = self.dice.choice(list(Service)), self.dice.choice(AGENCIES)
        role, reason = self.dice.choice([(ReferralRole.SUPPORT, "x"), (ReferralRole.LEAD, "")])
        await self.room.triage.offer_service(case, version, service, agency, role, by=BOARD, reason=reason)

    async def settle(self, case: UUID, version: int) -> None:
        triages = await self.room.rows(
            "SELECT service_id, escalated_service FROM service WHERE case_id = $1 AND ended_at IS NULL AND"
            " service = 'manual_triage' ORDER BY offered_at, service_id",
            case,
        )
        for row in triages[:1]:
            service, agency = Service(row["escalated_service"] or "social_aid"), self.dice.choice(AGENCIES)
            await self.room.triage.offer_service(
                case, version, service, agency, ReferralRole.LEAD, by=BOARD, reason="", settles=row["service_id"]
            )

    async def void(self, case: UUID, version: int) -> None:
        await self.room.end.void_case(case, version, by=BOARD, reason="x")

    async def decline_together(self) -> None:
        rows = await self.room.rows(
            "SELECT service_id::text, referral_id::text, case_id::text, agency FROM service"
            " WHERE ended_at IS NULL ORDER BY referral_id, position"
        )
        chosen = self.dice.sample(rows, min(3, len(rows)))
        reasons = [DeclineReason.CONFLICT_OF_INTEREST, DeclineReason.NO_CAPACITY, DeclineReason.OUTSIDE_AREA]
        if chosen:
            await self.room.receive(
                [
                    self.room.build_reply("declined", row, reason=reason.value)
                    for row, reason in zip(chosen, reasons, strict=False)
                ]
            )

    async def cancel_services(self, case: UUID, version: int) -> None:
        rows = await self.room.rows(
            "SELECT referral_id, service_id FROM service WHERE case_id = $1 ORDER BY referral_id, position", case
        )
        chosen = self.dice.choice(rows)
        services = self.dice.choice([[], [chosen["service_id"]]])
        await self.room.triage.cancel_services(
            case, version, chosen["referral_id"], CancelReason.TAKEN_BACK, by=BOARD, reason="x", service_ids=services
        )

    async def confirm_plan(self, case: UUID, version: int) -> None:
        plan = await self.find_plan(case)
        proposal = plan.services if plan else ()
        edits = PlanChanges()
        if proposal and self.dice.random() < 0.5:
            chosen = self.dice.choice(proposal).service
            edits = self.dice.choice(
                [
                    PlanChanges({chosen: "not needed"}),
                    PlanChanges(agencies={chosen: self.dice.choice(AGENCIES)}),
                    PlanChanges(added=[AddedService(Service.SOCIAL_AID, "dinsos-peksos", "")]),
                ]
            )
        await self.room.plans.confirm_plan(case, version, edits, by=BOARD, reason="")

    async def find_plan(self, case: UUID) -> ServicePlan | None:
        async with self.room.engine.connect() as connection:
            return await find_open_plan(connection, self.room.keys, case)

    async def mediate(self, case: UUID, version: int) -> None:
        await self.room.triage.record_mediation(case, version, by=BOARD, reason="")

    async def end(self, case: UUID, version: int) -> None:
        await self.room.end.close_case(case, version, CaseEnd.CLOSED, by=BOARD, reason="x")

    async def reopen(self, case: UUID, version: int) -> None:
        await self.room.end.reopen_case(case, version, by=BOARD, reason="x")

    async def merge(self, case: UUID, version: int) -> None:
        others = [other for other in self.cases if other != case]
        if others:
            await self.room.end.merge_cases(case, version, self.dice.choice(others), by=BOARD, reason="x")

    async def wait(self) -> None:
        self.room.now += timedelta(minutes=self.dice.choice([3, 20, 200, 3000]))
        await self.room.take_due_steps()

    async def step(self) -> None:
        of_anybody = [self.reply, self.reply, self.reply, self.reply, self.amend, self.wait, self.decline_together]
        of_a_person = [
            self.exclude,
            self.change_urgency,
            self.offer_service,
            self.cancel_services,
            self.mediate,
            self.end,
            self.reopen,
            self.merge,
            self.settle,
            self.void,
            self.decide,
            self.confirm_plan,
            self.confirm_plan,
        ]
        chosen = self.dice.randrange(len(of_anybody) + len(of_a_person))
        if chosen < len(of_anybody):
            await of_anybody[chosen]()
            return
        case = self.dice.choice(self.cases)
        try:
            await of_a_person[chosen - len(of_anybody)](case, await self.room.version(case))
        except REFUSED:
            return

    async def check(self, sent: int = 0, published: int = 0) -> None:
        """Checks the invariants after an action; `sent` and `published` are the numbers of events before it."""
        await self._check_excluded_agencies(sent, published)
        services = await self.room.rows(
            "SELECT r.case_id, r.service, r.role, r.agency, r.state, p.ended_at, p.mediation_locked, p.situation FROM "
            "service r JOIN case_plan p USING (case_id) WHERE r.ended_at IS NULL"
        )
        leads = Counter((row["case_id"], row["service"]) for row in services if row["role"] == "lead")
        for row in services:
            assert row["ended_at"] is None, "a service is open in a case that has ended"
            if row["state"] == "declined":
                facts = decode_facts(
                    self.room.keys.decrypt(row["situation"], associated_data=case_context(row["case_id"]))
                )
                gave_up = await self.room.rows(
                    "SELECT agency FROM service WHERE case_id = $1 AND service = 'manual_triage'"
                    " AND state IN ('declined', 'rerouted')",
                    row["case_id"],
                )
                left = caretaker(kediri(), facts.origin, {other["agency"] for other in gave_up})
                assert left == "", "a declined service was not rerouted although an agency was left"
        assert not [key for key, count in leads.items() if count > 1 and key[1] != "manual_triage"], "two leads"
        await self._check_outstanding_services()
        await self._check_what_agencies_know()
        await self._check_disclosures()
        await self._somebody_decides()
        await self._check_plans()
        await self._check_the_agreement()
        clocks = await self.room.rows(
            "SELECT 1 FROM clock c JOIN service r USING (service_id)"
            " WHERE r.ended_at IS NOT NULL AND c.next_at IS NOT NULL"
        )
        assert clocks == [], "a clock runs for a service that has ended"
        for case in await self.room.rows("SELECT * FROM case_plan WHERE ended_at IS NULL"):
            facts = decode_facts(
                self.room.keys.decrypt(case["situation"], associated_data=case_context(case["case_id"]))
            )
            is_sexual = "sexual" in normalize_situation(facts.situation)["violence"]
            assert not is_sexual or case["mediation_locked"], "R1"

    async def _check_plans(self) -> None:
        """Every planned service that is needed was offered, or awaits the one open plan, or was left out by a person.

        It waits elsewhere only for a decision about an exclusion. Of a case that has ended nothing awaits a decision.
        """
        for row in await self.room.rows("SELECT case_id, urgency, ended_at, situation FROM case_plan"):
            plan = await self.find_plan(row["case_id"])
            facts = decode_facts(self.room.keys.decrypt(row["situation"], associated_data=case_context(row["case_id"])))
            if row["ended_at"] is not None:
                assert plan is None, "a plan awaits a decision in a case that has ended"
                continue
            proposal = plan.services if plan else ()
            assert not {one.agency for one in proposal} & facts.origin.excluded, "R6: a plan names an excluded agency"
            assert not {one.service for one in proposal} & facts.left_out
            leads = [one.service for one in proposal if one.role is ReferralRole.LEAD]
            assert len(set(leads)) == len(leads), "two leads"
            if plan and set(AGENCIES) - facts.origin.excluded:
                assert plan.agency not in facts.origin.excluded | {""}
            led = {
                r["service"]
                for r in await self.room.rows(
                    "SELECT coalesce(escalated_service, service) AS service FROM service WHERE role = 'lead' AND"
                    " (ended_at IS NULL OR state = 'completed') AND (case_id = $1 OR case_id IN"
                    " (SELECT case_id FROM case_plan WHERE merged_into = $1))",
                    row["case_id"],
                )
            }
            assert not {service.value for service in leads} & led, "a service has a lead and is proposed"

    async def _check_the_agreement(self) -> None:
        """R1, R3, R5, R9 and R10: what the agreement requires at once for the facts was offered with a lead.

        A service waits only where a person decides first about a suggestion, or where every agency is excluded.
        """
        led = {
            row["case_id"]: set(row["services"])
            for row in await self.room.rows(
                "SELECT coalesce(p.merged_into, p.case_id) AS case_id,"
                " array_agg(coalesce(s.escalated_service, s.service)) AS services"
                " FROM service s JOIN case_plan p USING (case_id) WHERE s.role = 'lead' GROUP BY 1"
            )
        }
        for case in await self.room.rows("SELECT case_id, situation FROM case_plan WHERE ended_at IS NULL"):
            facts = decode_facts(
                self.room.keys.decrypt(case["situation"], associated_data=case_context(case["case_id"]))
            )
            decision = ENGINE.decide(facts.situation, facts.origin)
            required = {one.service for one in decision.assignments if one.lead and one.phase is Phase.IMMEDIATE}
            if not facts.pending:
                assert required - {Service(one) for one in led.get(case["case_id"], ())} == set(), "R10: no lead"
            named = normalize_situation(facts.situation)
            if named["violence"] & {"sexual", "trafficking"} and not facts.pending:
                assert {Service.POLICE_REPORT, Service.CASE_MANAGEMENT} <= required or facts.origin.excluded, "R1"
            if "no" in named["safe_now"]:
                assert Service.EMERGENCY_PROTECTION in required or facts.origin.excluded, "R3"
            if "unknown" in named["violence"]:
                assert Service.MANUAL_TRIAGE in required or facts.origin.excluded, "R9"

    async def _check_outstanding_services(self) -> None:
        """A rerouted service is continued by another until it is completed or cancelled."""
        lost = await self.room.rows(
            "SELECT r.service_id FROM service r WHERE r.state = 'rerouted' AND NOT EXISTS ("
            " SELECT FROM service s WHERE s.rerouted_from = r.service_id"
            " AND coalesce(s.escalated_service, s.service) = coalesce(r.escalated_service, r.service))"
        )
        assert lost == [], "a hand-over lost its service"

    async def _check_what_agencies_know(self) -> None:
        """Each agency is offered one referral in a case, and its events name the services that it has to act on."""
        excluded: dict[UUID, frozenset[str]] = {}
        for case in await self.room.rows(
            "SELECT case_id, coalesce(merged_into, case_id) AS c, situation FROM case_plan"
        ):
            facts = decode_facts(
                self.room.keys.decrypt(case["situation"], associated_data=case_context(case["case_id"]))
            )
            excluded[case["c"]] = excluded.get(case["c"], frozenset()) | facts.origin.excluded
        known: dict[str, set[str]] = {}
        for event in self.room.events:
            data = event["data"]
            if event["type"] == "referral.offered.v1":
                assert data["referral_id"] not in known, "a referral was offered twice"
            if event["type"] in ("referral.offered.v1", "referral.amended.v1"):
                assert event["type"] == "referral.offered.v1" or data["referral_id"] in known, "amended before offered"
                known[data["referral_id"]] = {service["service_id"] for service in data["services"]}
            if event["type"] in ENDS and data["referral_id"] in known:
                known[data["referral_id"]] -= {service["service_id"] for service in data["services"]}
        for row in await self.room.rows(
            "SELECT r.referral_id::text, r.agency, coalesce(p.merged_into, p.case_id) AS case_id, ARRAY("
            " SELECT service_id::text FROM referral_service s WHERE s.referral_id = r.referral_id"
            " AND ended_at IS NULL AND state <> 'declined') AS services"
            " FROM referral r JOIN case_plan p USING (case_id)"
        ):
            if row["agency"] not in excluded[row["case_id"]]:
                assert known.get(row["referral_id"], set()) == set(row["services"]), "an agency knows another referral"

    async def _check_disclosures(self) -> None:
        """R6 and R7: by the last decision that intake got, an agency holds only what its services need now."""
        newest = {
            event["data"]["referral_id"]: terms_of(self.room, event)
            for event in self.room.events
            if event["type"] == "disclosure.decided.v1"
        }
        for row in await self.room.rows(
            "SELECT r.referral_id::text, r.agency, r.case_id, p.situation, ARRAY("
            " SELECT service FROM referral_service s WHERE s.referral_id = r.referral_id"
            " AND state IN ('accepted', 'scheduled', 'unattended', 'in_progress')) AS serving"
            " FROM referral r JOIN case_plan p ON p.case_id = r.case_id"
        ):
            held = newest.get(row["referral_id"])
            if held is None or not held.sections:
                continue
            facts = decode_facts(self.room.keys.decrypt(row["situation"], associated_data=case_context(row["case_id"])))
            assert row["agency"] not in facts.origin.excluded, "R6: an excluded agency may hold the dossier"
            needed = {section for service in row["serving"] for section in NEEDS.get(service, ())}
            assert {section.value for section in held.sections} <= needed, "more than its services need"
            assert held.basis is not None, "R7: no basis"

    async def _somebody_decides(self) -> None:
        """A case has an open review if and only if a suggestion is pending, with an agency that may decide."""
        reviewers = {
            row["case_id"]: row["agency"]
            for row in await self.room.rows("SELECT case_id, agency FROM exclusion_review WHERE closed_at IS NULL")
        }
        for case in await self.room.rows("SELECT case_id, ended_at, situation FROM case_plan"):
            facts = decode_facts(
                self.room.keys.decrypt(case["situation"], associated_data=case_context(case["case_id"]))
            )
            is_pending = bool(facts.pending) and case["ended_at"] is None
            assert (case["case_id"] in reviewers) == is_pending
            assert (
                reviewers.get(case["case_id"]) not in facts.origin.excluded or not set(AGENCIES) - facts.origin.excluded
            )

    async def _check_excluded_agencies(self, sent: int, published: int) -> None:
        """R6: nothing of a case is sent to an agency after its exclusion, escalations included.

        It hears that its decline was recorded, and why a reply of its own is refused.
        """
        for case in await self.room.rows("SELECT case_id, situation FROM case_plan"):
            facts = decode_facts(
                self.room.keys.decrypt(case["situation"], associated_data=case_context(case["case_id"]))
            )
            for key, event in self.room.sent[sent:]:
                if event["correlationid"] == str(case["case_id"]) and event["type"] not in ITS_OWN_DOING:
                    assert key.split(".")[1] not in facts.origin.excluded, event["type"]
            for event in self.room.events[published:]:
                if event["correlationid"] == str(case["case_id"]):
                    assert not facts.origin.excluded & set(event["data"].get("escalation_targets", ()))


@pytest.mark.parametrize("seed", range(12))
async def test_no_history_informs_an_excluded_agency_or_loses_or_doubles_a_service(
    planning_room: Room, seed: int
) -> None:
    room = planning_room
    history = History(room, seed)
    await history.report()
    await history.report()
    await history.check()
    assert set(AGENCIES) <= CITY.agency_codes

    for _ in range(25):
        before = len(room.sent), len(room.events)
        await history.step()
        await history.check(*before)
