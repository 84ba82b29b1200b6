"""Gettext catalogues: msgids are English, and each package keeps its translations in `locale/`."""

from collections.abc import Mapping
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from simpul_runtime.languages import LANGUAGES, SOURCE_LANGUAGE

Translations = Mapping[str, NullTranslations]
"""Language -> translations."""


def gettext_noop(message: str) -> str:
    """Marks a message for extraction where it is defined; it is translated where it is shown."""
    return message


@cache
def load_translations(*packages: str) -> Translations:
    """Loads the catalogues of packages; a message that one of them lacks is looked up in the next."""
    return {language: _load_chain(language, packages) for language in LANGUAGES}


def translate_all(
    translations: Translations, message: str, values: Mapping[str, object] | None = None
) -> dict[str, str]:
    """Translates a message into every language and fills in its `{placeholders}`."""
    return {language: texts.gettext(message).format_map(values or {}) for language, texts in translations.items()}


@cache
def page_templates(*packages: str) -> Mapping[str, Environment]:
    """The templates of packages, by language; in a template `_()` translates."""
    loader = ChoiceLoader([PackageLoader(package) for package in packages])
    environments = {}
    for language, translations in load_translations(*packages).items():
        environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
        environment.globals |= {"_": translations.gettext, "language": language}
        environments[language] = environment
    return environments


def _load_chain(language: str, packages: tuple[str, ...]) -> NullTranslations:
    first, *others = [_load_catalogue(package, language) for package in packages]
    for other in others:
        first.add_fallback(other)
    return first


def _load_catalogue(package: str, language: str) -> NullTranslations:
    if language == SOURCE_LANGUAGE:
        return NullTranslations()
    path = files(package) / "locale" / language / "LC_MESSAGES" / "messages.po"
    # Compiled here, so that an installation can never hold an outdated binary catalogue.
    compiled = BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return GNUTranslations(compiled)
