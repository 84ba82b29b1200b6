"""The templates of pages in every language."""

from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING

from simpul_schema.translations import LANGUAGES, load_translations

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def page_templates(*packages: str, languages: tuple[str, ...] = LANGUAGES) -> "Mapping[str, Environment]":
    """The templates of packages, by language; in a template `_()` translates."""
    return _PageTemplates(packages, languages)


class _PageTemplates(Mapping[str, "Environment"]):
    """Read with the first page: a service that shows none saves 2 MB."""

    def __init__(self, packages: tuple[str, ...], languages: tuple[str, ...]) -> None:
        self._packages = packages
        self._languages = languages

    def __getitem__(self, language: str) -> "Environment":
        return self._environments[language]

    def __iter__(self) -> Iterator[str]:
        return iter(self._languages)

    def __len__(self) -> int:
        return len(self._languages)

    @cached_property
    def _environments(self) -> "dict[str, Environment]":
        from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - see above

        loader = ChoiceLoader([PackageLoader(package) for package in self._packages])
        environments = {}
        for language, translations in load_translations(*self._packages, languages=self._languages).items():
            environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
            environment.globals |= {"_": translations.gettext, "language": language}
            environments[language] = environment
        return environments
