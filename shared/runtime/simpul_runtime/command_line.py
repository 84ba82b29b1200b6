"""Reads a service's settings: `--help` lists them, and missing or invalid ones are named."""

import argparse
import os
import textwrap
from collections.abc import Iterator, Sequence
from importlib.metadata import metadata
from typing import Final, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo

import simpul_runtime.lean_imports  # noqa: F401 - before the service imports FastAPI
from simpul_runtime.settings import ServiceSettings

S = TypeVar("S", bound=ServiceSettings)
_READ_BY_LIBRARIES: Final = ("OTEL_PROPAGATORS", "OTEL_PYTHON_CONTEXT")
"""What FastAPI makes OpenTelemetry load when it is imported, and nothing here uses; a wrong name ends the process."""


def read_settings(service: str, form: type[S], arguments: Sequence[str] | None = None) -> S:
    """Reads a service's settings from the environment.

    Ends the process with code 0 after `--help`, and with code 2 when a setting is missing or wrong. Values are never
    shown: some are passwords.
    """
    parser = argparse.ArgumentParser(
        prog=f"simpul-{service}",
        description=f"{metadata(f'simpul-{service}')['Summary']}. It takes no arguments; the environment sets it up.",
        epilog=describe_settings(form),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.parse_args(arguments)
    for name in _READ_BY_LIBRARIES:
        os.environ.pop(name, None)
    try:
        return form()
    except ValidationError as error:
        problems = [f"  {_name_setting(form, problem['loc'])}{problem['msg']}" for problem in error.errors()]
        parser.exit(2, "\n".join(["these settings are missing or wrong; --help describes them:", *problems, ""]))


def describe_settings(form: type[ServiceSettings]) -> str:
    """Describes every environment variable, the required ones first."""
    fields = sorted(form.model_fields.items(), key=lambda item: not item[1].is_required())
    return "\n".join(["environment variables:", *(line for item in fields for line in _describe(form, *item))])


def _describe(form: type[ServiceSettings], name: str, field: FieldInfo) -> Iterator[str]:
    yield f"  {_variable(form, name)} ({_presence(field)})"
    yield from textwrap.wrap(field.description or "", 100, initial_indent=" " * 6, subsequent_indent=" " * 6)


def _name_setting(form: type[ServiceSettings], location: tuple[int | str, ...]) -> str:
    """The variable in front of its problem; empty when the problem lies in several settings together."""
    return f"{_variable(form, str(location[0]))}: " if location else ""


def _variable(form: type[ServiceSettings], name: str) -> str:
    return f"{form.model_config.get('env_prefix', '')}{name}".upper()


def _presence(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "optional" if field.default is None else f"default: {field.default}"
