"""Invariants of cases over random histories on a real database."""

import random
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from simpul_agreement.implications import normalize_situation
from simpul_agreement.plan import caretaker
from simpul_routing.domain.exclusions import SuggestionState
from simpul_routing.errors import (
    AgencyExcluded,
    AgencyNotEligible,
    AlreadyServed,
    CaseEnded,
    CaseMerged,
    CaseNotEnded,
    ExclusionUndecided,
    MediationLocked,
    OtherServiceOutstanding,
    ReferralUnknown,
    RightsUnsettled,
    StageNotAllowed,
    SuggestionAlreadyDecided,
    SuggestionUnknown,
)
from simpul_routing.stored_facts import case_context, decode_facts
from simpul_schema.vocabulary import CancelReason, CaseEnd, DeclineReason, ReferralRole, Service, Urgency
from tests.integration.routing.conftest import Room
from tests.support.agreements import CITY, kediri

AGENCIES = ["polres-ppa", "uptd-ppa", "ylpa", "dinsos-peksos", "klinik-pendidikan", "rs-rujukan", "satgas-kel-bujel"]
ANSWERS = ("safe_now", "injured", "in_school", "pregnant", "perpetrator_lives_with_child", "disability_need")
REPLIES = ("delivered", "seen", "accepted", "accepted", "started", "completed", "declined", "declined")
ITS_OWN_DOING = ("referral.declined.v1", "referral.reply_refused.v1")
REFUSED = (
    AgencyExcluded, AgencyNotEligible, AlreadyServed, CaseEnded, CaseMerged, CaseNotEnded, ExclusionUndecided,
    MediationLocked, OtherServiceOutstanding, ReferralUnknown, RightsUnsettled, StageNotAllowed,
    SuggestionAlreadyDecided, SuggestionUnknown,
)  # fmt: skip


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
            "SELECT referral_id::text, case_id::text, agency FROM referral ORDER BY offered_at, referral_id"
        )
        kind = self.dice.choice(
            ["delivered", "seen", "accepted", "accepted", "started", "completed", "declined", "declined"]
        )
        more: dict[str, Any] = {}
        if kind == "declined":
            more["reason"] = self.dice.choice([DeclineReason.NO_CAPACITY, DeclineReason.CONFLICT_OF_INTEREST]).value
        if kind == "completed":
            more["outcome"] = "served"
        await self.room.reply(kind, self.dice.choice(rows), **more)

    async def amend(self) -> None:
        suggested = self.dice.sample(AGENCIES, self.dice.choice([0, 0, 1]))
        await self.room.amend(self.dice.choice(self.cases), **self.facts(), suggested_exclusions=suggested)

    async def decide(self, case: UUID, version: int) -> None:
        agency = self.dice.choice(AGENCIES)
        state = self.dice.choice([SuggestionState.CONFIRMED, SuggestionState.REJECTED])
        await self.room.decisions.decide_suggestion(case, version, agency, state, by="city-board", reason="x")

    async def exclude(self, case: UUID, version: int) -> None:
        agency = self.dice.choice(AGENCIES)
        await self.room.triage.exclude_agency(case, version, agency, by="uptd-ppa", reason="too close")

    async def change_urgency(self, case: UUID, version: int) -> None:
        await self.room.triage.change_urgency(case, version, self.dice.choice(list(Urgency)), by="uptd-ppa", reason="x")

    async def offer_referral(self, case: UUID, version: int) -> None:
        service, agency = self.dice.choice(list(Service)), self.dice.choice(AGENCIES)
        role, reason = self.dice.choice([(ReferralRole.SUPPORT, "x"), (ReferralRole.LEAD, "")])
        await self.room.triage.offer_referral(case, version, service, agency, role, by="uptd-ppa", reason=reason)

    async def settle(self, case: UUID, version: int) -> None:
        triages = await self.room.rows(
            "SELECT referral_id, escalated_service FROM referral WHERE case_id = $1 AND ended_at IS NULL AND"
            " service = 'manual_triage' ORDER BY offered_at, referral_id",
            case,
        )
        for row in triages[:1]:
            service, agency = Service(row["escalated_service"] or "social_aid"), self.dice.choice(AGENCIES)
            await self.room.triage.offer_referral(
                case, version, service, agency, ReferralRole.LEAD, by="uptd-ppa", reason="", settles=row["referral_id"]
            )

    async def void(self, case: UUID, version: int) -> None:
        await self.room.end.void_case(case, version, by="uptd-ppa", reason="x")

    async def decline_together(self) -> None:
        rows = await self.room.rows(
            "SELECT referral_id::text, case_id::text, agency FROM referral WHERE ended_at IS NULL ORDER BY referral_id"
        )
        chosen = self.dice.sample(rows, min(3, len(rows)))
        reasons = [DeclineReason.CONFLICT_OF_INTEREST, DeclineReason.NO_CAPACITY, DeclineReason.OUTSIDE_AREA]
        if chosen:
            await self.room.receive([
                self.room.build_reply("declined", row, reason=reason.value)
                for row, reason in zip(chosen, reasons, strict=False)
            ])  # fmt: skip

    async def cancel_referral(self, case: UUID, version: int) -> None:
        rows = await self.room.rows("SELECT referral_id FROM referral WHERE case_id = $1 ORDER BY referral_id", case)
        chosen = self.dice.choice(rows)["referral_id"]
        await self.room.triage.cancel_referral(
            case, version, chosen, CancelReason.TAKEN_BACK, by="uptd-ppa", reason="x"
        )

    async def mediate(self, case: UUID, version: int) -> None:
        await self.room.triage.record_mediation(case, version, by="uptd-ppa", reason="")

    async def end(self, case: UUID, version: int) -> None:
        await self.room.end.close_case(case, version, CaseEnd.CLOSED, by="uptd-ppa", reason="x")

    async def reopen(self, case: UUID, version: int) -> None:
        await self.room.end.reopen_case(case, version, by="uptd-ppa", reason="x")

    async def merge(self, case: UUID, version: int) -> None:
        others = [other for other in self.cases if other != case]
        if others:
            await self.room.end.merge_cases(case, version, self.dice.choice(others), by="uptd-ppa", reason="x")

    async def wait(self) -> None:
        self.room.now += timedelta(minutes=self.dice.choice([3, 20, 200]))
        await self.room.take_due_steps()

    async def step(self) -> None:
        of_anybody = [self.reply, self.reply, self.reply, self.reply, self.amend, self.wait, self.decline_together]
        of_a_person = [
            self.exclude, self.change_urgency, self.offer_referral, self.cancel_referral,
            self.mediate, self.end, self.reopen,
            self.merge, self.settle, self.void, self.decide,
        ]  # fmt: skip
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
        referrals = await self.room.rows(
            "SELECT r.case_id, r.service, r.role, r.agency, r.state, p.ended_at, p.mediation_locked, p.situation FROM "
            "referral r JOIN case_plan p USING (case_id) WHERE r.ended_at IS NULL"
        )
        leads = Counter((row["case_id"], row["service"]) for row in referrals if row["role"] == "lead")
        for row in referrals:
            assert row["ended_at"] is None, "a referral is open in a case that has ended"
            if row["state"] == "declined":
                facts = decode_facts(self.room.keys.unlock(row["situation"], place=case_context(row["case_id"])))
                gave_up = await self.room.rows(
                    "SELECT agency FROM referral WHERE case_id = $1 AND service = 'manual_triage'"
                    " AND state IN ('declined', 'rerouted')",
                    row["case_id"],
                )
                left = caretaker(kediri(), facts.origin, {other["agency"] for other in gave_up})
                assert left == "", "a declined referral was not rerouted although an agency was left"
        assert not [key for key, count in leads.items() if count > 1 and key[1] != "manual_triage"], "two leads"
        await self._check_outstanding_services()
        await self._somebody_decides()
        clocks = await self.room.rows(
            "SELECT 1 FROM clock c JOIN referral r USING (referral_id)"
            " WHERE r.ended_at IS NOT NULL AND c.next_at IS NOT NULL"
        )
        assert clocks == [], "a clock runs for a referral that has ended"
        for case in await self.room.rows("SELECT * FROM case_plan WHERE ended_at IS NULL"):
            facts = decode_facts(self.room.keys.unlock(case["situation"], place=case_context(case["case_id"])))
            is_sexual = "sexual" in normalize_situation(facts.situation)["violence"]
            assert not is_sexual or facts.situation["perpetrator_is_child"] == {"yes"} or case["mediation_locked"], "R1"

    async def _check_outstanding_services(self) -> None:
        """A rerouted service has a referral that continues it until the service is completed or cancelled."""
        lost = await self.room.rows(
            "SELECT r.referral_id FROM referral r WHERE r.state = 'rerouted' AND NOT EXISTS ("
            " SELECT FROM referral s WHERE s.rerouted_from = r.referral_id"
            " AND coalesce(s.escalated_service, s.service) = coalesce(r.escalated_service, r.service))"
        )
        assert lost == [], "a hand-over lost its service"

    async def _somebody_decides(self) -> None:
        """A case has an open review if and only if a suggestion is pending, with an agency that may decide."""
        reviewers = {row["case_id"]: row["agency"] for row in await self.room.rows(
            "SELECT case_id, agency FROM exclusion_review WHERE closed_at IS NULL"
        )}  # fmt: skip
        for case in await self.room.rows("SELECT case_id, ended_at, situation FROM case_plan"):
            facts = decode_facts(self.room.keys.unlock(case["situation"], place=case_context(case["case_id"])))
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
            facts = decode_facts(self.room.keys.unlock(case["situation"], place=case_context(case["case_id"])))
            for key, event in self.room.sent[sent:]:
                if event["correlationid"] == str(case["case_id"]) and event["type"] not in ITS_OWN_DOING:
                    assert key.split(".")[1] not in facts.origin.excluded, event["type"]
            for event in self.room.events[published:]:
                if event["correlationid"] == str(case["case_id"]):
                    assert not facts.origin.excluded & set(event["data"].get("escalation_targets", ()))


@pytest.mark.parametrize("seed", range(12))
async def test_no_history_informs_an_excluded_agency_or_loses_or_doubles_a_service(room: Room, seed: int) -> None:
    history = History(room, seed)
    await history.report()
    await history.report()
    await history.check()
    assert set(AGENCIES) <= CITY.agency_codes

    for _ in range(25):
        before = len(room.sent), len(room.events)
        await history.step()
        await history.check(*before)
