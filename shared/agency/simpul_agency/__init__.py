"""The kit an agency runs: receive referrals, verify, open, reply."""

from simpul_agency.agency import Agency
from simpul_agency.received import ReceivedReferral, Reply
from simpul_agency.settings import AgencySettings

__all__ = ["Agency", "AgencySettings", "ReceivedReferral", "Reply"]
