"""Faults of the broker: alarms, blocked publishers, missing or full queues, other policies."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from simpul_cli.doctor.finding import Finding, critical, warning
from simpul_cli.languages import Message as _
from simpul_schema.names import DEAD, UNROUTED

FULL, FILLING = 0.9, 0.5
"""Share of a queue's length limit."""
_APPLY: Final = "simpul topology apply"
_VERIFY: Final = "simpul topology verify"


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the broker."""

    name: str
    is_running: bool = True
    has_memory_alarm: bool = False
    has_disk_alarm: bool = False
    partitions: Sequence[str] = ()
    descriptors_used: float = 0.0
    """Share of the file descriptors."""


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue that exists."""

    name: str
    messages: int = 0
    consumers: int = 1
    max_length: int | None = None
    members: int = 1
    members_online: int = 1


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """The broker as its management API describes it."""

    problem: str = ""
    """Why it cannot be used: `unreachable` or `login`."""
    nodes: Sequence[Node] = field(default_factory=tuple)
    blocked_connections: int = 0
    queues: Sequence[QueueState] = field(default_factory=tuple)
    differences: Sequence[str] = field(default_factory=tuple)
    """What `simpul topology verify` prints about exchanges, queues and policies."""
    service_inboxes: frozenset[str] = frozenset()
    user_differences: Sequence[str] = field(default_factory=tuple)
    """What it prints about the users of services and operator, and about administrators."""


def find_unreachable_broker(facts: BrokerFacts) -> Iterator[Finding]:
    """Finds a broker that does not answer."""
    if facts.problem == "unreachable":
        cause = _("The broker does not answer: reports are stored, and nothing is delivered.")
        yield critical("broker_unreachable", cause, "deploy/up restart rabbitmq")


def find_refused_login(facts: BrokerFacts) -> Iterator[Finding]:
    """Finds a password that is not the broker's."""
    if facts.problem == "login":
        yield critical("broker_login", _("The broker refuses the password of .env."), "deploy/up")


def find_stopped_nodes(facts: BrokerFacts) -> Iterator[Finding]:
    """Finds nodes of a cluster that do not run."""
    for node in facts.nodes:
        if not node.is_running:
            cause = _("The node {node} of the broker does not run.", node=node.name)
            yield critical("broker_node_down", cause, "deploy/up restart rabbitmq")


def find_partitions(facts: BrokerFacts) -> Iterator[Finding]:
    """Finds nodes that do not see each other."""
    for node in facts.nodes:
        if node.partitions:
            cause = _("The node {node} does not see {others}.", node=node.name, others=", ".join(node.partitions))
            yield critical("broker_partition", cause, "docker compose exec rabbitmq rabbitmqctl cluster_status")


def find_memory_alarms(facts: BrokerFacts) -> Iterator[Finding]:
    """Finds nodes that accept nothing because their memory is used up."""
    for node in facts.nodes:
        if node.has_memory_alarm:
            cause = _("The broker accepts nothing: the memory of {node} is used up.", node=node.name)
            yield critical(
                "broker_memory_alarm", cause, "docker compose exec rabbitmq rabbitmqctl list_queues name messages"
            )


def find_disk_alarms(facts: BrokerFacts) -> Iterator[Finding]:
    """Finds nodes that accept nothing because their disk is full."""
    for node in facts.nodes:
        if node.has_disk_alarm:
            cause = _("The broker accepts nothing: the disk of {node} is full.", node=node.name)
            yield critical("broker_disk_alarm", cause, "docker system prune")


def find_used_descriptors(facts: BrokerFacts) -> Iterator[Finding]:
    """Finds nodes that soon accept no connection."""
    for node in facts.nodes:
        if node.descriptors_used > FULL:
            percent = round(node.descriptors_used * 100)
            cause = _("{node} uses {percent} % of its file descriptors.", node=node.name, percent=percent)
            yield warning("broker_descriptors", cause, "docker compose exec rabbitmq rabbitmqctl list_connections user")


def find_blocked_connections(facts: BrokerFacts) -> Iterator[Finding]:
    """Finds publishers that the broker has stopped."""
    if facts.blocked_connections:
        cause = _("The broker blocks {count} connections that publish.", count=facts.blocked_connections)
        yield critical("broker_blocked", cause, "docker compose exec rabbitmq rabbitmq-diagnostics alarms")


def find_missing_queues(facts: BrokerFacts) -> Iterator[Finding]:
    """Finds declared queues and exchanges that do not exist."""
    missing = [found for found in facts.differences if found.endswith(" is missing")]
    if missing:
        yield critical("broker_queue_missing", _("On the broker: {shown}", shown=_shorten(missing)), _APPLY)


