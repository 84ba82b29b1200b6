"""The package's texts in the reader's language; the messages in the code are English."""

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import Final

from simpul_schema.translations import SOURCE_LANGUAGE, load_translations

_PACKAGE: Final = "simpul_agreement"


def translator(language: str) -> Callable[[str], str]:
    """Returns the function that translates messages into a language, `id` or `en`."""
    return load_translations(_PACKAGE)[language].gettext


class Message:
    """An English message with the values of its placeholders, translated where it is shown.

    Modules import it as `_`, so that its first argument is extracted for translation.
    """

    def __init__(self, message: str, /, **values: object) -> None:
        self.message = message
        self._values = values

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        return self.in_language(SOURCE_LANGUAGE)

    def in_language(self, language: str) -> str:
        """The message in a language; values that exist in several languages are written in the same one."""
        shown = {name: _in_language(value, language) for name, value in self._values.items()}
        return translator(language)(self.message).format(**shown)


def _in_language(value: object, language: str) -> object:
    match value:
        case Message() | Described():
            return value.in_language(language)
        case _plain:
            return value


class Described:
    """A text that a function writes in each language."""

    def __init__(self, describe: Callable[[str], str]) -> None:
        self.in_language = describe


class Count(Described):
    """A number with the separator of thousands of each language."""

    def __init__(self, number: int) -> None:
        super().__init__(lambda language: format_count(number, language))


class TranslatedTerm(str, Enum):
    """A code of the agreement's files with its English label, which the catalogue translates."""

    message: str

    def __new__(cls, code: str, message: str = "") -> "TranslatedTerm":
        """Returns a member with its label; a lookup by code alone finds the member that has one."""
        term = str.__new__(cls, code)
        term._value_ = code
        term.message = message
        return term

    def __str__(self) -> str:
        return str(self.value)

    def label(self, language: str) -> str:
        """The label in a language."""
        return translator(language)(self.message)


def join_any(texts: Sequence[str], language: str) -> str:
    """Joins alternatives as `a`, `a or b` or `a, b, or c`."""
    _ = translator(language)
    return _join(texts, _("{list} or {last}"), _("{list}, or {last}"))


def join_all(texts: Sequence[str], language: str) -> str:
    """Joins texts that hold together as `a`, `a and b` or `a, b, and c`."""
    _ = translator(language)
    return _join(texts, _("{list} and {last}"), _("{list}, and {last}"))


def join_sentences(texts: Iterable[str], language: str) -> str:
    """Joins facts that hold together as `a, and b, and c`, because a fact may list alternatives; empty for none."""
    _ = translator(language)
    joined = ""
    for text in texts:
        joined = _("{list}, and {last}").format(list=joined, last=text) if joined else text
    return joined


def _join(texts: Sequence[str], two: str, more: str) -> str:
    *others, last = texts
    if not others:
        return last
    return (two if len(others) == 1 else more).format(list=", ".join(others), last=last)


_INDONESIAN_MARKS: Final = str.maketrans(",.", ".,")
_PROPER: Final = ("Unit PPA", "Peksos", "Satgas")


def format_count(count: int, language: str) -> str:
    """A number with the language's separator of thousands."""
    return _with_marks(f"{count:,}", language)


def format_decimal(number: float, language: str) -> str:
    """A number with at most one decimal, and the language's decimal mark."""
    return _with_marks(f"{number:,.1f}".removesuffix(".0"), language)


def _with_marks(number: str, language: str) -> str:
    return number.translate(_INDONESIAN_MARKS) if language == "id" else number


def without_capital(label: str) -> str:
    """The label in lower case inside a sentence; abbreviations and names such as `UPT PPA` keep their capitals."""
    first = label.split(" ", maxsplit=1)[0]
    if first.isupper() and len(first) > 4:
        return label.lower()
    if first.isupper() or label.startswith(_PROPER):
        return label
    return label[0].lower() + label[1:]


def with_capital(sentence: str) -> str:
    """The sentence with a capital at its beginning."""
    return sentence[0].upper() + sentence[1:]
