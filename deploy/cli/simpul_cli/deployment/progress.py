"""Shows each step while it runs, and what came of it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console

from simpul_cli.languages import Message


@dataclass
class Progress:
    """Prints a numbered line for each step; on a terminal the running one turns."""

    console: Console
    language: str
    steps: int
    _number: int = field(default=0, init=False)

    @contextmanager
    def show_step(self, title: Message) -> Iterator[list[Message]]:
        """Shows a step while the block runs; the block adds what came of it to the list."""
        self._number += 1
        outcomes: list[Message] = []
        label = f"[{self._number:2}/{self.steps}] {title.in_language(self.language)}"
        began = time.monotonic()
        if self.console.is_terminal:
            with self.console.status(label):
                yield outcomes
        else:
            self.print(label)
            yield outcomes
        seconds = time.monotonic() - began
        outcome = "; ".join(outcome.in_language(self.language) for outcome in outcomes) or "ok"
        self.print(f"{label}: {outcome} ({seconds:.0f} s)")

    def show(self, message: Message) -> None:
        """Prints a message."""
        self.print(message.in_language(self.language))

    def print(self, text: str) -> None:
        """Prints a line as it is."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)
