"""The one declaration of what the broker holds; applied by `simpul topology apply`, never by a service."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product

from simpul_city import FilteredQueue
from simpul_schema.names import (
    DEAD,
    EVENTS,
    REFERRALS,
    REPLIES,
    UNROUTED,
    agency_inbox,
    broker_user,
    filtered_queue,
    own_queues_pattern,
    own_replies_pattern,
    referral_binding,
    service_inbox,
    topic_of,
)

_SERVICE_BINDINGS: dict[str, tuple[tuple[str, str], ...]] = {
    # A consumer takes whole streams of a source, because it holds an event until its predecessor is done.
    "routing": ((EVENTS, "case.reported.v1"), (EVENTS, "case.amended.v1"), (REPLIES, "reply.#")),
    "notify": ((EVENTS, "referral.#"), (EVENTS, "case.agency_excluded.v1")),
    "desk": ((EVENTS, "case.#"), (EVENTS, "right.#"), (EVENTS, "referral.#"), (EVENTS, "alert.#")),
}


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange; what it cannot route goes to its alternate."""

    name: str
    type: str
    alternate: str = ""


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable quorum queue and what it is bound to, as (exchange, routing key)."""

    name: str
    bindings: tuple[tuple[str, str], ...]
    is_last_net: bool = False
    is_copy: bool = False
    """What it holds is in an inbox too, so it may drop its oldest rather than hold anybody up."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Tunables of the queues whose name matches; a policy can change, a queue's arguments cannot."""

    name: str
    pattern: str
    definition: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the broker and what it may do; each pattern is a whole-word regular expression over resource names."""

    user: str
    write: str
    """Exchanges it may publish to."""
    read: str
    """Queues it may take from."""
    topics: dict[str, str] = field(default_factory=dict)
    """Exchange -> the routing keys it may publish there."""
    configure: str = "^$"
    """What it may declare or delete: nothing."""


NOTHING = "^$"


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything the broker must hold."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    policies: tuple[Policy, ...]


def declare_filtered_queue(queue: FilteredQueue) -> Queue:
    """The queue in which an agency gets the named services and urgencies of what is addressed to it."""
    keys = product(queue.services or ("*",), queue.urgencies or ("*",))
    return Queue(
        filtered_queue(queue.agency, queue.name),
        tuple((REFERRALS, referral_binding(queue.agency, topic_of(*words))) for words in keys),
        is_copy=True,
    )


def agency_account(agency: str, *, is_suspended: bool = False) -> Account:
    """What an agency may do on the broker: take from its own queues, and say its own replies (messaging.md, 4)."""
    if is_suspended:
        return Account(broker_user(agency), NOTHING, NOTHING, dict.fromkeys((EVENTS, REFERRALS, REPLIES), NOTHING))
    return Account(
        user=broker_user(agency),
        write=f"^{re.escape(REPLIES)}$",
        read=own_queues_pattern(agency),
        topics={EVENTS: NOTHING, REFERRALS: NOTHING, REPLIES: own_replies_pattern(agency)},
    )


def topology_of(agencies: Iterable[str], filtered_queues: Iterable[FilteredQueue] = ()) -> Topology:
    """The topology of a city with these agencies, and the queues they have beside their inboxes."""
    exchanges = (
        Exchange(UNROUTED, "fanout"),
        Exchange(DEAD, "topic"),
        *(Exchange(name, "topic", alternate=UNROUTED) for name in (EVENTS, REFERRALS, REPLIES)),
    )
    queues = (
        Queue(UNROUTED, ((UNROUTED, "#"),), is_last_net=True),
        Queue(DEAD, ((DEAD, "#"),), is_last_net=True),
        *(Queue(service_inbox(service), bindings) for service, bindings in _SERVICE_BINDINGS.items()),
        *(Queue(agency_inbox(agency), ((REFERRALS, referral_binding(agency)),)) for agency in agencies),
        *map(declare_filtered_queue, filtered_queues),
    )
    policies = (
        Policy(
            "simpul-inbox",
            r"^.+\.inbox$",
            {
                # At least once, and only together with reject-publish (messaging.md, pitfall 11).
                "dead-letter-exchange": DEAD,
                "dead-letter-strategy": "at-least-once",
                "overflow": "reject-publish",
                "max-length": 500_000,
                # A restart spends one attempt of every prefetched delivery; only a crash loop should reach this.
                "delivery-limit": 100,
            },
        ),
        # An inbox that rejects is asked again until it takes; a copy must never cause that.
        Policy("simpul-filtered-queue", r"^agency\..+\.queue$", {"overflow": "drop-head", "max-length": 10_000}),
    )
    return Topology(exchanges, queues, policies)
