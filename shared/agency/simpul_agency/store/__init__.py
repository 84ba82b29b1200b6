"""The agency's store: received events and unpublished replies, safe from crashes and outages."""

from simpul_agency.store.store import Backlog, DraftReport, Store
from simpul_agency.store.version import StoreNewer

__all__ = ["Backlog", "DraftReport", "Store", "StoreNewer"]
