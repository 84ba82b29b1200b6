"""Finds the providers that a city has installed, and starts those that it uses."""

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import Final

from pydantic import ValidationError

from simpul_notify.channels.provider import Provider
from simpul_notify.errors import ProviderInvalid

GROUP: Final = "simpul.notify_providers"
"""The group of entry points; each names a function that takes `name` and `prefix` and returns a Provider."""

CreateProvider = Callable[[str, str], Provider]
"""Takes the provider's name and the prefix of its environment variables."""


def load_providers(names: Sequence[str]) -> list[Provider]:
    """Starts the named providers; raises ProviderInvalid for one that is unknown or lacks a setting.

    `kannel` reads its settings from `SIMPUL_KANNEL_…`; a second gateway is `kannel/second` and reads
    `SIMPUL_KANNEL_SECOND_…`.
    """
    if len(set(names)) != len(names):
        msg = f"SIMPUL_PROVIDERS names a provider twice: {', '.join(names)}"
        raise ProviderInvalid(msg)
    return [_load(name) for name in names]


def _load(name: str) -> Provider:
    installed = {entry.name: entry for entry in entry_points(group=GROUP)}
    kind = name.partition("/")[0]
    if kind not in installed:
        msg = f"SIMPUL_PROVIDERS names {name}, which is not installed; there are {', '.join(sorted(installed))}"
        raise ProviderInvalid(msg)
    prefix = f"SIMPUL_{name.replace('/', '_').replace('-', '_').upper()}_"
    create: CreateProvider = installed[kind].load()
    try:
        return create(name, prefix)
    except ValidationError as error:
        # Without the values, which may be passwords.
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        msg = f"provider {name} with settings {prefix}…: {faults}"
        raise ProviderInvalid(msg) from None