def find_missing_bindings(facts: BrokerFacts) -> Iterator[Finding]:
    """Finds queues that do not get what they should."""
    missing = [found for found in facts.differences if " is not bound to " in found]
    if missing:
        yield critical("broker_binding_missing", _("On the broker: {shown}", shown=_shorten(missing)), _APPLY)


def find_other_policies(facts: BrokerFacts) -> Iterator[Finding]:
    """Finds missing or changed policies, without which a full queue drops messages."""
    other = [f for f in facts.differences if f.endswith((" differs", "has no dead-letter target"))]
    if other:
        yield critical("broker_policy_missing", _("On the broker: {shown}", shown=_shorten(other)), _APPLY)


def find_wrong_kinds(facts: BrokerFacts) -> Iterator[Finding]:
    """Finds queues that one lost disk would delete, and exchanges of another kind."""
    wrong = [f for f in facts.differences if f.endswith((" is not a quorum queue", " is of another kind"))]
    if wrong:
        yield critical("broker_kind", _("On the broker: {shown}", shown=_shorten(wrong)), _VERIFY)


def find_undeclared(facts: BrokerFacts) -> Iterator[Finding]:
    """Finds what could carry referrals elsewhere."""
    others = [found for found in facts.differences if found.endswith("not declared")]
    if others:
        yield warning("broker_undeclared", _("On the broker: {shown}", shown=_shorten(others)), _VERIFY)


def find_other_users(facts: BrokerFacts) -> Iterator[Finding]:
    """Finds services that may not log in, consume or publish, and users that may do more than they need."""
    if facts.user_differences:
        yield critical("broker_users", _("On the broker: {shown}", shown=_shorten(facts.user_differences)), "deploy/up")


def find_full_queues(facts: BrokerFacts) -> Iterator[Finding]:
    """Finds queues that refuse messages, or soon do."""
    for queue in facts.queues:
        share = queue.messages / queue.max_length if queue.max_length else 0.0
        if share > FILLING:
            cause = _("The queue {queue} is {percent} % full.", queue=queue.name, percent=round(share * 100))
            make = critical if share > FULL else warning
            yield make("queue_full", cause, _remedy_of(queue.name, facts))


def find_unrouted_messages(facts: BrokerFacts) -> Iterator[Finding]:
    """Finds events that somebody does not get."""
    for queue in facts.queues:
        if queue.name == UNROUTED and queue.messages:
            yield critical("messages_unrouted", _("{count} events reached no queue.", count=queue.messages), _APPLY)


def find_dead_messages(facts: BrokerFacts) -> Iterator[Finding]:
    """Finds messages that a service could neither handle nor park."""
    for queue in facts.queues:
        if queue.name == DEAD and queue.messages:
            cause = _("{count} messages are in the dead-letter queue.", count=queue.messages)
            yield critical("messages_dead", cause, f"simpul topology resend {DEAD}")


def find_unconsumed_inboxes(facts: BrokerFacts) -> Iterator[Finding]:
    """Finds services that do not consume."""
    for queue in facts.queues:
        if queue.name in facts.service_inboxes and not queue.consumers:
            cause = _("Nobody consumes {queue}.", queue=queue.name)
            yield critical("inbox_without_consumer", cause, f"deploy/up restart {queue.name.partition('.')[0]}")


def find_degraded_queues(facts: BrokerFacts) -> Iterator[Finding]:
    """Finds replicated queues with a member that is away."""
    for queue in facts.queues:
        if queue.members_online < queue.members:
            cause = _(
                "{online} of {members} members of the queue {queue} are online.",
                online=queue.members_online,
                members=queue.members,
                queue=queue.name,
            )
            yield warning("queue_degraded", cause, "docker compose exec rabbitmq rabbitmqctl cluster_status")


def _remedy_of(queue: str, facts: BrokerFacts) -> str:
    first, _dot, rest = queue.partition(".")
    if queue in facts.service_inboxes:
        return f"deploy/up restart {first}"
    return f"simpul agency show {rest.partition('.')[0]}" if first == "agency" else _VERIFY


def _shorten(found: Sequence[str]) -> str:
    return "; ".join(found[:3]) + (f" (+{len(found) - 3})" if len(found) > 3 else "")


CHECKS: Final = (
    find_unreachable_broker,
    find_refused_login,
    find_stopped_nodes,
    find_partitions,
    find_memory_alarms,
    find_disk_alarms,
    find_used_descriptors,
    find_blocked_connections,
    find_missing_queues,
    find_missing_bindings,
    find_other_policies,
    find_wrong_kinds,
    find_undeclared,
    find_other_users,
    find_full_queues,
    find_unrouted_messages,
    find_dead_messages,
    find_unconsumed_inboxes,
    find_degraded_queues,
)
