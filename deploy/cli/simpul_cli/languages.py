"""Texts of the operator's command in the reader's language; the messages in the code are English."""

from collections.abc import Callable
from typing import Final

from simpul_schema.translations import SOURCE_LANGUAGE, load_translations

_PACKAGE: Final = "simpul_cli"


class Message:
    """An English message with the values of its placeholders, translated where it is shown.

    Modules import it as `_`, so that its first argument is extracted for translation.
    """

    def __init__(self, message: str, /, **values: object) -> None:
        self._message = message
        self._values = values

    def __str__(self) -> str:
        return self.in_language(SOURCE_LANGUAGE)

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def in_language(self, language: str) -> str:
        """The message in a language; values that are messages are written in the same one."""
        shown = {
            name: value.in_language(language) if isinstance(value, Message) else value
            for name, value in self._values.items()
        }
        return translator(language)(self._message).format(**shown)


def translator(language: str) -> Callable[[str], str]:
    """Returns the function that translates messages into a language."""
    return load_translations(_PACKAGE)[language].gettext
