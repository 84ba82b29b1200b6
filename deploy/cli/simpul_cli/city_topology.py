"""Composes a city's topology from the bindings of the services, its agencies and their filtered queues."""

import re
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Final

from simpul_city import City, FilteredQueue
from simpul_desk.consumers import BINDINGS as DESK_BINDINGS
from simpul_intake.consumers import BINDINGS as INTAKE_BINDINGS
from simpul_notify.consumers import BINDINGS as NOTIFY_BINDINGS
from simpul_routing.consumers import BINDINGS as ROUTING_BINDINGS
from simpul_runtime.topology import MATCHES_NOTHING, Binding, BrokerUser, Exchange, Policy, Queue, Topology
from simpul_schema.catalog import ANY_SERVICE, CATALOG
from simpul_schema.names import (
    DEAD,
    EVENTS,
    OPERATOR_USER,
    REFERRALS,
    REPLIES,
    UNROUTED,
    agency_inbox,
    broker_user,
    filtered_queue,
    inbox_bindings,
    own_queues_pattern,
    own_replies_pattern,
    service_inbox,
    service_user,
    topic_binding,
    topic_of,
)

SERVICE_BINDINGS: Final[Mapping[str, tuple[Binding, ...]]] = {
    "intake": INTAKE_BINDINGS,
    "routing": ROUTING_BINDINGS,
    "notify": NOTIFY_BINDINGS,
    "desk": DESK_BINDINGS,
}
"""The bindings of each service that consumes events."""
_PUBLISHED: Final = (EVENTS, REFERRALS, REPLIES)
_TO_AGENCIES: Final = r"^(referral|agency)\.[a-z0-9-]+\.[a-z0-9_.]+\.v[0-9]+$"
_EXCHANGES: Final = (
    Exchange(UNROUTED, "fanout"),
    Exchange(DEAD, "topic"),
    *(Exchange(name, "topic", alternate=UNROUTED) for name in _PUBLISHED),
)
_POLICIES: Final = (
    Policy(
        "simpul-inbox",
        r"^.+\.inbox$",
        {
            # RabbitMQ dead-letters at least once only together with reject-publish.
            "dead-letter-exchange": DEAD,
            "dead-letter-strategy": "at-least-once",
            "overflow": "reject-publish",
            "max-length": 500_000,
            # Each restart of a consumer counts as an attempt of every delivery that was outstanding.
            "delivery-limit": 100,
        },
    ),
    # A full inbox makes the relay publish again until it accepts; a copy must never cause that.
    Policy("simpul-filtered-queue", r"^agency\..+\.queue$", {"overflow": "drop-head", "max-length": 10_000}),
)


def build_city_topology(city: City) -> Topology:
    """Builds the topology of a city's broker."""
    return build_topology(sorted(city.agency_codes), city.filtered_queues)


def build_topology(agencies: Iterable[str], filtered_queues: Iterable[FilteredQueue] = ()) -> Topology:
    """Builds a topology with these agencies and their filtered queues."""
    queues = (
        Queue(UNROUTED, ((UNROUTED, "#"),), is_catch_all=True),
        Queue(DEAD, ((DEAD, "#"),), is_catch_all=True),
        *(Queue(service_inbox(service), bindings) for service, bindings in SERVICE_BINDINGS.items()),
        *(
            Queue(agency_inbox(agency), tuple((REFERRALS, key) for key in inbox_bindings(agency)))
            for agency in agencies
        ),
        *map(build_filtered_queue, filtered_queues),
    )
    return Topology(_EXCHANGES, queues, _POLICIES)


def build_filtered_queue(queue: FilteredQueue) -> Queue:
    """Builds the queue that gets an agency's events of some services and urgencies."""
    keys = product(queue.services or ("*",), queue.urgencies or ("*",))
    return Queue(
        filtered_queue(queue.agency, queue.name),
        tuple((REFERRALS, topic_binding(queue.agency, topic_of(*key))) for key in keys),
        is_copy=True,
    )


def build_service_user(service: str) -> BrokerUser:
    """Builds the broker user of a service, which may consume its own inbox and publish what the catalogue names."""
    own = [row for row in CATALOG if row.publisher in (service, ANY_SERVICE) and EVENTS in row.exchanges]
    events = "|".join(sorted(re.escape(row.wire_name) for row in own))
    # Routing alone addresses agencies, also with what it passes on for intake.
    to_agencies = _TO_AGENCIES if service == "routing" else MATCHES_NOTHING
    written = (EVENTS, REFERRALS) if service == "routing" else (EVENTS,)
    return BrokerUser(
        name=service_user(service),
        write=f"^({'|'.join(map(re.escape, written))})$",
        read=f"^{re.escape(service_inbox(service))}$",
        topics={EVENTS: f"^({events})$", REFERRALS: to_agencies, REPLIES: MATCHES_NOTHING},
    )


def build_operator_user() -> BrokerUser:
    """Builds the broker user of the operator's commands, which send unrouted and dead-lettered messages again."""
    return BrokerUser(
        name=OPERATOR_USER,
        write=f"^({'|'.join(map(re.escape, _PUBLISHED))})$",
        read=f"^({re.escape(UNROUTED)}|{re.escape(DEAD)})$",
    )


def build_agency_user(agency: str, *, is_suspended: bool = False) -> BrokerUser:
    """Builds the broker user of an agency, which may consume from its own queues and publish its own replies."""
    if is_suspended:
        topics = dict.fromkeys(_PUBLISHED, MATCHES_NOTHING)
        return BrokerUser(broker_user(agency), MATCHES_NOTHING, MATCHES_NOTHING, topics)
    return BrokerUser(
        name=broker_user(agency),
        write=f"^{re.escape(REPLIES)}$",
        read=own_queues_pattern(agency),
        topics={EVENTS: MATCHES_NOTHING, REFERRALS: MATCHES_NOTHING, REPLIES: own_replies_pattern(agency)},
    )
