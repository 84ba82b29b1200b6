"""`simpul city`: starts, shows and stops a city on this machine with Docker Compose."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from simpul_cli.deployment.answers import Answers, Question
from simpul_cli.deployment.city_files import CityFiles, default_data_folder
from simpul_cli.deployment.compose import Compose
from simpul_cli.deployment.containers_setup import ContainersSetup
from simpul_cli.deployment.files_setup import DEMO_PROFILE, FilesSetup
from simpul_cli.deployment.progress import Progress
from simpul_cli.deployment.refusal import Refusal
from simpul_cli.deployment.summary import Summary
from simpul_cli.languages import Message
from simpul_cli.languages import Message as _
from simpul_runtime.database import utc_now
from simpul_schema.translations import LANGUAGES, preferred_language

app = typer.Typer(no_args_is_help=True)
INTERRUPTED = 130
"""Exit code of a command that the operator interrupted."""

Checkout = Annotated[Path, typer.Option(help="folder of docker-compose.yml", exists=True, file_okay=False)]
Data = Annotated[Path | None, typer.Option(help="folder of the city's data; where .env leads when omitted")]
Language = Annotated[str | None, typer.Option(help=f"{' or '.join(LANGUAGES)}; of the environment when omitted")]
Services = Annotated[list[str] | None, typer.Argument(help="services; all when omitted")]


@dataclass(frozen=True)
class _City:
    """A city and how to speak to its operator."""

    files: CityFiles
    compose: Compose
    language: str
    console: Console

    def show(self, message: Message) -> None:
        self.console.print(message.in_language(self.language), markup=False, highlight=False, soft_wrap=True)

    def setup(self, answers: Answers, template: Path, get_answer: Callable[[Question], str] | None) -> FilesSetup:
        is_demo = DEMO_PROFILE in self.files.settings().get("COMPOSE_PROFILES", "").split(",")
        return FilesSetup(self.files, template, answers, get_answer, utc_now, is_demo)


def _city(checkout: Path, data: Path | None, language: str | None, *, is_demo: bool = False) -> _City:
    chosen = language or preferred_language(os.environ)
    if chosen not in LANGUAGES:
        typer.echo(f"there is no language {chosen}; choose {' or '.join(LANGUAGES)}", err=True)
        raise typer.Exit(2)
    checkout = checkout.resolve()
    folder = (data or default_data_folder(checkout, is_demo=is_demo)).absolute()
    files = CityFiles(checkout, folder)
    return _City(files, Compose(checkout, files.env), chosen, Console(markup=False))


@contextmanager
def _one_sentence(language: str) -> Iterator[None]:
    """Ends the command with one sentence when a step cannot continue or the operator interrupts it."""
    try:
        yield
    except Refusal as refusal:
        typer.echo(refusal.sentence.in_language(language), err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo(_("Interrupted. Run it again: it continues where it was.").in_language(language), err=True)
        raise typer.Exit(INTERRUPTED) from None


@app.command("up")
def up(
    demo: Annotated[bool, typer.Option("--demo", help="invented agencies and people; asks nothing")] = False,
    answers_file: Annotated[
        Path | None, typer.Option("--answers", help="YAML with the answers", exists=True, dir_okay=False)
    ] = None,
    build: Annotated[bool, typer.Option("--build", help="build the images even if they exist")] = False,
    new_passwords: Annotated[
        bool, typer.Option("--new-passwords", help="replace the passwords of database and broker")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="list the steps and the open questions only")] = False,
    city_template: Annotated[
        Path | None, typer.Option("--city", help="city to copy for a first start; deploy/kediri when omitted")
    ] = None,
    checkout: Checkout = Path(),
    data: Data = None,
    language: Language = None,
) -> None:
    """Start or update a city: settings, keys, certificates, agreement, databases, broker, services, gateway.

    Asks at most five questions at the first start and none later. Changes nothing that is right already, and
    continues after an interruption. Jobs and checks run before anything is replaced.
    """
    city = _city(checkout, data, language, is_demo=demo)
    with _one_sentence(city.language):
        answers = Answers.read(answers_file) if answers_file else Answers()
        template = city_template or city.files.checkout / "deploy" / "kediri"
        get_answer = None if answers_file or not sys.stdin.isatty() else _questioner(city.language)
        is_demo = demo or city.setup(answers, template, get_answer).is_demo
        setup = FilesSetup(city.files, template, answers, get_answer, utc_now, is_demo, new_passwords)
        containers = ContainersSetup(city.files, city.compose, setup.is_demo, build)
        steps = [*containers.before(), *setup.steps(), *containers.steps()]
        progress = Progress(city.console, city.language, len(steps))
        if dry_run:
            for message in setup.plan():
                city.show(message)
            for number, step in enumerate(steps, 1):
                progress.print(f"[{number:2}/{len(steps)}] {step.title.in_language(city.language)}")
            return
        with city.files.lock():
            for step in steps:
                with progress.show_step(step.title) as outcomes:
                    outcomes.append(step.run())
        _show_summary(city, Summary(setup))


def _questioner(language: str) -> Callable[[Question], str]:
    def get_answer(question: Question) -> str:
        while True:
            answer = str(typer.prompt(question.text.in_language(language), default=question.default or None))
            try:
                question.read(answer)
            except Refusal as refusal:
                typer.echo(refusal.sentence.in_language(language), err=True)
                continue
            return answer

    return get_answer


def _show_summary(city: _City, summary: Summary) -> None:
    for address in summary.addresses():
        city.show(address)
    city.show(_("Left to do:"))
    for number, message in enumerate(summary.left_to_do(), 1):
        city.console.print(
            f"{number}. {message.in_language(city.language)}", markup=False, highlight=False, soft_wrap=True
        )


@app.command("settings")
def settings(checkout: Checkout = Path(), data: Data = None, language: Language = None) -> None:
    """Complete .env of a restored or older city with the passwords that this version needs; starts nothing."""
    city = _city(checkout, data, language)
    with _one_sentence(city.language):
        city.files.check_link()
        if not city.files.env.exists():
            raise Refusal(_("There is no city in {folder}; run `deploy/up`.", folder=city.files.data))
        get_answer = _questioner(city.language) if sys.stdin.isatty() else None
        with city.files.lock():
            city.setup(Answers(), Path(), get_answer).create_settings()
        city.show(_("{file} is complete.", file=city.files.env))


@app.command("status")
def status(checkout: Checkout = Path(), data: Data = None, language: Language = None) -> None:
    """Show containers, agreement, addresses and what is left to do; exit 1 unless every service is healthy."""
    city = _city(checkout, data, language)
    with _one_sentence(city.language):
        setup = city.setup(Answers(), Path(), None)
        if not city.files.env.exists():
            raise Refusal(_("There is no city in {folder}; run `deploy/up`.", folder=city.files.data))
        containers = city.compose.containers()
        for name, found in sorted(containers.items()):
            city.console.print(
                f"{name:16} {found.health or found.state:10} {found.count}", markup=False, highlight=False
            )
        city.show(_("agreement: {state}", state=setup.describe_agreement()))
        _show_summary(city, Summary(setup))
        is_up = bool(containers) and all(found.is_up or found.has_ended_well for found in containers.values())
    raise typer.Exit(0 if is_up else 1)


@app.command("down")
def down(
    volumes: Annotated[
        bool, typer.Option("--volumes", help="delete databases and messages for ever; asks first")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    checkout: Checkout = Path(),
    data: Data = None,
    language: Language = None,
) -> None:
    """Stop and remove the containers; data and messages stay unless --volumes is given."""
    city = _city(checkout, data, language)
    with _one_sentence(city.language):
        if volumes and not yes:
            question = _("Delete every report, case and message of this city for ever?")
            typer.confirm(question.in_language(city.language), abort=True)
        with city.files.lock():
            city.compose.compose("--profile", "*", "down", "--remove-orphans", *(["--volumes"] if volumes else []))
        city.show(_("Stopped. {folder} keeps settings and keys.", folder=city.files.data))


@app.command("restart")
def restart(
    services: Services = None, checkout: Checkout = Path(), data: Data = None, language: Language = None
) -> None:
    """Restart services one after another, and wait until each is healthy."""
    city = _city(checkout, data, language)
    with _one_sentence(city.language), city.files.lock():
        ContainersSetup(city.files, city.compose).restart(services or (), city.show)


@app.command("logs")
def logs(
    services: Services = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="continue until interrupted")] = False,
    tail: Annotated[int, typer.Option(help="lines of each container")] = 50,
    checkout: Checkout = Path(),
    data: Data = None,
    language: Language = None,
) -> None:
    """Show the logs, which contain ids and codes only."""
    city = _city(checkout, data, language)
    with _one_sentence(city.language):
        arguments = ["--follow"] if follow else []
        raise typer.Exit(city.compose.follow("logs", f"--tail={tail}", *arguments, *(services or ())))
