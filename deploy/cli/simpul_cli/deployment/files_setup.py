"""The steps that need no container: the city's folder, settings, keys, enrolment, and an agreement that decides."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from simpul_agreement.versions import State
from simpul_cli.agency.bulk import REQUEST, Request, enrol_all, requests_in
from simpul_cli.agency.enrolment import NotEnrolled
from simpul_cli.deployment.answers import DEMO, Answers, Question, open_questions
from simpul_cli.deployment.city_files import CityFiles
from simpul_cli.deployment.demo import MAIL_AUTHORITY, create_agency_keys
from simpul_cli.deployment.interim import VersionState, collect_signatures, hub_of, sign_as_hub, versions_of
from simpul_cli.deployment.refusal import Refusal
from simpul_cli.deployment.steps import Step
from simpul_cli.keys import key_file
from simpul_cli.languages import Message
from simpul_cli.languages import Message as _
from simpul_seal import KeyRing

DEMO_PROFILE: Final = "demo"
_DEMO_SETTINGS: Final = {"COMPOSE_PROFILES": DEMO_PROFILE, "SIMPUL_SMTP_CA_FILE": f"/city/{MAIL_AUTHORITY}"}
_CREATED: Final = _("created")
_EXISTS: Final = _("there already")


@dataclass(frozen=True)
class FilesSetup:
    """Creates what is missing in the folder of a city's data, and replaces nothing."""

    files: CityFiles
    template: Path
    """The city to copy where there is none yet."""
    answers: Answers
    get_answer: Callable[[Question], str] | None
    now: Callable[[], datetime]
    is_demo: bool = False
    new_passwords: bool = False
    """Replaces the passwords of the servers and the tokens; the steps with containers make them valid."""

    def steps(self) -> Sequence[Step]:
        """Returns the steps in their order."""
        return (
            Step(_("The city's folder"), self.create_city),
            Step(_("Settings and passwords"), self.create_settings),
            Step(_("Keys and certificates"), self.create_keys),
            Step(_("Enrolment of agencies"), self.enrol),
            Step(_("Agreement"), self.sign),
        )

    def create_city(self) -> Message:
        """Copies the template, and reads the city."""
        state = _CREATED if self.files.create_city(self.template) else _EXISTS
        city = self.files.read_city()
        return _("{city}, {state}: {folder}", city=city.name, state=state, folder=self.files.city_dir)

    def create_settings(self) -> Message:
        """Completes `.env` with passwords and the operator's answers."""
        answers = Answers({**DEMO, **self.answers.given}) if self.is_demo else self.answers
        fixed = _DEMO_SETTINGS if self.is_demo else {}
        is_new = self.files.create_env(answers, self.get_answer, fixed, new_passwords=self.new_passwords)
        return _CREATED if is_new else _EXISTS

    def create_keys(self) -> Message:
        """Creates the keys of services and vault, the city's authority and the broker's certificate."""
        if self.files.create_keys(self.now()):
            return _CREATED
        return _("the broker's certificate was renewed") if self.files.renew_certificate(self.now()) else _EXISTS

    def enrol(self) -> Message:
        """Enrols the agencies whose keys are created here: all of a demonstration, otherwise at most the hub."""
        city, directory, now = self.files.read_city(), self.files.read_directory(), self.now()
        if self.is_demo:
            create_agency_keys(self.files.demo, self.files.enrolment, city.code, city.agency_codes, now)
            own = set(city.agency_codes)
        else:
            own = self._create_hub_keys()
        new = [request for request in self.requests() if not request.is_enrolled and request.agency in own]
        if new:
            enrol_all(directory, new, now).write(self.files.prepared.directory)
        enrolled = {entry.party for entry in self.files.read_directory().entries} & city.agency_codes
        return _("{count} of {all} agencies enrolled", count=len(enrolled), all=len(city.agency_codes))

    def sign(self) -> Message:
        """Stores signatures that parties sent; where no version decides, declares the newest as interim."""
        city, directory = self.files.read_city(), self.files.read_directory()
        collect_signatures(self.files.city_dir, self.files.enrolment, city, directory)
        versions = self.versions()
        if not any(version.decides for version in versions):
            sign_as_hub(versions, self._read_hub_keys(), self.now())
        return self.describe_agreement()

    def plan(self) -> Iterator[Message]:
        """Yields what the first steps would create and ask; creates nothing."""
        files = self.files
        yield _("folder of the city's data: {folder}", folder=files.data)
        if not files.city_dir.exists():
            yield _("would copy the city {template}", template=self.template)
        given = {**DEMO, **self.answers.given} if self.is_demo else self.answers.given
        for question in open_questions(files.settings()):
            if question.name not in given:
                yield _("would ask: {question}", question=question.text)
        wanted = (files.env, *files.prepared.key_files, files.prepared.directory, files.prepared.broker_key)
        for path in (path for path in wanted if not path.exists()):
            yield _("would create {file}", file=path)

    def requests(self) -> list[Request]:
        """Returns the requests that agencies sent; raises Refusal for an unusable one."""
        try:
            return list(requests_in(self.files.enrolment, self.files.read_city(), self.files.read_directory()))
        except NotEnrolled as error:
            raise Refusal(_("{error}", error=error)) from error

    def versions(self) -> list[VersionState]:
        """Returns every version of the agreement, the newest last."""
        return versions_of(self.files.city_dir, self.files.read_city(), self.files.read_directory(), self.now())

    def describe_agreement(self) -> Message:
        """Describes the version that decides, and marks an interim one."""
        deciding = [version for version in self.versions() if version.decides]
        if not deciding:
            return _("no version decides")
        version = deciding[-1]
        standing = version.standing
        if standing.state is not State.INTERIM:
            return _("{version}, signed by every party", version=version.folder.name)
        return _(
            "{version}, INTERIM: signed by the hub alone, {signed} of {needed} signatures",
            version=version.folder.name,
            signed=standing.signed,
            needed=standing.needed,
        )

    def _create_hub_keys(self) -> set[str]:
        """Creates the hub's keys on this machine unless the hub has its own; returns the hub if its keys are here."""
        city, hub = self.files.read_city(), self.files.hub
        code = hub_of(city)
        request = self.files.enrolment / f"{code}{REQUEST}"
        own = hub.folder / request.name
        if not own.exists():
            if request.exists() or any(version.decides for version in self.versions()):
                return set()
            # Left by a run that was killed; nobody has got these keys, because their request is written last.
            for left in (hub.keys, hub.certificate_key):
                left.unlink(missing_ok=True)
            hub.create_keys(city.code, code, self.now())
        if not request.exists():
            shutil.copyfile(own, request)
        return {code}

    def _read_hub_keys(self) -> KeyRing:
        hub = self.files.hub.keys
        if self.is_demo:
            hub = key_file(self.files.demo / "keys", hub_of(self.files.read_city()))
        if not hub.exists():
            raise Refusal(
                _(
                    "No agreement decides: put the hub's signature and interim signature into {folder}.",
                    folder=self.files.enrolment,
                )
            )
        return KeyRing.read(hub)
