"""Encrypts the messages that a service keeps, because their senders may have written anything into them.

A contract keeps personal data in sealed sections. A faulty program of an agency can still put a name into a field that
the contract lacks, into a header or into a routing key, and then the message waits or is parked.
"""

import json
from typing import Final

from simpul_runtime.inbox.verification import Delivery
from simpul_runtime.signing import Keys
from simpul_schema.catalog import CATALOG
from simpul_schema.names import REPLIES
from simpul_schema.tracing import TRACEPARENT, traceparent_in

_MARK: Final = b"\1simpul-kept\n"
"""Begins an encrypted message; rows of older versions have the message in clear."""
_CONTRACT_PARTS: Final = frozenset(part for row in CATALOG for part in row.wire_name.split("."))
_AGENCY_POSITION: Final = 1
UNKNOWN_PART: Final = "?"


def encrypt_delivery(delivery: Delivery, keys: Keys, *, row: str) -> bytes:
    """Encrypts body, signature and routing key with the service's own key; `row` names the row that keeps them."""
    about = {"signature": delivery.signature, "routing_key": delivery.routing_key, TRACEPARENT: delivery.traceparent}
    head = json.dumps(about)
    return _MARK + keys.encrypt(head.encode() + b"\n" + delivery.body, associated_data=row)


def decrypt_delivery(stored: Delivery, keys: Keys, *, row: str) -> Delivery:
    """Returns the message of a row, whose body is encrypted or, in a row of an older version, in clear.

    Raises NotForUs if the content was altered or moved to another row.
    """
    if not stored.body.startswith(_MARK):
        return stored
    head, _, body = keys.decrypt(stored.body.removeprefix(_MARK), associated_data=row).partition(b"\n")
    about = json.loads(head)
    trace = traceparent_in(about)
    return Delivery(body, about["signature"], stored.exchange, about["routing_key"], traceparent=trace)


def mask_routing_key(delivery: Delivery) -> str:
    """Returns the routing key with every part that is neither of the contract nor the agency that replies masked.

    The broker lets an agency publish under its own code only; it may choose the parts after that.
    """
    parts = delivery.routing_key.split(".")
    is_reply = delivery.exchange == REPLIES
    return ".".join(
        part if part in _CONTRACT_PARTS or (is_reply and position == _AGENCY_POSITION) else UNKNOWN_PART
        for position, part in enumerate(parts)
    )
