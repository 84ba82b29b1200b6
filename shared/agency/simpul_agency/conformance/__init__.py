"""Tests a consumer in any language from outside, against a simulated city on a real broker."""

from simpul_agency.conformance.case import CASES, Case
from simpul_agency.conformance.report import Outcome, Verdict
from simpul_agency.conformance.runner import run_cases

__all__ = ["CASES", "Case", "Outcome", "Verdict", "run_cases"]
