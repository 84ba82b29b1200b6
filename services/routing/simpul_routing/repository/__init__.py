"""The only SQL of routing."""

from simpul_routing.repository.cases import (
    StoredCase,
    add_case_transition,
    add_plan,
    cases_for_update,
    cases_of,
    move_cases,
    write_case,
    write_ledgers,
)
from simpul_routing.repository.clocks import advance, clocks_of, due_clocks, due_referrals, reset, stop_clocks
from simpul_routing.repository.indicators import Grouping, clock_figures, referral_figures, right_figures
from simpul_routing.repository.referrals import (
    add_referral,
    add_refusal,
    agencies_asked,
    amend,
    leads_of,
    move,
    note_delivered,
    referrals_for_update,
    referrals_free_for_update,
    referrals_of_cases_for_update,
)
from simpul_routing.repository.views import referrals_of, transitions_of, worklist

__all__ = [
    "Grouping",
    "StoredCase",
    "add_case_transition",
    "add_plan",
    "add_referral",
    "add_refusal",
    "advance",
    "agencies_asked",
    "amend",
    "cases_for_update",
    "cases_of",
    "clock_figures",
    "clocks_of",
    "due_clocks",
    "due_referrals",
    "leads_of",
    "move",
    "move_cases",
    "note_delivered",
    "referral_figures",
    "referrals_for_update",
    "referrals_free_for_update",
    "referrals_of",
    "referrals_of_cases_for_update",
    "reset",
    "right_figures",
    "stop_clocks",
    "transitions_of",
    "worklist",
    "write_case",
    "write_ledgers",
]
