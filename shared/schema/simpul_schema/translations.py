"""Gettext catalogues: messages are English, and each package keeps its translations in `locale/`.

Reading a catalogue needs the extra `translations`; whoever only reads and writes messages needs nothing.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO
from typing import Final

LANGUAGES: Final = ("id", "en")
SOURCE_LANGUAGE: Final = "en"
"""The language of the messages in the code."""
Translations = Mapping[str, NullTranslations]
"""Language -> translations."""
MESSAGES: Final = "messages"
"""The catalogue of what a package shows."""
HELP: Final = "help"
"""The catalogue of what the commands of a package say with `--help`."""
_VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")
"""The environment's language, the strongest variable first."""
_OPTION: Final = "--language"


def gettext_noop(message: str) -> str:
    """Marks a message for extraction where it is defined; it is translated where it is shown."""
    return message


def preferred_language(environment: Mapping[str, str], arguments: Sequence[str] = ()) -> str:
    """Returns the language of the option `--language`, else that of the environment; English without a catalogue."""
    chosen = next((environment[name] for name in _VARIABLES if environment.get(name)), "")
    for index, argument in enumerate(arguments):
        name, is_joined, value = argument.partition("=")
        if name == _OPTION:
            chosen = value if is_joined else "".join(arguments[index + 1 : index + 2])
    code = chosen.partition(".")[0].partition("_")[0].lower()
    return code if code in LANGUAGES else SOURCE_LANGUAGE


@cache
def load_translations(
    *packages: str, catalogue: str = MESSAGES, languages: tuple[str, ...] = LANGUAGES
) -> Translations:
    """Loads the catalogues of packages; a message that one of them lacks is looked up in the next.

    A package may have catalogues of more languages than `LANGUAGES`, for those who read its texts only.
    """
    return {language: _load_chain(language, packages, catalogue) for language in languages}


def translate_all(
    translations: Translations, message: str, values: Mapping[str, object] | None = None
) -> dict[str, str]:
    """Translates a message into every language and fills in its `{placeholders}`."""
    return {language: texts.gettext(message).format_map(values or {}) for language, texts in translations.items()}


def _load_chain(language: str, packages: tuple[str, ...], catalogue: str) -> NullTranslations:
    first, *others = [_load_catalogue(package, language, catalogue) for package in packages]
    for other in others:
        first.add_fallback(other)
    return first


def _load_catalogue(package: str, language: str, catalogue: str) -> NullTranslations:
    if language == SOURCE_LANGUAGE:
        return NullTranslations()
    # Imported here, because the contract itself must not need it.
    from babel.messages.mofile import write_mo  # noqa: PLC0415
    from babel.messages.pofile import read_po  # noqa: PLC0415

    path = files(package) / "locale" / language / "LC_MESSAGES" / f"{catalogue}.po"
    # Compiled here, so that an installation can never hold an outdated binary catalogue.
    compiled = BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return GNUTranslations(compiled)
