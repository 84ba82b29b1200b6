"""The inbox: every delivery is verified, stored once and handled in one transaction with the others of its batch.

A delivery ends in one of four ways: handled; waiting for its predecessor; retrying; parked with a reason. It is stored
before it is acknowledged, whatever its end. While the database is unavailable nothing is acknowledged, and the messages
stay in the broker.
"""

from simpul_runtime.inbox.dispatcher import Handler
from simpul_runtime.inbox.inbox import Inbox
from simpul_runtime.inbox.verification import Delivery

__all__ = ["Delivery", "Handler", "Inbox"]
