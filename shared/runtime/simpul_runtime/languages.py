"""Chooses the language of a response."""

from typing import Final

from fastapi import Request

from simpul_schema.translations import LANGUAGES

DEFAULT_LANGUAGE: Final = "id"
_OLD_CODES = {"in": "id"}
"""Old versions of Android and Java use `in` for Indonesian."""


def known_language(wanted: str) -> str:
    """Returns the language if it is supported, otherwise the default."""
    return wanted if wanted in LANGUAGES else DEFAULT_LANGUAGE


def language_of(request: Request, chosen: str = "") -> str:
    """Returns the language chosen in the form or URL, otherwise the preferred supported one of Accept-Language."""
    for wanted in (chosen, request.query_params.get("lang", "")):
        if wanted in LANGUAGES:
            return wanted
    return _accepted_language(request.headers.get("accept-language", ""))


def _accepted_language(header: str) -> str:
    ranked: list[tuple[float, str]] = []
    for entry in header.split(","):
        tag, _, parameter = entry.partition(";")
        code = tag.strip().lower().partition("-")[0]
        ranked.append((_quality(parameter), _OLD_CODES.get(code, code)))
    # sorted() is stable, so languages of equal quality keep the order of the header.
    wanted = (code for quality, code in sorted(ranked, key=lambda entry: -entry[0]) if quality > 0)
    return next((code for code in wanted if code in LANGUAGES), DEFAULT_LANGUAGE)


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0
