"""What a broker holds, as data: exchanges, queues, policies and users. `simpul topology apply` declares it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

Binding: TypeAlias = tuple[str, str]
"""Exchange and routing key; the key may have the wildcards of a topic exchange."""

MATCHES_NOTHING: Final = "^$"
"""A pattern that permits nothing."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange."""

    name: str
    type: str
    alternate: str = ""
    """The exchange that gets the messages without a queue."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable quorum queue and its bindings."""

    name: str
    bindings: tuple[Binding, ...]
    is_catch_all: bool = False
    """Whether it holds unrouted or dead-lettered messages, so that it needs no dead-letter exchange itself."""
    is_copy: bool = False
    """Whether an inbox holds the same messages, so that it may drop its oldest ones."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings of the queues whose name matches; unlike a queue's arguments, a policy can be changed."""

    name: str
    pattern: str
    definition: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BrokerUser:
    """A broker user and its permissions; each pattern is a regular expression that matches whole names."""

    name: str
    write: str
    """Exchanges it may publish to."""
    read: str
    """Queues it may consume from."""
    topics: Mapping[str, str] = field(default_factory=dict)
    """Exchange -> the routing keys it may publish with."""
    configure: str = MATCHES_NOTHING
    """What it may declare or delete."""


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that is declared on the broker."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    policies: tuple[Policy, ...]
