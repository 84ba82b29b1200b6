"""What an agency has received and what it still has to send, kept so that neither a crash nor an outage loses it."""

from simpul_agency.store.store import Report, Store
from simpul_agency.store.version import StoreNewer

__all__ = ["Report", "Store", "StoreNewer"]
