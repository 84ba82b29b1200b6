"""The kit an agency runs: receive, verify, open, handle once, reply."""

from simpul_agency.agency import Agency
from simpul_agency.received import Received, Reply
from simpul_agency.settings import AgencySettings

__all__ = ["Agency", "AgencySettings", "Received", "Reply"]
