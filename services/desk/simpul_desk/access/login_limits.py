"""How long somebody waits after failed logins; nobody can make another person wait for long.

Three things are counted for a browser that an account does not know: failures in one network for this account, in one
network for any account, and anywhere for this account. The last makes a login wait for a minute at most. For a browser
that has signed in to the account before, only its own failures count, whatever strangers do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from typing import Final

FORGET_AFTER: Final = timedelta(hours=1)
"""Without a failure for so long, counting begins at zero."""
_MAX_DOUBLINGS: Final = 20


@dataclass(frozen=True, slots=True)
class LimitPolicy:
    """When failures make somebody wait."""

    free: int
    """Failures before the first wait."""
    first_wait: timedelta
    """Doubles with each failure after it."""
    longest_wait: timedelta


PER_PAIR: Final = LimitPolicy(5, timedelta(seconds=30), timedelta(minutes=15))
PER_NETWORK: Final = LimitPolicy(30, timedelta(seconds=30), timedelta(minutes=15))
"""An office may have one address for all its people."""
PER_ACCOUNT: Final = LimitPolicy(50, timedelta(seconds=10), timedelta(minutes=1))


@dataclass(frozen=True, slots=True)
class LimitSubject:
    """Something whose failures are counted."""

    digest: bytes
    policy: LimitPolicy
    is_personal: bool = False
    """Whether it concerns one account in one place, so that a success shows that the failures were mistakes."""


@dataclass(frozen=True, slots=True)
class Failures:
    """What was counted."""

    count: int
    last_failed_at: datetime
    blocked_until: datetime | None = None

    def wait(self, now: datetime) -> timedelta:
        """Returns how long the next attempt has to wait."""
        return max((self.blocked_until or now) - now, timedelta())

    def add(self, policy: LimitPolicy, now: datetime) -> "Failures":
        """Counts one more."""
        count = (0 if now - self.last_failed_at >= FORGET_AFTER else self.count) + 1
        if count < policy.free:
            return Failures(count, now)
        doublings = min(count - policy.free, _MAX_DOUBLINGS)
        return Failures(count, now, now + min(policy.first_wait * 2**doublings, policy.longest_wait))

    def remove(self) -> "Failures":
        """Takes one back, because the attempt succeeded."""
        return Failures(max(self.count - 1, 0), self.last_failed_at)


def subjects_of(login_name: str, address: str, known_device: bytes = b"") -> Sequence[LimitSubject]:
    """Returns what is counted for an attempt; `known_device` identifies a browser that the account knows."""
    if known_device:
        return [_subject(PER_PAIR, "device", login_name, known_device.hex())]
    network = network_of(address)
    subjects = [
        _subject(PER_PAIR, "pair", login_name, network),
        _subject(PER_NETWORK, "network", network),
        _subject(PER_ACCOUNT, "account", login_name),
    ]
    # In one order everywhere, so that two attempts never wait for one another in a circle.
    return sorted(subjects, key=lambda subject: subject.digest)


def network_of(address: str) -> str:
    """Returns what one household has: an IPv4 address, or the first 64 bits of an IPv6 address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or parsed.packed[:8].hex())
    return str(parsed)


def _subject(policy: LimitPolicy, *parts: str) -> LimitSubject:
    return LimitSubject(sha256("\0".join(parts).encode()).digest(), policy, is_personal=policy is PER_PAIR)
