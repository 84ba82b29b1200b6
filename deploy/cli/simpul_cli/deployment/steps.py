"""What every step of `up` has in common."""

from collections.abc import Callable
from dataclasses import dataclass

from simpul_cli.languages import Message


@dataclass(frozen=True, slots=True)
class Step:
    """One step, which can be repeated, and interrupted at any moment."""

    title: Message
    run: Callable[[], Message]
    """Does the step; returns what came of it, and raises Refusal when it cannot."""
