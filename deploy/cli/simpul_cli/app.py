"""The command `simpul`; a command's module is imported when the command runs, so that `simpul --help` is quick."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS: Final = {
    "city": "Start, show and stop a city on this machine.",
    "doctor": "Find what is wrong with a city: each fault with its cause and the command that mends it.",
    "backup": "Backups: created, listed, verified, restored, and restored on trial.",
    "reconcile": "Compare what services have published with what their receivers have.",
    "upgrade": "Say what an upgrade will do to each database, and about how long it takes.",
    "prepare": "Create what docker-compose.yml needs: keys, certificates and .env.",
    "migrate": "Bring a service's database to its newest revision.",
    "topology": "Exchanges, queues and policies of the broker.",
    "agency": "Agencies on the city's broker.",
    "keys": "Keys of services and agencies.",
    "tls": "Certificates for the broker's encrypted port.",
    "agreement": "The agreement between the agencies: proven, explained, compared, signed.",
    "contract": "The published messages.",
    "case": "Cases: lists, history, and what waits for a person.",
    "roster": "Who is alerted: checked, shown, filled in as a table, drawn from calendars.",
    "centre": "Tokens of complaint centres for intake.",
    "desk": "Accounts of people at the desk.",
    "token": "Tokens of people for routing's API.",
    "vault": "Master keys, legal holds and erasure of the cases that intake stores.",
    "audit": "Who did and read what: verified, shown, exported, witnessed.",
    "breach": "Breaches of personal data: the clock of 3 x 24 hours, whose data, and the notices.",
    "notify": "Alerts: try again, whom to call, and a preview of the city's texts.",
    "drill": "Play an emergency with the real channels: who was reached in which minute.",
    "parked": "Messages set aside with a reason.",
    "outbox": "Messages that a service has published.",
}
"""Command -> its line in `simpul --help`. The module of the same name in `simpul_cli.commands` has its `app`."""
PACKAGES: Final = ("simpul_cli", "simpul_agreement")
"""The packages whose catalogues translate the help of these commands."""


class _LazyGroup(TyperGroup):
    """Lists commands without importing them."""

    translate: Callable[[str], str] | None = None
    """Translates the help of a command when it is listed or loaded."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:
        # A short help is shown whole; only the first words of a help would be.
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, short_help=(self.translate or str)(COMMANDS[cmd_name]))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if command is None:
            return name, None, rest
        loaded = load_command(str(name))
        if self.translate:
            _translate(loaded, self.translate)
        return name, loaded, rest

    def make_context(self, *args: Any, **named: Any) -> Any:
        with _described_mistakes():
            return super().make_context(*args, **named)

    def invoke(self, ctx: Any) -> Any:
        with _described_mistakes():
            return super().invoke(ctx)


@contextmanager
def _described_mistakes() -> Iterator[None]:
    """Prints a wrong argument in the language of the caller; other errors pass."""
    try:
        yield
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "ctx"):
            from simpul_schema.command_help import exit_for_mistake  # noqa: PLC0415 - loads the contract

            exit_for_mistake(error, *PACKAGES)
        raise


def load_command(name: str) -> Any:
    """Imports a command with its subcommands."""
    command = typer.main.get_command(import_module(f"simpul_cli.commands.{name}").app)
    command.name = name
    return command


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    # A traceback with local variables would show passwords.
    pretty_exceptions_enable=False,
    # Boxes would need a parser of Markdown, whose import takes longer than everything else together.
    rich_markup_mode=None,
    help="Simpul for operators.",
)


@app.callback()
def _root() -> None:
    """Makes Typer accept a group that holds no command itself."""


def _may_be_translated() -> bool:
    """Whether the caller may read another language than English; only then catalogues are loaded."""
    named = [os.environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG")]
    has_option = any(argument.startswith("--language") for argument in sys.argv)
    return has_option or any(value and not value.startswith(("C", "POSIX", "en")) for value in named)


def _translate(command: Any, translate: Callable[[str], str]) -> None:
    from simpul_schema.command_help import translate_help  # noqa: PLC0415 - loads the contract

    translate_help(command, translate)


def main() -> None:
    """Entry point."""
    command: Any = typer.main.get_command(app)
    if _may_be_translated():
        from simpul_schema.command_help import find_translation  # noqa: PLC0415 - loads the contract

        command.translate = find_translation(*PACKAGES)
        if command.translate:
            _translate(command, command.translate)
    command()
