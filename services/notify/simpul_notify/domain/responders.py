"""People who can be alerted, and the order of their contact methods."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, NamedTuple

from simpul_notify.domain.escalation_policy import DEFAULT_POLICIES, EscalationPolicy
from simpul_notify.domain.safe_hours import SafeHours
from simpul_schema.vocabulary import AlertChannel, Urgency

CHANNELS: Final = tuple(channel for channel in AlertChannel if channel is not AlertChannel.OTHER)
"""The channels that alerts are sent by; readers take a channel of a later version for OTHER."""
_DIGEST_LETTERS: Final = 4
"""16 bits keep the numbers of one person apart, and some ten thousand numbers of the country have the same ones."""


def digest_address(address: str) -> str:
    """Returns by what a number or address is known again where it is not stored; nobody can find it by that."""
    return sha256(address.casefold().encode()).hexdigest()[:_DIGEST_LETTERS]


class Recipient(NamedTuple):
    """A responder by one number or address; what waits for the same recipient is one message."""

    responder: str
    channel: AlertChannel
    position: int = 1
    """Which one of the responder's numbers or addresses of the channel, in the order of the roster."""

    @property
    def method(self) -> str:
        """The contact method as it is stored and shown: `sms`, and `sms/2` for the second number."""
        return self.channel.value if self.position == 1 else f"{self.channel.value}/{self.position}"

    @classmethod
    def by_method(cls, responder: str, method: str) -> "Recipient":
        """Reads a stored contact method; raises ValueError for one of another version."""
        channel, _, position = method.partition("/")
        return cls(responder, AlertChannel(channel), int(position or "1"))


@dataclass(frozen=True, slots=True)
class Responder:
    """A person who can be alerted."""

    reference: str
    language: str
    contact_methods: Mapping[AlertChannel, str] = field(repr=False)
    """Channel -> phone number or mail address; verified ones only, because no other is ever used."""
    is_lead: bool = False
    """Whether the responder leads the party, and is alerted when nobody on duty has reacted."""
    unverified: frozenset[str] = frozenset()
    """The contact methods that are not verified yet, such as `mail` or `sms/2`."""
    safe_hours: SafeHours | None = None
    """The only hours in which the responder is contacted; None for every hour."""
    further_methods: Mapping[AlertChannel, tuple[str, ...]] = field(default_factory=dict, repr=False)
    """Channel -> the second and later numbers or addresses, verified ones only; tried when the ones before fail."""

    @property
    def addresses(self) -> dict[Recipient, str]:
        """Every number and address: the first of each channel, then the second ones, and so on."""
        found = {Recipient(self.reference, channel): address for channel, address in self.contact_methods.items()}
        found |= {
            Recipient(self.reference, channel, position): address
            for channel, addresses in self.further_methods.items()
            for position, address in enumerate(addresses, 2)
        }
        return dict(sorted(found.items(), key=lambda one: one[0].position))


@dataclass(frozen=True, slots=True)
class Roster:
    """Who is on duty for each agency and escalation level, and the channels of each urgency, the fastest first."""

    on_duty: Mapping[str, tuple[Responder, ...]]
    channels: Mapping[Urgency, tuple[AlertChannel, ...]]
    responders: Mapping[str, Responder]
    leads: Mapping[str, tuple[Responder, ...]] = field(default_factory=dict)
    """Who leads an agency; alerted when nobody on duty has reacted."""
    coordinator: str = ""
    """The agency whose people are alerted when those of another agency have not reacted."""
    policies: Mapping[Urgency, EscalationPolicy] = field(default_factory=lambda: DEFAULT_POLICIES)
    away: frozenset[str] = frozenset()
    """Who is absent now."""

    def remaining_recipients(self, failed: Recipient, party: str, urgency: Urgency) -> Iterator[Recipient]:
        """Yields the party's other recipients: first of the same responder, then of the other responders."""
        for responder in self.on_duty.get(party, ()):
            if responder.reference == failed.responder:
                yield from (recipient for recipient in responder.addresses if recipient != failed)
            else:
                yield from (Recipient(responder.reference, channel) for channel in self.channels[urgency])

    def find_sharing(self, recipients: Iterable[Recipient]) -> dict[Recipient, frozenset[str]]:
        """Returns for each recipient the responders who are reached by the same number or address, and itself."""
        sharing: dict[tuple[AlertChannel, str], set[str]] = {}
        for responder in self.responders.values():
            for recipient, address in responder.addresses.items():
                sharing.setdefault((recipient.channel, address), set()).add(responder.reference)
        return {
            recipient: frozenset(
                {recipient.responder, *sharing.get((recipient.channel, self.address_of(recipient)), ())}
            )
            for recipient in recipients
        }

    def address_of(self, recipient: Recipient) -> str:
        """Returns the number or address of a recipient; empty if it is no longer in the roster."""
        responder = self.responders.get(recipient.responder)
        return responder.addresses.get(recipient, "") if responder else ""

    def digest_of(self, recipient: Recipient) -> str:
        """Returns the digest of a recipient's number or address; empty if it is no longer in the roster."""
        address = self.address_of(recipient)
        return digest_address(address) if address else ""

    def find_again(self, recipient: Recipient, digest: str) -> Recipient | None:
        """Returns at which place the same number or address is now; None if it has left the roster.

        An empty digest is of a version that knew a number by its place only.
        """
        responder = self.responders.get(recipient.responder)
        if responder is None:
            return None
        if not digest:
            return recipient if recipient in responder.addresses else None
        same = (
            one
            for one, address in responder.addresses.items()
            if one.channel is recipient.channel and digest_address(address) == digest
        )
        return next(same, None)
