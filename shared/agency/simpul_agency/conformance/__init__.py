"""Tries any consumer, in any language, against a simulated city on a real broker, from outside."""

from simpul_agency.conformance.case import CASES, Case
from simpul_agency.conformance.report import Outcome, Verdict
from simpul_agency.conformance.running import run_cases

__all__ = ["CASES", "Case", "Outcome", "Verdict", "run_cases"]
