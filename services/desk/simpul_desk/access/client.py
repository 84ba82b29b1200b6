"""The browser that somebody uses."""

from dataclasses import dataclass, field
from typing import Final

_BROWSERS: Final = (
    ("Edg", "Edge"), ("OPR", "Opera"), ("SamsungBrowser", "Samsung Internet"), ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"), ("Chrome", "Chrome"), ("CriOS", "Chrome"), ("Safari", "Safari"),
)  # fmt: skip
"""What a browser says of itself -> its name; the first that is found counts, because most name others too."""
_SYSTEMS: Final = (
    ("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Client:
    """A browser that signs in."""

    address: str
    label: str = ""
    """Browser and system, such as `Chrome, Android`; empty if unknown."""
    device_secret: str = field(default="", repr=False)
    """What an earlier login left in it."""


def describe_browser(user_agent: str) -> str:
    """Returns browser and system in a few words, by which a person knows their own phone."""
    found = [next((name for mark, name in known if mark in user_agent), "") for known in (_BROWSERS, _SYSTEMS)]
    return ", ".join(filter(None, found))
