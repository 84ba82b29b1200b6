"""The folder of a city's data outside the checkout: what it holds, and what `up` creates in it."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from simpul_agency.command.files import AgencyFiles
from simpul_city import City, CityInvalid
from simpul_cli.deployment.answers import Answers, Question, open_questions
from simpul_cli.deployment.env_file import read_env, write_env
from simpul_cli.deployment.refusal import Refusal
from simpul_cli.languages import Message as _
from simpul_cli.prepare import Preparation, random_settings
from simpul_cli.staging import PartlyPresent
from simpul_seal import Directory


def default_data_folder(checkout: Path, *, is_demo: bool) -> Path:
    """Returns the folder that `.env` in the checkout leads to; for a new city, where it is created."""
    linked = checkout / ".env"
    if linked.is_symlink():
        return linked.resolve().parent
    if is_demo:
        return checkout / ".simpul" / "demo-city"
    return Path("/srv/simpul/city") if os.geteuid() == 0 else Path.home() / "simpul-city"


@dataclass(frozen=True)
class CityFiles:
    """The files of one city."""

    checkout: Path
    data: Path

    @property
    def env(self) -> Path:
        """Settings and passwords; the checkout has a link to it, so that plain `docker compose` reads it too."""
        return self.data / ".env"

    @property
    def city_dir(self) -> Path:
        """The city as data: agencies, roster, agreement with its signatures."""
        return self.data / "city"

    @property
    def enrolment(self) -> Path:
        """Where agencies' requests and signatures come in, and responses go out."""
        return self.data / "enrolment"

    @property
    def demo(self) -> Path:
        """Keys and messages of the invented agencies."""
        return self.data / "demo"

    @property
    def gateway_authority(self) -> Path:
        """The certificate of the gateway's own authority, for the browsers and machines that must trust it."""
        return self.data / "gateway-authority.pem"

    @property
    def hub(self) -> AgencyFiles:
        """The hub's keys, only where they were created here."""
        return AgencyFiles(self.data / "hub")

    @property
    def prepared(self) -> Preparation:
        """The keys and certificates."""
        return Preparation(self.checkout, self.data)

    def settings(self) -> dict[str, str]:
        """Reads `.env`."""
        return read_env(self.env)

    def read_city(self) -> City:
        """Reads the city; raises Refusal when a file of it is wrong."""
        try:
            return City.read(self.city_dir)
        except (CityInvalid, OSError, KeyError, ValueError) as error:
            raise Refusal(
                _("The city in {folder} cannot be read: {error}", folder=self.city_dir, error=error)
            ) from error

    def read_directory(self) -> Directory:
        """Reads the public keys of all parties."""
        try:
            return Directory.read(self.prepared.directory)
        except (OSError, ValueError, KeyError) as error:
            raise Refusal(_("{file} cannot be read: restore the backup.", file=self.prepared.directory)) from error

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lets one command change the city at a time; raises Refusal when another one does."""
        self.data.mkdir(parents=True, exist_ok=True)
        self.data.chmod(0o700)
        with (self.data / ".lock").open("w") as file:
            try:
                flock(file, LOCK_EX | LOCK_NB)
            except BlockingIOError as error:
                raise Refusal(_("Another command is changing this city; wait until it has ended.")) from error
            yield

    def check_link(self) -> None:
        """Raises Refusal when the checkout belongs to another city."""
        link = self.checkout / ".env"
        if link.exists() and link.resolve() != self.env.resolve():
            raise Refusal(
                _(
                    "{link} belongs to another city: use --data {folder}, or another checkout.",
                    link=link,
                    folder=link.resolve().parent,
                )
            )

    def create_city(self, template: Path) -> bool:
        """Copies a template to the city's own folder; returns False when it has one."""
        for name in ("backups", "enrolment", "gateway", "openbao"):
            (self.data / name).mkdir(parents=True, exist_ok=True)
        if self.city_dir.exists():
            return False
        new = self.data / "city.new"
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(template, new)
        new.rename(self.city_dir)
        return True

    def create_env(
        self,
        answers: Answers,
        get_answer: Callable[[Question], str] | None,
        fixed: Mapping[str, str],
        *,
        new_passwords: bool = False,
    ) -> bool:
        """Completes `.env` with passwords and the answers that are missing; returns False when it was complete.

        With `new_passwords` every password and token that this program makes is replaced.
        """
        template = self.prepared.example.read_text(encoding="utf-8")
        before = self.settings()
        settings = {
            **random_settings(template),
            "OPERATOR_UID": str(os.getuid()),
            "SIMPUL_DATA": str(self.data),
            "SIMPUL_CITY": str(self.city_dir),
            "SIMPUL_BACKUPS": str(self.data / "backups"),
            **fixed,
            **{name: value for name, value in before.items() if value},
            **(random_settings(template) if new_passwords else {}),
        }
        for question in open_questions(before):
            settings |= answers.settings(question, get_answer)
        if settings != before:
            write_env(self.env, settings, template)
        link = self.checkout / ".env"
        if not link.is_symlink() and link.resolve() != self.env.resolve():
            link.symlink_to(self.env)
        return settings != before

    def create_keys(self, now: datetime) -> bool:
        """Creates keys and certificates; returns False when they exist."""
        city, hosts = self.read_city(), self._hosts()
        try:
            has_keys = self.prepared.create_keys(now)
            has_certificates = self.prepared.create_certificates(city.name, hosts, now)
        except (PartlyPresent, FileExistsError) as error:
            raise Refusal(_("{error}", error=error)) from error
        return has_keys or has_certificates

    def renew_certificate(self, now: datetime) -> bool:
        """Renews the broker's certificate if it ends soon; returns False when it does not."""
        try:
            return self.prepared.renew_broker_certificate(self._hosts(), now)
        except FileNotFoundError as error:
            raise Refusal(
                _("The broker's certificate ends soon: put {file} back to renew it.", file=error.filename)
            ) from error

    def _hosts(self) -> list[str]:
        """The names by which the broker is reached: from outside, from this machine, from a container."""
        return list(dict.fromkeys((self.settings()["SITE_HOST"], "localhost", "rabbitmq")))


def port_is_free(port: int) -> bool:
    """Whether a server could listen on a port; True where this account may not try."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("0.0.0.0", port))  # noqa: S104 - the gateway listens for everybody
        except PermissionError:
            return True
        except OSError:
            return False
    return True
