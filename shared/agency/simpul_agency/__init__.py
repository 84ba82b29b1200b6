"""The kit an agency runs: it receives, verifies, opens and stores referrals, calls handlers once, and replies."""

from simpul_agency.agency import Agency
from simpul_agency.received_event import ReceivedEvent
from simpul_agency.reply import Reply
from simpul_agency.settings import AgencySettings

__all__ = ["Agency", "AgencySettings", "ReceivedEvent", "Reply"]
