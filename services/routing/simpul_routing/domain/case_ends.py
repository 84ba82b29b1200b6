"""A case file ends, is reopened, or takes over a duplicate."""

from simpul_routing.domain.case_lifecycle import CaseAction
from simpul_routing.domain.case_transfers import CaseTransfers
from simpul_routing.domain.disclosure import find_serving
from simpul_routing.domain.exclusions import find_units
from simpul_routing.domain.lifecycle import ServiceState
from simpul_routing.domain.published import CaseClosed, CaseMerged, CaseVoided, RightsChanged
from simpul_routing.domain.replanning import Cause
from simpul_routing.domain.rights import list_unsettled_rights
from simpul_routing.errors import CaseMerged as AlreadyMerged
from simpul_routing.errors import CaseNotEnded, ReasonMissing, RightsUnsettled
from simpul_schema.vocabulary import CancelReason, CaseEnd, PlanEnd, ReplanReason


class CaseEnds(CaseTransfers):
    """The end of a case, and what may follow it."""

    def close(self, end: CaseEnd, actor: str, note: str) -> None:
        """Terminates the case and cancels its open services.

        A case cannot be closed as completed while a right is unsettled (RightsUnsettled) or a suggested exclusion is
        undecided (`refuse_undecided`); any other end requires a reason (ReasonMissing), and nobody of a suspected
        agency closes it (DecisionOutstanding). A child in danger is not left
        before the party that takes it over has acknowledged (TransferNotAcknowledged).
        """
        if end is not CaseEnd.COMPLETED and not note:
            raise ReasonMissing
        self.check_unsuspected()
        self.check_transferred(end)
        if end is CaseEnd.COMPLETED:
            if self.facts.pending:
                raise self.refuse_undecided(self.facts.pending)
            unsettled = list_unsettled_rights(self.case.rights)
            if unsettled:
                raise RightsUnsettled(unsettled)
        self.cancel_open_services(ServiceState.CANCELLED, CancelReason.CASE_ENDED, actor)
        self.close_review()
        self.close_plan(PlanEnd.CLOSED)
        now = self.rules.now
        self.change_state(CaseAction.CLOSED, actor, note=note, end=end, ended_as=end, ended_at=now)
        self.enqueue(CaseClosed(end))

    def void(self, actor: str, note: str) -> None:
        """Marks the case and its open services as entered in error. Raises ReasonMissing, DecisionOutstanding."""
        if not note:
            raise ReasonMissing
        self.check_unsuspected()
        self.cancel_open_services(ServiceState.ENTERED_IN_ERROR, CancelReason.ENTERED_IN_ERROR, actor)
        self.close_review()
        self.close_plan(PlanEnd.CLOSED)
        self.change_state(CaseAction.VOIDED, actor, note=note, ended_at=self.rules.now)
        self.enqueue(RightsChanged(self.case.ledger))
        self.enqueue(CaseVoided())

    def reopen(self, actor: str, note: str) -> None:
        """Reopens the case and offers again the services that ended with it.

        Raises ReasonMissing, CaseMerged, CaseNotEnded.
        """
        if not note:
            raise ReasonMissing
        if self.case.merged_into:
            raise AlreadyMerged(self.case.merged_into)
        if not self.case.has_ended:
            raise CaseNotEnded
        ended = self.find_services_ended_with_case()
        by_hand = [service for service in ended if service.by_hand]
        self.reopen_case(actor, note=note)
        self.replan(self.facts, Cause(ReplanReason.CASE_REOPENED, actor), joining=by_hand, ended=ended)

    def merge_into(self, other: "CaseEnds", actor: str, note: str) -> None:
        """Merges this case into another one of the same child, which takes over its facts and exclusions.

        Open services that the other case lacks join its referrals to the same agencies, under the same clocks; an open
        service plan becomes part of that of the other case, by the earlier of the two deadlines. Raises ReasonMissing,
        and what `refuse_undecided` returns while either case suggests to exclude an agency that serves one of them:
        the dossier of each would have the reports of both, and the agency would read what the other report states
        about its people.
        """
        if not note:
            raise ReasonMissing
        pending = self.facts.pending | other.facts.pending
        undecided = find_units(pending, self.rules.agreement)
        referrals = [*self.referrals.values(), *other.referrals.values()]
        if any(one.agency in undecided and find_serving(one) for one in referrals):
            raise self.refuse_undecided(pending)
        joining = [service for service in self.own_services if service.standing.is_open]
        facts, into = other.facts.merge_duplicate(self.facts), other.case_id
        before, plan = self.case, self.plan
        # The exclusions of the other case hold for the agencies of this one, too (R6).
        excluded = facts.origin.excluded
        self.close_review(informs_agency=self.review is not None and self.review.agency not in excluded)
        self.close_plan(PlanEnd.CLOSED, facts=facts)
        self.change_state(CaseAction.MERGED, actor, note=note, ended_at=self.rules.now, merged_into=into)
        other.take_over_referrals(self)
        cause = Cause(ReplanReason.DUPLICATE_MERGED, actor, note=note)
        other.replan(facts, cause, duplicate=before, joining=joining)
        if plan:
            other.bring_plan_forward(plan.clock)
        self.enqueue(CaseMerged(into))

    def take_over_referrals(self, duplicate: "CaseEnds") -> None:
        """Counts the referrals of a duplicate as those of this case from now on."""
        self.referrals |= duplicate.referrals
        self.loaded_referrals |= duplicate.loaded_referrals
        self.loaded_elsewhere |= dict.fromkeys(duplicate.loaded_referrals, duplicate.loaded_case)
        self.loaded_elsewhere |= duplicate.loaded_elsewhere
        duplicate.referrals, duplicate.loaded_referrals = {}, {}
        self.transfers |= duplicate.transfers
        self.loaded_transfers |= duplicate.loaded_transfers
        duplicate.transfers, duplicate.loaded_transfers = {}, {}
        self.update_transfer_clock()
