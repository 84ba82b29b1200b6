"""What a command prints with `--help` and about wrong arguments, in the language of its output.

Works on the command objects of Typer without importing it.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, Final

from simpul_schema.translations import HELP, SOURCE_LANGUAGE, load_translations, preferred_language

OPTIONS: Final = "Options"
ARGUMENTS: Final = "Arguments"
COMMANDS: Final = "Commands"
HELP_OPTION: Final = "Show this message and exit."
USAGE: Final = "Usage: {usage}"
MORE_HELP: Final = "More: {command} --help"
_VALUE: Final = r"Invalid value for '(?P<name>.+?)': "
_NAMED_PATH: Final = r"(?:dir|directory|file|path) '(?P<value>.*)'"
_MISTAKES: Final = (
    (r"Missing \w+ '(?P<name>[^']+)'", "{name} is missing."),
    (r"No such option: (?P<name>\S+).*?(?P<choice>--[\w-]+)", "There is no option {name}; perhaps {choice}."),
    (r"No such option: (?P<name>\S+)", "There is no option {name}."),
    (r"No such command '(?P<name>.*?)'", "There is no command {name}."),
    (r"Got unexpected extra argument\S* \((?P<value>.*)\)", "This is more than the command takes: {value}"),
    (r"Option '(?P<name>[^']+)' requires an argument", "{name} needs a value."),
    (_VALUE + r".*'(?P<value>.*)' is not one of (?P<choices>.*?)\.?$", "{name}: {value} is not one of {choices}."),
    (_VALUE + r".*valid integer", "{name} is not a whole number."),
    (_VALUE + r".*valid (?:number|float)", "{name} is not a number."),
    (_VALUE + r".*valid (?:datetime|date)", "{name} is not a time such as 2026-11-27T08:30."),
    (_VALUE + r".*does not match the formats", "{name} is not a time such as 2026-11-27T08:30."),
    (_VALUE + r".*valid UUID", "{name} is not an id such as 7e926413-2d54-4b27-b4f0-f0effb1e7cbf."),
    (_VALUE + r".*greater than or equal to (?P<value>-?\d+)", "{name} is less than {value}."),
    (_VALUE + r".*less than or equal to (?P<value>-?\d+)", "{name} is more than {value}."),
    (_VALUE + _NAMED_PATH + " does not exist", "{name}: {value} does not exist."),
    (_VALUE + _NAMED_PATH + " is a file", "{name}: {value} is a file, not a folder."),
    (_VALUE + _NAMED_PATH + " is a directory", "{name}: {value} is a folder, not a file."),
    (_VALUE + _NAMED_PATH + " is not (?:readable|writable)", "{name}: {value} may not be read or written."),
)
"""The message of Typer about a mistake -> the message to the caller, without words of the library."""
FRAME: Final = (
    OPTIONS,
    ARGUMENTS,
    COMMANDS,
    HELP_OPTION,
    USAGE,
    MORE_HELP,
    *dict.fromkeys(text for _, text in _MISTAKES),
)
"""The texts that Typer adds to those of a command, and the answers to wrong arguments."""


def run_command(command: Any, *packages: str) -> None:
    """Runs a command whose help is in the catalogues of these packages, in the language of the caller."""
    translate = find_translation(*packages)
    if translate:
        translate_help(command, translate)
    for name in ("make_context", "invoke"):
        setattr(command, name, _describing_mistakes(getattr(command, name), packages))
    command()


def exit_for_mistake(error: Any, *packages: str) -> None:
    """Prints a wrong argument in the language of the caller and exits; returns for an error that is not known here."""
    described = _describe_mistake(error, find_translation(*packages) or str)
    if described:
        sys.stderr.write(f"{described}\n")
        sys.exit(2)


def _describe_mistake(error: Any, translate: Callable[[str], str]) -> str:
    found = error.format_message()
    mistakes = ((re.match(pattern, found, re.DOTALL), message) for pattern, message in _MISTAKES)
    match, message = next(((match, message) for match, message in mistakes if match), (None, ""))
    if match is None:
        return ""
    values = {name: value.replace("'", "") for name, value in match.groupdict().items()}
    lines = [translate(message).format(**values)]
    if error.ctx is not None:
        lines.append(translate(USAGE).format(usage=error.ctx.get_usage().removeprefix("Usage: ")))
        lines.append(translate(MORE_HELP).format(command=error.ctx.command_path))
    return "\n".join(lines)


def _describing_mistakes(call: Callable[..., Any], packages: tuple[str, ...]) -> Callable[..., Any]:
    @wraps(call)
    def describe(*arguments: Any, **named: Any) -> Any:
        try:
            return call(*arguments, **named)
        except Exception as error:
            # The errors of usage of Typer, whose class depends on its version.
            if hasattr(error, "format_message") and hasattr(error, "ctx"):
                exit_for_mistake(error, *packages)
            raise

    return describe


def find_translation(*packages: str) -> "Callable[[str], str] | None":
    """Returns what translates help into the language of the caller; None where it is that of the code."""
    language = preferred_language(os.environ, sys.argv[1:])
    return None if language == SOURCE_LANGUAGE else load_translations(*packages, catalogue=HELP)[language].gettext


def help_texts(command: Any) -> Iterator[str]:
    """Yields the texts of a command, its options and its subcommands."""
    yield from (text for text in (command.help, command.short_help) if text)
    yield from (parameter.help for parameter in command.params if getattr(parameter, "help", None))
    for subcommand in _subcommands(command):
        yield from help_texts(subcommand)


def translate_help(command: Any, translate: Callable[[str], str]) -> None:
    """Translates the texts of a command, its options and its subcommands."""
    for text in ("help", "short_help"):
        setattr(command, text, _translated(getattr(command, text), translate))
    command.rich_help_panel = translate(COMMANDS)
    for parameter in command.params:
        if hasattr(parameter, "help"):
            parameter.help = _translated(parameter.help, translate)
        parameter.rich_help_panel = translate(ARGUMENTS if parameter.param_type_name == "argument" else OPTIONS)
    _translate_help_option(command, translate)
    for subcommand in _subcommands(command):
        translate_help(subcommand, translate)


def _translate_help_option(command: Any, translate: Callable[[str], str]) -> None:
    make_option = command.get_help_option

    def make_translated(context: Any) -> Any:
        option = make_option(context)
        if option is not None:
            option.help, option.rich_help_panel = translate(HELP_OPTION), translate(OPTIONS)
        return option

    command.get_help_option = make_translated


def _translated(text: "str | None", translate: Callable[[str], str]) -> "str | None":
    # The translation of an empty text is the head of the catalogue.
    return translate(text) if text else text


def _subcommands(command: Any) -> "list[Any]":
    return list(getattr(command, "commands", {}).values())
