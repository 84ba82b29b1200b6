"""The templates of pages in every language."""

from collections.abc import Mapping
from functools import cache

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from simpul_schema.translations import LANGUAGES, load_translations


@cache
def page_templates(*packages: str, languages: tuple[str, ...] = LANGUAGES) -> Mapping[str, Environment]:
    """The templates of packages, by language; in a template `_()` translates."""
    loader = ChoiceLoader([PackageLoader(package) for package in packages])
    environments = {}
    for language, translations in load_translations(*packages, languages=languages).items():
        environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
        environment.globals |= {"_": translations.gettext, "language": language}
        environments[language] = environment
    return environments
