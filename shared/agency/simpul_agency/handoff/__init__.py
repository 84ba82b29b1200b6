"""Handing referrals to whatever an agency works with, without programming: chosen by settings."""

from simpul_agency.handoff.chosen import HandOffs
from simpul_agency.handoff.settings import HandOffSettings

__all__ = ["HandOffSettings", "HandOffs"]
